//! Packets for whoever captures them: as they came in, and as they leave.

use super::Arrival;
use crate::memory::counters::Counters;
use crate::memory::frames::Frames;
use crate::memory::tap::{About, TapWriter, Way};
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

    /// Shows a packet as it came in, if its relay's are wanted: its bytes, and when it was seen.
    #[cold]
    #[inline(never)]
    pub(super) fn arrived(&mut self, bytes: &[u8], slot: u32, (time_ns, arrival): (u64, Arrival), counters: &Counters) {
        self.packet = self.tap.wants(slot).then_some((slot, arrival.now));
        if self.packet.is_some() {
            let about = About { time_ns, slot, way: Way::In { ifindex: arrival.ifindex } };
            if !self.tap.show(&about, [bytes, &[]]) {
                counters.add(LaneCounter::NotShown, 1);
            }
        }
    }

    /// Shows the packet as it leaves by an output: where it begins in the area, and its length. `header`: that of the received frame itself, which is still in the
    /// journal.
    #[cold]
    #[inline(never)]
    pub(super) fn sent(
        &mut self,
        output: &OutputEntry,
        (at, len): (u64, u32),
        header: &[u8],
        frames: &Frames,
        counters: &Counters,
    ) {
        let Some((slot, time_ns)) = self.packet else { return };
        let way = Way::Out { link: output.link, counter: output.counter };
        let Ok(at) = usize::try_from(at) else { return };
        let bytes = frames.bytes_at(at, len as usize);
        if !self.tap.show(&About { time_ns, slot, way }, [header, &bytes[header.len()..]]) {
            counters.add(LaneCounter::NotShown, 1);
        }
    }
}
