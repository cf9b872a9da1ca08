//! Relays whose packets come round over other nodes, as their lanes have found out.

use super::stream;
use crate::view::LaneView;
use relay_common::counters::relay;
use relay_common::looping::Found;
use relay_common::plan::Relay;
use std::sync::Arc;

/// Where the packets of the relay at that slot come round from, while they do.
#[must_use]
pub fn found(lanes: &[Arc<LaneView>], slot: u32, now: u64) -> Option<Found> {
    let read =
        |lane: &Arc<LaneView>| [relay::LOOPS_UNTIL, relay::LOOP_FROM].map(|place| lane.counters.get_relay(slot, place));
    let latest = lanes.iter().map(read).filter(|[until, _]| *until > now).max();
    latest.map(|[_, word]| Found::from_word(word))
}

/// What there is to say of it.
#[must_use]
pub fn text(relay: &Relay, found: Found) -> String {
    let what = if found.all { "nothing is sent" } else { "what comes from there is dropped" };
    format!(
        "what it sends comes in again on {}, from {found}: {what} (looped), and it is tried again after a while. Find the node \
         with that address, and take the relay or the output that closes the way round out there or here",
        stream::input(relay)
    )
}
