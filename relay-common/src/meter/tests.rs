//! A whole meter: what of a packet ends up in which counter.

use super::{Meter, Tally};
use crate::counters::{RELAY_WORDS, relay};
use crate::entry::RelayEntry;
use alloc::vec::Vec;
use zerocopy::FromZeros;

struct Line([u64; RELAY_WORDS]);

impl Tally for Line {
    fn add(&mut self, place: usize, n: u64) {
        self.0[place] += n;
    }

    fn set(&mut self, place: usize, value: u64) {
        self.0[place] = value;
    }

    fn raise(&mut self, place: usize, value: u64) {
        self.0[place] = self.0[place].max(value);
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
