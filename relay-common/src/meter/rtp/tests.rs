//! Sequences that lose, double and reorder, against a count of what was left out.

use super::{Header, MAX_DROPOUT, Rtp, Sequence, WINDOW};
use alloc::{collections::BTreeMap, vec, vec::Vec};
use proptest::prelude::*;

fn header(source: u32, sequence: u16) -> Header {
    Header { sequence, timestamp: 0, source, kind: 33, payload: 12 }
}

/// What was counted of a sequence of one source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    packets: u32,
    lost: u32,
    late: u32,
    duplicates: u32,
    restarts: u32,
}

fn count(packets: impl IntoIterator<Item = Header>) -> Count {
    let mut rtp = Rtp::NEW;
    let mut count = Count::default();
    for packet in packets {
        let sequence = rtp.see(&packet);
        count.packets += u32::from(sequence != Sequence::Unknown);
        match sequence {
            Sequence::Unknown => {}
            Sequence::Next { lost } => count.lost += lost,
            Sequence::Late => count.late += 1,
            Sequence::Duplicate => count.duplicates += 1,
            Sequence::Restart { lost } => (count.restarts, count.lost) = (count.restarts + 1, count.lost + lost),
        }
    }
    count
}

fn of(sequences: impl IntoIterator<Item = u16>) -> Count {
    count(sequences.into_iter().map(|sequence| header(7, sequence)))
}

/// Numbers from `from` on, across the wrap.
fn run(from: u16, n: u16) -> impl Iterator<Item = u16> {
    (0..n).map(move |i| from.wrapping_add(i))
}

#[test]
fn a_header_is_read_with_all_that_stands_before_the_payload() {
    let mut bytes = vec![0x80, 0x80 | 33, 1, 2, 0, 0, 0, 9, 0xaa, 0xbb, 0xcc, 0xdd];
    let plain = Header { sequence: 0x102, timestamp: 9, source: 0xaabb_ccdd, kind: 33, payload: 12 };
    assert_eq!(Header::parse(&bytes), Some(plain));
    assert_eq!(plain.ticks(), Some(9));
    assert_eq!(Header { kind: 96, ..plain }.ticks(), None, "a dynamic type can have any clock");
    assert_eq!(Header::parse(&bytes[..11]), None);
    bytes[0] = 0x92; // two contributing sources and an extension
    bytes.extend([0; 8]);
    assert_eq!(Header::parse(&bytes), None, "the extension is missing");
    bytes.extend([0xbe, 0xde, 0, 3]);
    assert_eq!(Header::parse(&bytes).map(|header| header.payload), Some(12 + 8 + 4 + 12));
}

#[test]
fn what_cannot_be_rtp_is_not() {
    let with = |first, second| Header::parse(&[first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_some();
    assert!(with(0x80, 96));
    assert!(!with(0x47, 0x40), "a TS packet");
    assert!(!with(0x40, 96) && !with(0xc0, 96), "other versions");
    assert!(!with(0x80, 200) && !with(0x80, 204), "RTCP");
}

#[test]
fn a_whole_sequence_loses_nothing() {
    let whole = of(run(65_000, 5000));
    assert_eq!(whole, Count { packets: 5000 - 3, ..Count::default() }, "three were not believed yet");
}

#[test]
fn what_does_not_continue_is_never_rtp() {
    let backwards = (0..1000).map(|i| header(7, 65_000 - i));
    assert_eq!(count(backwards), Count::default());
    let of_others = (0..1000).map(|i| header(u32::from(i), i));
    assert_eq!(count(of_others), Count::default());
}

#[test]
fn every_missing_packet_is_counted_once_it_cannot_come_any_more() {
    let hole = |at: u16, n: u16| run(65_500, 200).filter(move |s| s.wrapping_sub(65_500).wrapping_sub(at) >= n);
    assert_eq!(of(hole(100, 1)).lost, 1);
    assert_eq!(of(hole(36, 40)).lost, 40, "across the wrap");
    assert_eq!(of(run(0, 100).filter(|s| *s != 90)).lost, 0, "it may still come");
    assert_eq!(of(run(0, 90 + WINDOW + 1).filter(|s| *s != 90)).lost, 1);
}

#[test]
fn a_long_hole_is_loss_and_a_longer_one_another_sequence() {
    let jump = |by: u16| of(run(0, 100).chain(run(99 + by, 200)));
    let most = jump(MAX_DROPOUT);
    assert_eq!((most.lost, most.restarts), (u32::from(MAX_DROPOUT) - 1, 0));
    let more = jump(MAX_DROPOUT + 1);
    assert_eq!((more.lost, more.restarts), (0, 1));
    let back = of(run(1000, 100).chain(run(500, 200)));
    assert_eq!((back.lost, back.restarts, back.late), (0, 1, 0));
}

#[test]
fn overtaken_and_doubled_packets_are_told_apart() {
    let late = of(run(0, 50).chain([51, 52, 50]).chain(run(53, 200)));
    assert_eq!(late, Count { packets: 250, late: 1, ..Count::default() });
    let twice = of(run(0, 50).chain([49, 49, 20]).chain(run(50, 200)));
    assert_eq!(twice, Count { packets: 250, duplicates: 3, ..Count::default() });
    let both = of(run(0, 50).chain([51, 50, 50]).chain(run(52, 200)));
    assert_eq!((both.late, both.duplicates, both.lost), (1, 1, 0));
}

#[test]
fn another_source_begins_anew_and_one_that_strays_in_changes_nothing() {
    let change = run(0, 100).map(|s| header(1, s)).chain(run(40_000, 100).map(|s| header(2, s)));
    assert_eq!(count(change), Count { packets: 194, restarts: 1, ..Count::default() });
    let mixed = run(0, 1000).flat_map(|s| [header(1, s), header(2, s.wrapping_mul(77))]);
    assert_eq!(count(mixed), Count { packets: 0, ..Count::default() }, "two at once are nobody's sequence");
    let stray = run(0, 1000).map(|s| if s % 100 == 50 { header(2, s / 100) } else { header(1, s) });
    let stray = count(stray);
    assert_eq!((stray.restarts, stray.lost), (0, 9), "the last hole may still be filled");
}

#[test]
fn holes_of_a_sequence_that_ends_are_counted_when_another_begins() {
    let ends = run(0, 100).filter(|s| *s != 98).chain(run(30_000, 10));
    assert_eq!(of(ends), Count { packets: 96 + 7, lost: 1, restarts: 1, ..Count::default() });
}

proptest! {
    /// Loses some, doubles some, delays some by a few places: each kind is counted exactly.
    #[test]
    fn a_bad_network_is_counted_exactly(
        from in any::<u16>(),
        fates in proptest::collection::vec((0..20_u8, 1..20_usize), 10..2000),
    ) {
        // Place in time, sequence: a packet takes the places of those that overtake it.
        let mut sent: Vec<(usize, u16)> = Vec::new();
        let (mut lost, mut doubled) = (0, 0);
        for (i, (fate, delay)) in fates.iter().enumerate() {
            let sequence = from.wrapping_add(8).wrapping_add(u16::try_from(i).unwrap());
            match fate {
                0 => lost += 1,
                1 => { doubled += 1; sent.extend([(i, sequence), (i + delay, sequence)]); }
                2 => sent.push((i + delay, sequence)),
                _ => sent.push((i, sequence)),
            }
        }
        sent.sort_by_key(|(time, _)| *time);
        let end = from.wrapping_add(8).wrapping_add(u16::try_from(fates.len()).unwrap());
        let whole = run(from, 8).chain(sent.iter().map(|(_, sequence)| *sequence)).chain(run(end, WINDOW + 1));
        let counted = of(whole);
        let mut newest = 0;
        let mut first: BTreeMap<u16, ()> = BTreeMap::new();
        let late = sent.iter().filter(|(_, sequence)| {
            let at = sequence.wrapping_sub(from);
            let is_late = at < newest && !first.contains_key(&at);
            first.insert(at, ());
            newest = newest.max(at);
            is_late
        });
        let late = u32::try_from(late.count()).unwrap();
        prop_assert_eq!((counted.lost, counted.duplicates, counted.late, counted.restarts), (lost, doubled, late, 0));
    }

    #[test]
    fn no_bytes_break_it(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..50)) {
        let mut rtp = Rtp::NEW;
        for datagram in &datagrams {
            if let Some(header) = Header::parse(datagram) {
                rtp.see(&header);
            }
        }
    }
}
