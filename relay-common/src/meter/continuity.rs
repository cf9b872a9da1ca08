//! MPEG-TS (ISO/IEC 13818-1): the continuity counters of each PID, as TR 101 290 counts their errors (1.4).
//!
//! A datagram is MPEG-TS when it is whole packets of 188 bytes, each with its sync byte. An error is a packet with
//! payload whose counter is neither the one after its PID's last nor that one again, once. A counter runs to 16: of a
//! multiple of 16 packets lost nothing is seen here.

/// Bytes of a transport packet.
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// The PID of packets that only fill up.
const NULL: u32 = 0x1fff;
/// PIDs that are watched at once: more than any single programme has. With more than these some errors are not seen;
/// none is invented.
const PIDS: usize = 64;
/// How far from its own place a PID is looked for.
const REACH: usize = 8;

/// An entry that is used; one that is not is 0. The PID and the counter stand where they stand in a packet.
const USED: u32 = 1 << 31;
/// The last packet was the second with its counter.
const TWICE: u32 = 1 << 4;
/// What of a packet's first four bytes says whose it is.
const PID: u32 = 0x001f_ff00;
/// The counter: in an entry, the one that is due.
const COUNTER: u32 = 0xf;

/// Bits of a packet's first four bytes: transport_error_indicator, and what adaptation_field_control says.
const ERROR: u32 = 1 << 23;
const ADAPTATION: u32 = 1 << 5;
const PAYLOAD: u32 = 1 << 4;
/// Most packets have these bits so: a sync byte, no error, payload, and no adaptation field.
const PLAIN_MASK: u32 = 0xff << 24 | ERROR | ADAPTATION | PAYLOAD;
const PLAIN: u32 = (SYNC as u32) << 24 | PAYLOAD;
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
    pub const NEW: Self = Self { pids: [0; PIDS] };

    /// Looks at a datagram's transport packets.
    #[inline]
    pub fn see(&mut self, datagram: &[u8]) -> TransportPackets {
        let mut found = TransportPackets::default();
        let (packets, rest) = datagram.as_chunks::<PACKET>();
        if !rest.is_empty() || packets.last().is_none_or(|last| last[0] != SYNC) {
            return found;
        }
        for packet in packets {
            let head = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
            let due = USED | head & (PID | COUNTER);
            let entry = &mut self.pids[home(head)];
            if head & PLAIN_MASK == PLAIN && *entry == due {
                *entry = next(due); // As far more often than all else together.
            } else if head >> 24 == u32::from(SYNC) {
                found.errors += u32::from(self.see_other(packet, head));
            } else {
                break;
            }
            found.packets += 1;
        }
        found
    }

    /// A packet that is not plain, or not the one that is due at its PID's own place. Says whether it is an error.
    #[inline(never)]
    fn see_other(&mut self, packet: &[u8; PACKET], head: u32) -> bool {
        // Of a packet that says of itself that it is spoilt the PID and the counter may be anything.
        if head & ERROR != 0 || head & PID == NULL << 8 {
            return false;
        }
        let is_excused = head & ADAPTATION != 0 && packet[4] > 0 && packet[5] & DISCONTINUITY != 0;
        let (owner, counter) = (USED | head & PID, head & COUNTER);
        if head & PAYLOAD == 0 {
            // Without payload the counter stands still, unless it begins anew here.
            if is_excused {
                *self.entry(owner) = next(owner | counter);
            }
            return false;
        }
        let entry = self.entry(owner);
        let before = core::mem::replace(entry, next(owner | counter));
        if before & (USED | PID) != owner || is_excused || counter == before & COUNTER {
            return false;
        }
        if next(counter) != before & COUNTER {
            return true;
        }
        *entry |= TWICE;
        before & TWICE != 0
    }

    /// The entry of a PID: its own, a free one, or one that another PID has to give up.
    fn entry(&mut self, owner: u32) -> &mut u32 {
        let home = home(owner);
        let mine = |at: &usize| self.pids[*at] == 0 || self.pids[*at] & (USED | PID) == owner;
        let at = (home..home + REACH).map(|at| at % PIDS).find(mine).unwrap_or(home);
        &mut self.pids[at]
    }
}

/// A PID's own place among the entries.
#[inline]
const fn home(head: u32) -> usize {
    (head >> 8) as usize % PIDS
}

/// The same with the counter after it.
#[inline]
const fn next(entry: u32) -> u32 {
    entry & !COUNTER | (entry + 1) & COUNTER
}

#[cfg(test)]
mod tests;
