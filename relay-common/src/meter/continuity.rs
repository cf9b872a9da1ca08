//! MPEG-TS (ISO/IEC 13818-1): the continuity counters of each PID, as TR 101 290 counts their errors (1.4).
//!
//! A datagram is MPEG-TS when it is whole packets of 188 bytes, each with its sync byte. An error is a packet with
//! payload whose counter is neither the one after its PID's last nor that one again, once. A counter runs to 16: of a
//! multiple of 16 packets lost nothing is seen here.

/// Bytes of a transport packet.
const PACKET: usize = 188;
/// So many fit an Ethernet frame, so that most datagrams have as many.
const USUAL: usize = 7;
/// PIDs that are watched at once: more than any single programme has. With more than these some errors are not seen;
/// none is invented.
const PIDS: usize = 64;
/// How far from its own place a PID is looked for.
const REACH: usize = 8;

// A packet's first four bytes, as `head` reads them: the counter stands uppermost, so that the one after 15 is 0 by itself.
//
//   31    28 27       20 19  18  17  16       12 11        4   3        2    1  0
//   counter  PID's low   err         PID's high   sync byte    scrambling    adaptation_field_control
//
/// The continuity counter; in an entry, the one that is due.
const COUNTER: u32 = 0xf << 28;
/// What is added for the counter after it.
const ONE: u32 = 1 << 28;
/// Whose packet it is.
const PID: u32 = 0xff << 20 | 0x1f << 12;
/// The PID of packets that only fill up.
const NULL: u32 = PID;
/// The sync byte.
const SYNC_MASK: u32 = 0xff << 4;
const SYNC: u32 = 0x47 << 4;
/// transport_error_indicator, and what adaptation_field_control says.
const ERROR: u32 = 1 << 19;
const ADAPTATION: u32 = 1 << 1;
const PAYLOAD: u32 = 1;
/// Most packets have these bits so: a sync byte, no error, payload, and no adaptation field.
const PLAIN: u32 = SYNC | PAYLOAD;
/// What of a packet is compared with its PID's entry, which is what the next one looks like if it is plain.
const COMPARED: u32 = SYNC_MASK | ERROR | ADAPTATION | PAYLOAD | PID | COUNTER;
/// In an entry: the last packet was the second with its counter. It is not among what is compared, so that no packet equals
/// such an entry.
const TWICE: u32 = 1 << 2;
/// An entry that no PID has; no packet equals it either.
const FREE: u32 = TWICE;
/// The discontinuity_indicator in the flags of an adaptation field.
const DISCONTINUITY: u8 = 0x80;

/// The continuity counters of one transport stream.
#[derive(Clone, Debug)]
pub struct Continuity {
    pids: [u32; PIDS],
}

/// What was found in a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportPackets {
    /// Transport packets in it; none if it is not MPEG-TS.
    pub packets: u32,
    /// Continuity errors.
    pub errors: u32,
}

impl Continuity {
    /// Nothing has come.
    pub const NEW: Self = Self { pids: [FREE; PIDS] };

    /// Looks at a datagram's transport packets.
    #[inline]
    pub fn see(&mut self, datagram: &[u8]) -> TransportPackets {
        // Inlined twice, once for as many packets as there are in most datagrams: what is known then takes no counting.
        if let Ok(usual) = <&[u8; USUAL * PACKET]>::try_from(datagram) {
            return self.see_packets(usual.as_chunks().0);
        }
        match datagram.as_chunks() {
            (packets, []) => self.see_packets(packets),
            _ => TransportPackets::default(),
        }
    }

    #[inline(always)]
    fn see_packets(&mut self, packets: &[[u8; PACKET]]) -> TransportPackets {
        if packets.last().is_none_or(|last| head(last) & SYNC_MASK != SYNC) {
            return TransportPackets::default();
        }
        match packets.iter().position(|packet| !self.is_due(head(packet))) {
            Some(n_due) => self.see_from(n_due, packets),
            // As far more often than all else together.
            None => TransportPackets { packets: count(packets.len()), errors: 0 },
        }
    }

    /// Looks at the packets from the first one that is not due.
    #[inline(never)]
    fn see_from(&mut self, n_due: usize, packets: &[[u8; PACKET]]) -> TransportPackets {
        let mut found = TransportPackets { packets: count(n_due), errors: 0 };
        for packet in &packets[n_due..] {
            let head = head(packet);
            if !self.is_due(head) {
                if head & SYNC_MASK != SYNC {
                    break;
                }
                found.errors += u32::from(self.see_other(packet, head));
            }
            found.packets += 1;
        }
        found
    }

    /// Whether that is a plain packet, and the one that is due at its PID's own place: then the one after it is due.
    #[inline(always)]
    fn is_due(&mut self, head: u32) -> bool {
        let (entry, due) = (&mut self.pids[home(head)], head & COMPARED);
        let is_due = *entry == due;
        if is_due {
            *entry = due.wrapping_add(ONE);
        }
        is_due
    }

    /// A packet that is not plain, or not the one that is due at its PID's own place. Says whether it is an error.
    #[inline(never)]
    fn see_other(&mut self, packet: &[u8; PACKET], head: u32) -> bool {
        // Of a packet that says of itself that it is spoilt the PID and the counter may be anything.
        if head & ERROR != 0 || head & PID == NULL {
            return false;
        }
        let is_excused = head & ADAPTATION != 0 && packet[4] > 0 && packet[5] & DISCONTINUITY != 0;
        let (owner, counter) = (PLAIN | head & PID, head & COUNTER);
        let due = (owner | counter).wrapping_add(ONE);
        if head & PAYLOAD == 0 {
            // Without payload the counter stands still, unless it begins anew here.
            if is_excused {
                *self.entry(owner) = due;
            }
            return false;
        }
        let entry = self.entry(owner);
        let before = core::mem::replace(entry, due);
        if !is_of(before, owner) || is_excused || counter == before & COUNTER {
            return false;
        }
        if due & COUNTER != before & COUNTER {
            return true;
        }
        *entry |= TWICE;
        before & TWICE != 0
    }

    /// The entry of a PID: its own, a free one, or one that another PID has to give up.
    fn entry(&mut self, owner: u32) -> &mut u32 {
        let home = home(owner);
        let mine = |at: &usize| self.pids[*at] == FREE || is_of(self.pids[*at], owner);
        let at = (home..home + REACH).map(|at| at % PIDS).find(mine).unwrap_or(home);
        &mut self.pids[at]
    }
}

/// Packets of one datagram.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a datagram has fewer bytes")]
const fn count(packets: usize) -> u32 {
    packets as u32
}

/// A packet's first four bytes.
#[inline]
const fn head(packet: &[u8; PACKET]) -> u32 {
    u32::from_le_bytes([packet[0], packet[1], packet[2], packet[3]]).rotate_left(4)
}

/// A PID's own place among the entries.
#[inline]
const fn home(head: u32) -> usize {
    (head >> 20) as usize % PIDS
}

/// Whether an entry is that owner's.
#[inline]
const fn is_of(entry: u32, owner: u32) -> bool {
    entry & !(COUNTER | TWICE) == owner
}

#[cfg(test)]
mod tests;
