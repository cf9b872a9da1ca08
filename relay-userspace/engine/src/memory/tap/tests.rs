//! The ring against a queue, across its end, full, torn and spoilt.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn tap() -> (TapWriter, TapReader) {
    let fd = create().unwrap();
    let reader = TapReader::open(&fd).unwrap();
    reader.set_snap(u32::MAX);
    reader.want(0, true);
    (TapWriter::open(&fd).unwrap(), reader)
}

fn about(n: u32) -> About {
    let way = if n.is_multiple_of(2) { Way::In { ifindex: n } } else { Way::Out { link: n as u16, counter: n } };
    About { time_ns: u64::from(n) << 32, slot: n / 3, way }
}

fn packet(n: u32, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(7).wrapping_add(n) as u8).collect()
}

/// Shows packet `n`, in two parts, as far as anything is wanted.
fn show(writer: &mut TapWriter, n: u32, len: usize) -> bool {
    let bytes = packet(n, len);
    let (first, second) = bytes.split_at(len / 3);
    writer.while_wanted().is_some_and(|writer| writer.show(&about(n), [first, second]))
}

#[test]
fn what_is_shown_is_taken() {
    let (mut writer, mut reader) = tap();
    assert_eq!(reader.take(), None);
    assert!(show(&mut writer, 1, 1358) && show(&mut writer, 2, 0) && show(&mut writer, 3, 61));
    for (n, len) in [(1, 1358), (2, 0), (3, 61)] {
        assert_eq!(reader.take(), Some(Caught { about: about(n), original: len, bytes: packet(n, len as usize) }));
    }
    assert_eq!(reader.take(), None);
}

#[test]
fn no_more_than_was_asked_for_is_shown() {
    let (mut writer, mut reader) = tap();
    for snap in [0, 5, 33, 100, 101] {
        reader.set_snap(snap);
        assert!(show(&mut writer, 9, 100));
        let caught = reader.take().unwrap();
        assert_eq!((caught.original, caught.bytes.len()), (100, snap.min(100) as usize));
        assert_eq!(caught.bytes, packet(9, 100)[..caught.bytes.len()]);
    }
}

#[test]
fn only_slots_that_are_wanted_are_shown() {
    let (mut writer, reader) = tap();
    reader.want_none();
    assert!(writer.while_wanted().is_none());
    assert!(reader.want(70, true) && !reader.want(70, true) && reader.want(MAX_RELAYS - 1, true));
    assert!(!reader.want(MAX_RELAYS, true), "there is no such slot");
    let on = writer.while_wanted().unwrap();
    let wanted = [0, 6, 69, 70, 71, MAX_RELAYS - 1, MAX_RELAYS, u32::MAX].map(|slot| on.wants(slot));
    assert_eq!(wanted, [false, false, false, true, false, true, false, false]);
    assert!(reader.want(70, false) && !reader.want(70, false));
    assert!(writer.while_wanted().is_some_and(|on| !on.wants(70)));
    drop(reader);
    assert!(writer.while_wanted().is_none(), "a reader that is gone wants nothing");
}

#[test]
fn a_full_ring_takes_no_more_until_something_is_taken() {
    let (mut writer, mut reader) = tap();
    let shown = (0..).take_while(|n| show(&mut writer, *n, 1358)).count() as u32;
    assert_eq!(u64::from(shown), RING_BYTES / (RECORD + 1360));
    assert!(!show(&mut writer, 0, 1358), "still full");
    for n in 0..shown {
        assert_eq!(reader.take().map(|caught| caught.about), Some(about(n)), "what was shown before is whole");
        assert!(n < 2 || show(&mut writer, shown + n, 1358) || n == 2);
    }
}

#[test]
fn a_lane_that_dies_in_a_record_has_shown_nothing() {
    let fd = create().unwrap();
    let mut reader = TapReader::open(&fd).unwrap();
    reader.set_snap(u32::MAX);
    reader.want(0, true);
    let mut writer = TapWriter::open(&fd).unwrap();
    assert!(show(&mut writer, 1, 100));
    let head = writer.words.at(HEAD).load(Relaxed);
    writer.part(head, 200).fill(0xee);
    drop(writer);
    let mut successor = TapWriter::open(&fd).unwrap();
    assert!(show(&mut successor, 2, 100));
    let taken: Vec<About> = std::iter::from_fn(|| reader.take()).map(|caught| caught.about).collect();
    assert_eq!(taken, [about(1), about(2)]);
}

#[test]
fn a_reader_begins_with_what_is_shown_to_it() {
    let fd = create().unwrap();
    let first = TapReader::open(&fd).unwrap();
    first.want(0, true);
    let mut writer = TapWriter::open(&fd).unwrap();
    assert!(show(&mut writer, 1, 100));
    std::mem::forget(first); // killed
    let mut second = TapReader::open(&fd).unwrap();
    assert!(writer.while_wanted().is_none());
    assert_eq!(second.take(), None);
}

#[test]
fn memory_that_is_no_tap_is_refused() {
    let fd = crate::memory::create(c"other", BYTES).unwrap();
    assert!(TapWriter::open(&fd).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Shows and takes in any order: a queue of the same packets says what comes and what finds no room.
    #[test]
    fn the_ring_is_a_queue(steps in proptest::collection::vec((any::<bool>(), 0..9000_usize, 1..400_u32), 1..120)) {
        let (mut writer, mut reader) = tap();
        let (mut queue, mut number) = (VecDeque::new(), 0);
        for (is_show, len, times) in steps {
            for _ in 0..times {
                if is_show {
                    number += 1;
                    if show(&mut writer, number, len) {
                        queue.push_back((number, len));
                    } else {
                        // Up to a longest record may be left empty at the end, of this turn and of the one before.
                        let taken: usize = queue.iter().map(|(_, len)| len + 48).sum();
                        prop_assert!((taken + len + 3 * 9048) as u64 > RING_BYTES, "refused with room to spare");
                    }
                } else {
                    let expected = queue.pop_front();
                    let caught = reader.take();
                    prop_assert_eq!(caught.as_ref().map(|caught| caught.about), expected.map(|(n, _)| about(n)));
                    if let Some((caught, (n, len))) = caught.zip(expected) {
                        prop_assert!(caught.bytes == packet(n, len));
                    }
                }
            }
        }
    }

    /// Whatever a lane that was taken over writes: the reader neither panics nor loops.
    #[test]
    fn no_bytes_break_the_reader(
        bytes in proptest::collection::vec(any::<u8>(), 200),
        head in prop_oneof![Just(8_u64), Just(40), Just(48), Just(RING_BYTES), any::<u64>()],
        small in any::<bool>(),
    ) {
        let (mut writer, mut reader) = tap();
        writer.part(0, bytes.len()).copy_from_slice(&bytes);
        if small {
            writer.part(0, 8).copy_from_slice([u32::from(bytes[0]) / 8 * 8, u32::from(bytes[4] % 4)].as_bytes());
        }
        writer.words.at(HEAD).store(head, Release);
        let taken = std::iter::from_fn(|| reader.take()).take(10).count();
        prop_assert!(taken <= 5);
    }
}
