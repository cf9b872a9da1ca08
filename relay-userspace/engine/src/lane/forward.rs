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
use relay_common::abi::{Address, InputKey, Stamp};
use relay_common::counters::{LaneCounter, relay};
use relay_common::datagram::Datagram;
use relay_common::drops::Drop;
use relay_common::entry::{OutputEntry, RelayEntry};
use relay_common::looping::Guard;
use relay_common::meter::{Meter, Tally as _};
use relay_common::table::image::Image;
use relay_common::unfinished;

mod round_trip; // packets that come round over other nodes
mod send; // the frames that leave by the outputs
mod show; // packets for whoever captures them
use send::{send, send_to_one};
pub use show::Showing;

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

impl Received {
    /// Its bytes.
    #[inline]
    fn bytes<'a>(&self, frames: &'a Frames) -> &'a [u8] {
        &frames.bytes(&self.frame)[self.at as usize..][..self.len as usize]
    }
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

impl Outbox {
    /// Puts a descriptor in; there must be room.
    #[inline]
    fn put(&mut self, descriptor: Descriptor) {
        self.room -= 1;
        self.descriptors.push(descriptor);
    }
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
    /// Whether the kernel copies what is sent, and so reads all of it.
    pub is_copied: bool,
}

/// When and where a batch came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The link it came in on.
    pub ifindex: u32,
    /// The time, in nanoseconds of the monotonic clock.
    pub now: u64,
}

/// So many packets ahead the processor fetches what the kernel is going to copy. With more nothing is gained.
const AHEAD: usize = 4;

/// Forwards a batch. Every frame ends on transmit rings or in the pool, and every packet that is not sent is counted.
#[inline]
pub fn forward(received: &mut Vec<Received>, arrival: Arrival, table: &Image<'_>, bench: &mut Bench<'_>) {
    let mut packets = received.drain(..);
    if bench.is_copied {
        packets
            .as_slice()
            .iter()
            .take(AHEAD)
            .for_each(|packet| bench.frames.prefetch(&packet.frame, packet.at, packet.len));
    }
    while let Some(packet) = packets.next() {
        if bench.is_copied
            && let Some(later) = packets.as_slice().get(AHEAD - 1)
        {
            bench.frames.prefetch(&later.frame, later.at, later.len);
        }
        forward_one(packet, arrival, table, bench);
    }
}

#[inline]
fn forward_one(mut packet: Received, arrival: Arrival, table: &Image<'_>, bench: &mut Bench<'_>) {
    let (stamp, bytes) = take_stamp(&mut packet, bench.frames);
    match Datagram::parse_plain(bytes) {
        Some(Ok(datagram)) => forward_datagram(packet, datagram, (stamp, arrival), table, bench),
        _ => forward_other(packet, (stamp, arrival), table, bench),
    }
}

/// Forwards a frame that is not as most are.
#[inline(never)]
fn forward_other(packet: Received, times: (Stamp, Arrival), table: &Image<'_>, bench: &mut Bench<'_>) {
    match Datagram::parse(packet.bytes(bench.frames)) {
        Ok(datagram) => forward_datagram(packet, datagram, times, table, bench),
        Err(_) => {
            bench.counters.dropped(Drop::Malformed);
            bench.frames.release(packet.frame, bench.log);
        }
    }
}

/// Inlined twice, once for datagrams that were parsed as plain: of those most is known when this is compiled. So nothing here
/// lends out `datagram` or parts of it, or all of it would have to stand in memory.
#[inline(always)]
fn forward_datagram(
    packet: Received,
    mut datagram: Datagram,
    (stamp, arrival): (Stamp, Arrival),
    table: &Image<'_>,
    bench: &mut Bench<'_>,
) {
    let key = datagram.key(arrival.ifindex);
    let is_right = |relay: &&RelayEntry| stamp.magic == Stamp::MAGIC && table.takes(relay, &key, &datagram.source);
    let hinted = table.relay(stamp.slot).filter(is_right);
    let found = match hinted {
        Some(relay) => {
            bench.counters.add(LaneCounter::StampHits, 1);
            Some((stamp.slot, relay))
        }
        None => look_up(table, key, datagram.source),
    };
    let Some((slot, relay)) = found else {
        bench.counters.dropped(Drop::NoRelay);
        return bench.frames.release(packet.frame, bench.log);
    };
    let bytes = packet.bytes(bench.frames);
    let mut line = bench.counters.received(slot, u64::from(datagram.end - datagram.l3), arrival.now);
    let seen_at = if hinted.is_some() { stamp.time_ns } else { arrival.now };
    if let Some(meter) = bench.meters.get_mut(slot as usize) {
        meter.see(relay, &bytes[datagram.payload as usize..datagram.end as usize], seen_at, &mut line);
    }
    if unfinished::finish(bytes, &mut datagram) {
        line.add(relay::CHECKSUMS_COMPLETED, 1);
    }
    if let Some(showing) = &mut bench.tap {
        showing.arrived(bytes, slot, (seen_at, arrival), bench.counters);
    }
    let outputs = table.outputs_of(relay);
    if outputs.is_empty() {
        // It has none, or a table that is not sound says of it what cannot be.
        bench.counters.relay_dropped(slot, Drop::NoOutput);
        return bench.frames.release(packet.frame, bench.log);
    }
    if relay.is_muted() {
        outputs.iter().for_each(|output| bench.counters.output_dropped(output.counter, Drop::Muted));
        return bench.frames.release(packet.frame, bench.log);
    }
    if let Some(guard) = bench.guards.get_mut(slot as usize)
        && guard.is_due(datagram.checksum, arrival.now)
    {
        match round_trip::look(guard, bytes, datagram, (relay.epoch, arrival.now), &mut line) {
            Ok(mark) => datagram.mark = mark,
            Err(reason) => {
                bench.counters.relay_dropped(slot, reason);
                return bench.frames.release(packet.frame, bench.log);
            }
        }
    }
    let latency = hinted.map(|_| arrival.now.saturating_sub(stamp.time_ns));
    if let [output] = outputs {
        let sent = send_to_one(&packet, &datagram, output, bench);
        settle(packet, sent, (slot, latency), bench);
    } else {
        send_to_all(packet, datagram, outputs, (slot, latency), bench);
    }
}

/// The relay of a packet whose stamp does not say it.
#[inline(never)]
fn look_up<'a>(table: &Image<'a>, key: InputKey, source: Address) -> Option<(u32, &'a RelayEntry)> {
    let slot = table.find(&key, &source)?;
    Some((slot, table.relay(slot)?))
}

/// Sends a packet of a relay that has not just one output.
#[inline(never)]
fn send_to_all(
    mut packet: Received,
    datagram: Datagram,
    outputs: &[OutputEntry],
    (slot, latency): (u32, Option<u64>),
    bench: &mut Bench<'_>,
) {
    let sent = send(&mut packet, &datagram, outputs, bench);
    settle(packet, sent, (slot, latency), bench);
}

/// What becomes of the received frame, when so many transmit rings hold it or none could.
#[inline]
fn settle(packet: Received, sent: Result<u8, Drop>, (slot, latency): (u32, Option<u64>), bench: &mut Bench<'_>) {
    match sent {
        Ok(0) => bench.frames.release(packet.frame, bench.log),
        Ok(rings) => {
            bench.frames.send(packet.frame, rings, bench.log);
            if let Some(ns) = latency {
                bench.counters.latency(ns);
            }
        }
        Err(reason) => {
            bench.counters.relay_dropped(slot, reason);
            bench.frames.release(packet.frame, bench.log);
        }
    }
}

/// Reads what the XDP program wrote in front of the packet, and wipes it: a frame that comes back through a driver
/// without a metadata area must not bring an old stamp. The packet's bytes come with it.
#[inline]
fn take_stamp<'a>(packet: &mut Received, frames: &'a mut Frames) -> (Stamp, &'a [u8]) {
    let (front, bytes) = frames.bytes_mut(&mut packet.frame).split_at_mut(packet.at as usize);
    let bytes = &bytes[..packet.len as usize];
    let Some(place) = front.last_chunk_mut::<{ size_of::<Stamp>() }>() else { return (Stamp::NONE, bytes) };
    let stamp: Stamp = zerocopy::transmute!(*place);
    place[..4].fill(0);
    (stamp, bytes)
}

#[cfg(test)]
mod tests;
