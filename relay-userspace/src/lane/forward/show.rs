//! Packets for whoever captures them: as they came in, and as they leave.

use super::{Arrival, Bench};
use crate::memory::tap::{About, TapWriter, Way};
use crate::xsk::ring::Descriptor;
use relay_common::counters::LaneCounter;
use relay_common::entry::OutputEntry;

/// The tap while somebody wants to see packets, and the packet that is forwarded now if it is one of them.
///
/// It stands here and is not handed on, so that forwarding has no more to do than to see that there is none.
#[derive(Debug)]
pub struct Showing<'a> {
    tap: &'a mut TapWriter,
    /// The relay's slot, and when the packet leaves.
    packet: Option<(u32, u64)>,
}

impl<'a> Showing<'a> {
    /// Begins to show packets.
    pub const fn new(tap: &'a mut TapWriter) -> Self {
        Self { tap, packet: None }
    }
}

/// Shows a packet as it came in, if its relay's are wanted: where it lies in the area, and when it was seen.
#[cold]
#[inline(never)]
pub(super) fn arrived(at: u64, len: u32, slot: u32, (time_ns, arrival): (u64, Arrival), bench: &mut Bench<'_>) {
    let (Some(showing), Ok(at)) = (&mut bench.tap, usize::try_from(at)) else { return };
    showing.packet = showing.tap.wants(slot).then_some((slot, arrival.now));
    if showing.packet.is_some() {
        let about = About { time_ns, slot, way: Way::In { ifindex: arrival.ifindex } };
        let bytes = bench.frames.bytes_at(at, len as usize);
        if !showing.tap.show(&about, [bytes, &[]]) {
            bench.counters.add(LaneCounter::NotShown, 1);
        }
    }
}

/// Shows the packet as it leaves by an output. The header of the received frame itself is still in the journal.
#[cold]
#[inline(never)]
pub(super) fn sent(output: &OutputEntry, packet: Descriptor, is_original: bool, bench: &mut Bench<'_>) {
    let Some(Showing { tap, packet: Some((slot, time_ns)) }) = &mut bench.tap else { return };
    let way = Way::Out { link: output.link, counter: output.counter };
    let about = About { time_ns: *time_ns, slot: *slot, way };
    let Ok(at) = usize::try_from(packet.at) else { return };
    let bytes = bench.frames.bytes_at(at, packet.len as usize);
    let header = if is_original { bench.log.last_header() } else { &[] };
    if !tap.show(&about, [header, &bytes[header.len()..]]) {
        bench.counters.add(LaneCounter::NotShown, 1);
    }
}
