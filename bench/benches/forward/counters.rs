//! What counting costs a lane: the counters by themselves, as `forward` calls them.

use crate::case::Case;
use relay_common::counters::LaneCounter;
use relay_common::drops::Drop;
use relay_engine::memory::counters::Counters;
use std::hint::black_box;

/// As a lane has them by default.
const MAX_RELAYS: u32 = 4096;
const MAX_OUTPUTS: u32 = 16_384;
/// An IP packet with seven TS packets.
const LENGTH: u64 = 1344;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("count what came in", |counters| {
            counters.add(LaneCounter::StampHits, 1);
            counters.received(black_box(1234), LENGTH, black_box(1000));
            counters.latency(black_box(40_000));
        }),
        case("count what was sent", |counters| counters.sent(black_box(1234), LENGTH)),
        case("count a drop", |counters| counters.output_dropped(black_box(1234), Drop::TxFull)),
    ]
}

fn case(name: &str, count: impl Fn(&Counters) + Copy + 'static) -> Case {
    Case::of_packet(name, move || {
        let counters = Counters::private(MAX_RELAYS, MAX_OUTPUTS).expect("memory");
        move || count(black_box(&counters))
    })
}
