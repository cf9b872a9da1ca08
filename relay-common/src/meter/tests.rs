//! A whole meter: what of a packet ends up in which counter.

use super::{Meter, Tally};
use crate::counters::{RELAY_WORDS, relay};
use crate::entry::RelayEntry;
use alloc::vec::Vec;
use zerocopy::FromZeros;

struct Line([u64; RELAY_WORDS]);

/// A line of a lane, while the other lane has had its last packet at that time.
struct Beside<'a>(&'a mut Line, u64);

impl Tally for Line {
    fn add(&mut self, place: usize, n: u64) {
        self.0[place] += n;
    }

    fn set(&mut self, place: usize, value: u64) {
        self.0[place] = value;
    }

    fn get(&self, place: usize) -> u64 {
        self.0[place]
    }

    fn elsewhere(&self, _: u64) -> Option<u64> {
        None
    }
}

impl Tally for Beside<'_> {
    fn add(&mut self, place: usize, n: u64) {
        self.0.add(place, n);
    }

    fn set(&mut self, place: usize, value: u64) {
        self.0.set(place, value);
    }

    fn get(&self, place: usize) -> u64 {
        self.0.get(place)
    }

    fn elsewhere(&self, since: u64) -> Option<u64> {
        Some(self.1).filter(|last| *last > since)
    }
}

const BOTH: u16 = RelayEntry::IN_USE | RelayEntry::METER_RTP | RelayEntry::METER_TS;

fn entry(flags: u16, epoch: u32) -> RelayEntry {
    RelayEntry { flags, epoch, silence_ms: 1000, ..RelayEntry::new_zeroed() }
}

/// Two transport packets, as the `n`th datagram of a stream, behind an RTP header or not.
fn datagram(n: u16, is_rtp: bool) -> Vec<u8> {
    let [high, low] = n.to_be_bytes();
    let mut bytes = Vec::new();
    if is_rtp {
        let ticks = u32::from(n) * 90;
        bytes.extend([0x80, 33, high, low]);
        bytes.extend(ticks.to_be_bytes());
        bytes.extend([1, 2, 3, 4]);
    }
    for counter in [2 * n, 2 * n + 1] {
        bytes.extend([0x47, 1, 0, 0x10 | (counter & 0xf) as u8]);
        bytes.extend([0; 184]);
    }
    bytes
}

/// What is counted of datagrams that come a millisecond apart.
fn counted(relay: RelayEntry, numbers: impl IntoIterator<Item = u16>, is_rtp: bool) -> [u64; RELAY_WORDS] {
    let (mut meter, mut line) = (Meter::NEW, Line([0; RELAY_WORDS]));
    for (i, n) in (1_u64..).zip(numbers) {
        meter.see(&relay, &datagram(n, is_rtp), i * 1_000_000, &mut line);
    }
    line.0
}

#[test]
fn a_hole_is_seen_in_rtp_and_in_the_transport_stream() {
    let line = counted(entry(BOTH, 1), (0..200).filter(|n| *n != 100), true);
    assert_eq!((line[relay::RTP_PACKETS], line[relay::RTP_LOST]), (199 - 3, 1));
    assert_eq!((line[relay::TS_PACKETS], line[relay::TS_ERRORS]), (398, 1));
    assert_eq!((line[relay::INTERRUPTIONS], line[relay::LONGEST_GAP]), (0, 1_000_000));
}

#[test]
fn a_transport_stream_needs_no_rtp() {
    let line = counted(entry(BOTH, 1), (0..200).filter(|n| *n != 100), false);
    assert_eq!((line[relay::RTP_PACKETS], line[relay::TS_PACKETS], line[relay::TS_ERRORS]), (0, 398, 1));
    assert_eq!(line[relay::JITTER], 0);
}

#[test]
fn only_what_is_wanted_is_looked_at() {
    let holes = || (0..200).filter(|n| n % 50 != 10);
    let rtp = counted(entry(RelayEntry::IN_USE | RelayEntry::METER_RTP, 1), holes(), true);
    assert_eq!((rtp[relay::RTP_LOST], rtp[relay::TS_PACKETS]), (3, 0));
    let none = counted(entry(RelayEntry::IN_USE, 1), holes(), true);
    assert_eq!((none[relay::RTP_PACKETS], none[relay::TS_PACKETS]), (0, 0));
    assert_eq!(none[relay::LONGEST_GAP], 1_000_000, "arrival is always measured");
}

#[test]
fn another_stream_at_the_slot_begins_anew() {
    let (mut meter, mut line) = (Meter::NEW, Line([0; RELAY_WORDS]));
    for n in 0..100 {
        meter.see(&entry(BOTH, 1), &datagram(n, true), u64::from(n + 1) * 1_000_000, &mut line);
    }
    for n in 37_u16..137 {
        meter.see(&entry(BOTH, 2), &datagram(n.wrapping_mul(1), true), 10_000_000_000 + u64::from(n), &mut line);
    }
    let places = [relay::RTP_LOST, relay::RTP_RESTARTS, relay::TS_ERRORS, relay::INTERRUPTIONS];
    assert_eq!(places.map(|place| line.0[place]), [0; 4]);
}

#[test]
fn a_silence_is_counted() {
    let (mut meter, mut line) = (Meter::NEW, Line([0; RELAY_WORDS]));
    let relay = RelayEntry { silence_ms: 10, ..entry(BOTH, 1) };
    for at in [1, 5_000_001, 15_000_001, 25_000_002, 95_000_000] {
        meter.see(&relay, &[], at, &mut line);
    }
    assert_eq!((line.0[relay::INTERRUPTIONS], line.0[relay::LONGEST_GAP]), (2, 69_999_998));
}

const FINDINGS: [usize; 6] = [
    relay::RTP_LOST,
    relay::RTP_RESTARTS,
    relay::RTP_REORDERED,
    relay::RTP_DUPLICATES,
    relay::TS_ERRORS,
    relay::INTERRUPTIONS,
];

/// A stream, a packet a millisecond, that goes to one lane and the other in turn, so many packets each time; packets
/// that `is_lost` says come to neither. What both lanes find: the sums, and of gaps the longest.
fn moved(turn: u16, is_lost: impl Fn(u16) -> bool, is_rtp: bool) -> [u64; RELAY_WORDS] {
    let relay = RelayEntry { silence_ms: 100, ..entry(BOTH, 1) };
    let mut lanes = [(Meter::NEW, Line([0; RELAY_WORDS]), 0), (Meter::NEW, Line([0; RELAY_WORDS]), 0)];
    for n in (0..4000).filter(|n| !is_lost(*n)) {
        let at = u64::from(n + 1) * 1_000_000;
        let (here, there) = (usize::from(n / turn % 2), 1 - usize::from(n / turn % 2));
        let other = lanes[there].2;
        let (meter, line, last) = &mut lanes[here];
        meter.see(&relay, &datagram(n, is_rtp), at, &mut Beside(line, other));
        *last = at;
    }
    let both = |i: usize| [lanes[0].1.0[i], lanes[1].1.0[i]];
    core::array::from_fn(|i| {
        let [one, other] = both(i);
        if i == relay::LONGEST_GAP { one.max(other) } else { one + other }
    })
}

#[test]
fn a_stream_that_moves_between_lanes_has_lost_nothing() {
    for is_rtp in [true, false] {
        for turn in [500, 150, 7, 1] {
            let found = moved(turn, |_| false, is_rtp);
            assert_eq!(FINDINGS.map(|place| found[place]), [0; 6], "{turn} packets a turn");
            assert_eq!(found[relay::TS_PACKETS], 8000);
            assert!(found[relay::LONGEST_GAP] <= 1_000_000, "{}", found[relay::LONGEST_GAP]);
        }
    }
}

#[test]
fn what_it_loses_while_it_stays_is_counted() {
    let found = moved(500, |n| n % 500 == 250, true);
    assert_eq!((found[relay::RTP_LOST], found[relay::TS_ERRORS]), (8, 8));
    // A pause is found even when the stream comes back by the other lane, to where it was before.
    let found = moved(500, |n| (1800..2050).contains(&n), true);
    assert_eq!((found[relay::INTERRUPTIONS], found[relay::LONGEST_GAP]), (1, 251_000_000));
}
