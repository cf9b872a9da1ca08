//! Jitter, gaps and interruptions of made-up streams.

use super::{Arrival, Gap};
use alloc::vec::Vec;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// The arrival of packets with these gaps, the first at one second.
fn after(gaps: &[u64]) -> (Arrival, Vec<Gap>) {
    let mut arrival = Arrival::NEW;
    let mut at = SECOND;
    assert_eq!(arrival.see(at, None, SECOND), None, "the first packet has no gap");
    let seen = gaps.iter().map(|gap| {
        at += gap;
        arrival.see(at, None, SECOND).unwrap()
    });
    let seen = seen.collect();
    (arrival, seen)
}

#[test]
fn an_even_stream_has_no_jitter() {
    let (arrival, seen) = after(&[1_000_000; 100]);
    assert_eq!(arrival.jitter_ns(), 0);
    assert!(seen.iter().all(|gap| *gap == Gap { ns: 1_000_000, is_interruption: false }));
}

#[test]
fn an_uneven_stream_settles_at_its_variation() {
    let gaps: Vec<u64> = (0..400).map(|i| if i % 2 == 0 { 900_000 } else { 1_100_000 }).collect();
    let jitter = after(&gaps).0.jitter_ns();
    assert!((199_000..=200_000).contains(&jitter), "{jitter}");
}

#[test]
fn timestamps_say_what_was_intended() {
    // Bursts by design: three packets of one frame at once, then 40 ms. The sender's timestamps say so.
    let mut arrival = Arrival::NEW;
    for i in 0..300_u32 {
        let frame = i / 3;
        arrival.see(
            SECOND + u64::from(frame) * 40_000_000,
            Some(frame.wrapping_mul(3600).wrapping_sub(10_000)),
            SECOND,
        );
    }
    assert_eq!(arrival.jitter_ns(), 0, "across the wrap of the timestamp, too");
    arrival.see(SECOND + 100 * 40_000_000 + 1600, Some(100 * 3600 - 10_000), SECOND);
    assert_eq!(arrival.jitter_ns(), 100, "1600 ns late: a sixteenth of that");
}

#[test]
fn a_jump_of_the_timestamp_is_no_jitter() {
    let mut arrival = Arrival::NEW;
    for (i, timestamp) in [0, 90, 3_000_000_000, 3_000_000_090].into_iter().enumerate() {
        arrival.see(SECOND + i as u64 * 1_000_000, Some(timestamp), SECOND);
    }
    assert_eq!(arrival.jitter_ns(), 0);
}

#[test]
fn a_silence_is_an_interruption_and_no_jitter() {
    let (arrival, seen) = after(&[1_000_000, SECOND, SECOND + 1, 1_000_000, 1_000_000]);
    let interruptions: Vec<bool> = seen.iter().map(|gap| gap.is_interruption).collect();
    assert_eq!(interruptions, [false, false, true, false, false], "only what is longer");
    let before = after(&[1_000_000, SECOND]).0.jitter_ns();
    assert!(arrival.jitter_ns() <= before, "the silence itself added nothing");
    let mut never = Arrival::NEW;
    never.see(1, None, 0);
    assert_eq!(never.see(u64::MAX, None, 0).map(|gap| gap.is_interruption), Some(false), "0 turns it off");
}

proptest! {
    #[test]
    fn jitter_never_exceeds_the_largest_variation(gaps in proptest::collection::vec(0..SECOND, 1..200)) {
        let most = gaps.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0);
        let (arrival, seen) = after(&gaps);
        prop_assert!(arrival.jitter_ns() <= most);
        prop_assert!(seen.iter().zip(&gaps).all(|(seen, gap)| seen.ns == *gap));
    }

    #[test]
    fn no_time_and_no_timestamp_breaks_it(packets in proptest::collection::vec((any::<u64>(), any::<Option<u32>>()), 0..50)) {
        let mut arrival = Arrival::NEW;
        for (at, timestamp) in packets {
            arrival.see(at, timestamp, SECOND);
        }
    }
}
