//! What becomes of a batch: a pure function from received frames to descriptors, owner words and counters.
//!
//! Nothing here waits, allocates or calls the kernel. What a successor needs of a received frame is not written until
//! the commit: its new header goes into the journal, and copies go into free frames. Two things are written before, and
//! a batch that is forwarded again after a death does well without them: the mark of the stamp in front of the packet is
//! wiped, so that the relay is looked up by its key and the packet's latency is not measured; and what lies behind the
//! datagram becomes zeros, where nothing is ever read.

use crate::memory::counters::Counters;
use crate::memory::frames::{Frame, Frames};
use crate::memory::log::Log;
use crate::xsk::ring::Descriptor;
use relay_common::abi::Stamp;
use relay_common::counters::{LaneCounter, relay};
use relay_common::datagram::Datagram;
use relay_common::drops::Drop;
use relay_common::entry::{MAX_OUTPUTS_PER_RELAY, OutputEntry, RelayEntry};
use relay_common::looping::Guard;
use relay_common::meter::{Meter, Tally as _};
use relay_common::rewrite::{NewHeader, rewrite};
use relay_common::table::image::Image;
use relay_common::unfinished;
use zerocopy::FromBytes;

mod round_trip; // packets that come round over other nodes
mod show; // packets for whoever captures them
pub use show::Showing;

/// The shortest frame that Ethernet carries, without its checksum; not every driver fills shorter ones up.
const SHORTEST: usize = 60;

/// A received packet: its frame, and where in the frame its bytes are.
#[derive(Debug)]
pub struct Received {
    /// The frame.
    pub frame: Frame,
    /// Where the packet begins in it.
    pub at: u32,
    /// How long the packet is.
    pub len: u32,
}

/// What is to go on one transmit ring.
#[derive(Debug, Default)]
pub struct Outbox {
    /// How many more descriptors the ring takes.
    pub room: u32,
    /// Whether there is a ring: while a link's socket is replaced there is none.
    pub is_open: bool,
    /// Whether a packet found it full.
    pub is_missed: bool,
    /// The descriptors.
    pub descriptors: Vec<Descriptor>,
}

/// Everything that forwarding works on besides the packets.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The lane's frames.
    pub frames: &'a mut Frames,
    /// The journal of the commit under way.
    pub log: &'a mut Log,
    /// One outbox for each output link, by its number in the table.
    pub outboxes: &'a mut [Outbox],
    /// The lane's counters.
    pub counters: &'a Counters,
    /// One meter for each relay, by its slot.
    pub meters: &'a mut [Meter],
    /// One guard for each relay, by its slot.
    pub guards: &'a mut [Guard],
    /// Where packets are shown, while anybody wants to see any.
    pub tap: Option<Showing<'a>>,
}

/// When and where a batch came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The link it came in on.
    pub ifindex: u32,
    /// The time, in nanoseconds of the monotonic clock.
    pub now: u64,
}

/// Forwards a batch. Every frame ends on transmit rings or in the pool, and every packet that is not sent is counted.
#[inline]
pub fn forward(received: &mut Vec<Received>, arrival: Arrival, table: &Image<'_>, bench: &mut Bench<'_>) {
    for packet in received.drain(..) {
        forward_one(packet, arrival, table, bench);
    }
}

#[inline]
fn forward_one(mut packet: Received, arrival: Arrival, table: &Image<'_>, bench: &mut Bench<'_>) {
    let stamp = take_stamp(&mut packet, bench.frames);
    let (from, to) = (packet.at as usize, (packet.at + packet.len) as usize);
    let Ok(mut datagram) = Datagram::parse(&bench.frames.bytes(&packet.frame)[from..to]) else {
        bench.counters.dropped(Drop::Malformed);
        return bench.frames.release(packet.frame, bench.log);
    };
    let key = datagram.key(arrival.ifindex);
    let source = &datagram.source;
    let is_right = |relay: &&RelayEntry| stamp.magic == Stamp::MAGIC && table.takes(relay, &key, source);
    let hinted = table.relay(stamp.slot).filter(is_right);
    let found = match hinted {
        Some(relay) => {
            bench.counters.add(LaneCounter::StampHits, 1);
            Some((stamp.slot, relay))
        }
        None => table.find(&key, source).and_then(|slot| Some((slot, table.relay(slot)?))),
    };
    let Some((slot, relay)) = found else {
        bench.counters.dropped(Drop::NoRelay);
        return bench.frames.release(packet.frame, bench.log);
    };
    let mut line = bench.counters.received(slot, u64::from(datagram.end - datagram.l3), arrival.now);
    let seen_at = if hinted.is_some() { stamp.time_ns } else { arrival.now };
    if let Some(meter) = bench.meters.get_mut(slot as usize) {
        let frame = bench.frames.bytes(&packet.frame);
        meter.see(relay, &frame[from + datagram.payload as usize..from + datagram.end as usize], seen_at, &mut line);
    }
    if unfinished::finish(&bench.frames.bytes(&packet.frame)[from..to], &mut datagram) {
        line.add(relay::CHECKSUMS_COMPLETED, 1);
    }
    if bench.tap.is_some() {
        let at = bench.frames.start(&packet.frame) + from as u64;
        show::arrived(at, packet.len, slot, (seen_at, arrival), bench);
    }
    let outputs = table.outputs_of(relay);
    if relay.is_muted() {
        outputs.iter().for_each(|output| bench.counters.output_dropped(output.counter, Drop::Muted));
        return bench.frames.release(packet.frame, bench.log);
    }
    if let Some(guard) = bench.guards.get_mut(slot as usize)
        && guard.is_due(datagram.checksum, arrival.now)
    {
        let frame = &bench.frames.bytes(&packet.frame)[from..to];
        if !round_trip::may_go(guard, frame, &mut datagram, (relay.epoch, arrival.now), &mut line) {
            bench.counters.relay_dropped(slot, Drop::Looped);
            return bench.frames.release(packet.frame, bench.log);
        }
    }
    match send(&mut packet, &datagram, outputs, bench) {
        Ok(0) => {
            if relay.n_outputs == 0 {
                bench.counters.relay_dropped(slot, Drop::NoOutput);
            }
            bench.frames.release(packet.frame, bench.log);
        }
        Ok(rings) => {
            bench.frames.send(packet.frame, rings, bench.log);
            if stamp.magic == Stamp::MAGIC && hinted.is_some() {
                bench.counters.latency(arrival.now.saturating_sub(stamp.time_ns));
            }
        }
        Err(reason) => {
            bench.counters.relay_dropped(slot, reason);
            bench.frames.release(packet.frame, bench.log);
        }
    }
}

/// Reads what the XDP program wrote in front of the packet, and wipes it: a frame that comes back through a driver
/// without a metadata area must not bring an old stamp.
#[inline]
fn take_stamp(packet: &mut Received, frames: &mut Frames) -> Stamp {
    let Some(at) = (packet.at as usize).checked_sub(size_of::<Stamp>()) else { return Stamp::NONE };
    let place = &mut frames.bytes_mut(&mut packet.frame)[at..at + size_of::<Stamp>()];
    let stamp = Stamp::read_from_bytes(place).unwrap_or(Stamp::NONE);
    place[..4].fill(0);
    stamp
}

/// Sends a packet to all outputs that can take it. Says how many transmit rings will hold the received frame itself.
#[inline]
fn send(
    packet: &mut Received,
    datagram: &Datagram,
    outputs: &[OutputEntry],
    bench: &mut Bench<'_>,
) -> Result<u8, Drop> {
    let mut rings_of_original = 0;
    let mut rest = outputs;
    while let Some(first) = rest.first() {
        // Outputs whose bytes are the same stand side by side: they share a frame.
        let n = 1 + rest[1..].iter().take_while(|output| output.flags & OutputEntry::SHARES != 0).count();
        let (class, others) = rest.split_at(n.min(MAX_OUTPUTS_PER_RELAY));
        rest = others;
        let length = u32::from(datagram.end - datagram.l3);
        let ready = make_room(class, length, datagram.ttl, bench);
        let n_ready = n_bits(ready);
        if n_ready == 0 {
            continue;
        }
        let is_original = rings_of_original == 0;
        let made = if is_original {
            let made = rewrite_original(packet, datagram, first, bench);
            if made.is_err() {
                give_room_back(class, ready, bench);
            }
            rings_of_original = n_ready;
            Ok(made?)
        } else {
            send_copy(packet, datagram, first, n_ready, bench)
        };
        for (i, output) in class.iter().enumerate().filter(|(i, _)| ready >> i & 1 != 0) {
            debug_assert!(i < 64, "a class fits the mask");
            match made {
                Ok(descriptor) => {
                    bench.outboxes[output.link as usize].descriptors.push(descriptor);
                    bench.counters.sent(output.counter, u64::from(length));
                    if bench.tap.is_some() {
                        show::sent(output, descriptor, is_original, bench);
                    }
                }
                Err(reason) => {
                    bench.outboxes[output.link as usize].room += 1;
                    bench.counters.output_dropped(output.counter, reason);
                }
            }
        }
    }
    Ok(rings_of_original)
}

/// Takes a place on its ring for each output that can take a packet of that length: bit `i` stands for output `i`.
/// The others count a drop.
#[inline]
fn make_room(class: &[OutputEntry], length: u32, ttl: u8, bench: &mut Bench<'_>) -> u64 {
    let mut ready = 0;
    for (i, output) in class.iter().enumerate() {
        let reason = if output.flags & OutputEntry::PENDING != 0 {
            Drop::Pending
        } else if length > output.mtu {
            Drop::OverMtu
        } else if output.flags & OutputEntry::DECREMENTS_TTL != 0 && ttl <= 1 {
            Drop::TtlExpired
        } else {
            match bench.outboxes.get_mut(output.link as usize) {
                Some(outbox) if outbox.room > 0 => {
                    outbox.room -= 1;
                    ready |= 1 << i;
                    continue;
                }
                Some(outbox) if outbox.is_open => {
                    outbox.is_missed = true;
                    Drop::TxFull
                }
                _ => Drop::Pending,
            }
        };
        bench.counters.output_dropped(output.counter, reason);
    }
    ready
}

/// Gives back the places of a packet that is sent nowhere: those behind it may need them.
#[cold]
fn give_room_back(class: &[OutputEntry], ready: u64, bench: &mut Bench<'_>) {
    for (_, output) in class.iter().enumerate().filter(|(i, _)| ready >> i & 1 != 0) {
        bench.outboxes[output.link as usize].room += 1;
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a mask has 64 bits")]
const fn n_bits(mask: u64) -> u8 {
    mask.count_ones() as u8
}

/// Computes the received frame's new header into the journal; the frame itself changes in the commit.
///
/// An error can only be of the datagram, not of the output: then no class before this one was sent either.
#[inline]
fn rewrite_original(
    packet: &mut Received,
    datagram: &Datagram,
    output: &OutputEntry,
    bench: &mut Bench<'_>,
) -> Result<Descriptor, Drop> {
    let (from, to) = (packet.at as usize, (packet.at + packet.len) as usize);
    let place = bench.log.header();
    let bytes = &bench.frames.bytes(&packet.frame)[from..to];
    let payload_at = from + datagram.payload as usize;
    let start = rewrite(bytes, datagram, &output.rewrite, &mut place.header)
        .and_then(|()| payload_at.checked_sub(place.header.len as usize).ok_or(Drop::Malformed));
    let Ok(start) = start else {
        bench.log.forget_header();
        return Err(start.err().unwrap_or(Drop::Malformed));
    };
    place.at = bench.frames.start(&packet.frame) + start as u64;
    let at = place.at;
    let end = from + datagram.end as usize;
    let len = fill_up(bench.frames.bytes_mut(&mut packet.frame), start, end);
    Ok(Descriptor { at, len, options: 0 })
}

/// Sends a copy with another header on `rings` rings.
#[inline]
fn send_copy(
    packet: &Received,
    datagram: &Datagram,
    output: &OutputEntry,
    rings: u8,
    bench: &mut Bench<'_>,
) -> Result<Descriptor, Drop> {
    let mut copy = bench.frames.reserve().ok_or(Drop::NoFrame)?;
    let made = write_copy(packet, &mut copy, datagram, output, bench);
    match made {
        Ok(_) => {
            bench.counters.add(LaneCounter::Copied, 1);
            bench.frames.send(copy, rings, bench.log);
        }
        Err(_) => bench.frames.release(copy, bench.log),
    }
    made
}

/// Writes a copy with another header. The payload stays at its place in the frame.
#[inline]
fn write_copy(
    packet: &Received,
    copy: &mut Frame,
    datagram: &Datagram,
    output: &OutputEntry,
    bench: &mut Bench<'_>,
) -> Result<Descriptor, Drop> {
    let (from, to) = (packet.at as usize, (packet.at + packet.len) as usize);
    let frame_start = bench.frames.start(copy);
    let (original, copied) = bench.frames.pair(&packet.frame, copy);
    let mut header = NewHeader::EMPTY;
    rewrite(&original[from..to], datagram, &output.rewrite, &mut header)?;
    let payload_at = from + datagram.payload as usize;
    let end = from + datagram.end as usize;
    let start = payload_at.checked_sub(header.len as usize).ok_or(Drop::Malformed)?;
    copied[start..payload_at].copy_from_slice(header.as_bytes());
    copied[payload_at..end].copy_from_slice(&original[payload_at..end]);
    Ok(Descriptor { at: frame_start + start as u64, len: fill_up(copied, start, end), options: 0 })
}

/// The length to send. What follows the datagram is not passed on; a frame that would be too short is filled with
/// zeros. Doing that twice does no harm: nothing behind the datagram is ever read.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a frame has 4096 bytes at most")]
fn fill_up(frame: &mut [u8], start: usize, end: usize) -> u32 {
    let wanted = (start + SHORTEST).min(frame.len());
    if end < wanted {
        frame[end..wanted].fill(0);
    }
    (end.max(wanted) - start) as u32
}

#[cfg(test)]
mod tests;
