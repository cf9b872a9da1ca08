//! Loops are found, whatever they are like; streams are left alone, whatever they are like.

use super::{CUT_NS, Course, GONE_NS, Guard, LONGEST_CUT, MARKS, Sender, Sighting, mix};
use crate::abi::Address;
use crate::datagram::Datagram;
use crate::fixtures::Recipe;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::Vec;

const US: u64 = 1000;
const MS: u64 = 1000 * US;
const S: u64 = 1000 * MS;
const EPOCH: u32 = 3;

const SOURCE: Sender = sender(1);
const OTHER_NODE: Sender = sender(2);

const fn sender(last: u8) -> Sender {
    Sender { mac: [2, 0, 0, 0, 0, last], ttl: 16, source: Address::v4([10, 0, 0, last]) }
}

/// A packet of that content.
const fn packet(content: u64, mark: u16, sender: Sender) -> Sighting {
    Sighting { content, mark, sender }
}

const fn low(x: u64) -> u16 {
    let [a, b, ..] = x.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// What a lane does with a packet.
fn see(guard: &mut Guard, packet: &Sighting, now: u64) -> Course {
    let checksum = low(mix(packet.content));
    if guard.is_due(checksum, now) { guard.look(checksum, packet, EPOCH, now) } else { Course::Send }
}

/// A packet that comes from another node goes round, `lap` long each time, until it is dropped or the time is up.
fn goes_round(guard: &mut Guard, content: u64, lap: u64, from: u64, to: u64) -> Option<u64> {
    let mut packet = packet(content, 0x1234, OTHER_NODE);
    for now in (from..to).step_by(usize::try_from(lap).unwrap()) {
        match see(guard, &packet, now) {
            Course::Send => {}
            Course::Mark(mark) => packet.mark = mark,
            Course::Cut { .. } | Course::Drop => return Some(now),
        }
    }
    None
}

#[test]
fn one_packet_that_goes_round_is_found_within_a_second_however_long_a_lap_takes() {
    for lap in [5 * US, 100 * US, MS, 10 * MS, 40 * MS, 60 * MS] {
        let mut guard = Guard::NEW;
        let found = goes_round(&mut guard, 7, lap, S, 3 * S).unwrap();
        assert!(found < 2 * S, "laps of {lap} ns: after {} ms", (found - S) / MS);
    }
}

/// Each packet comes back twice, so that the links are always full and half of all are lost, the marked ones too.
#[test]
fn a_loop_that_has_filled_its_links_is_found() {
    const FIT: usize = 60;
    let (mut guard, mut random) = (Guard::NEW, 1);
    let mut round: Vec<Sighting> = Vec::new();
    let found = (0..2000_u64).map(|lap| S + lap * MS).find(|now| {
        round.push(packet(*now, 0, SOURCE));
        let mut next = Vec::new();
        for packet in round.drain(..) {
            let mark = match see(&mut guard, &packet, *now) {
                Course::Send => packet.mark,
                Course::Mark(mark) => mark,
                Course::Cut { .. } | Course::Drop => return true,
            };
            next.extend([Sighting { mark, sender: OTHER_NODE, ..packet }; 2]);
        }
        while next.len() > FIT {
            random = mix(random);
            next.swap_remove(usize::try_from(random % next.len() as u64).unwrap());
        }
        round = next;
        false
    });
    assert!(found.is_some_and(|found| found < 3 * S), "{found:?}");
}

#[test]
fn what_comes_from_elsewhere_is_still_sent_and_what_is_cut_is_tried_again() {
    let mut guard = Guard::NEW;
    let mut from = S;
    for cut in 0..=LONGEST_CUT + 1 {
        let found = goes_round(&mut guard, 7, 100 * US, from, from + S).unwrap();
        assert_eq!(see(&mut guard, &packet(7, 9, OTHER_NODE), found + 1), Course::Drop);
        for n in 0..100 {
            assert_eq!(see(&mut guard, &packet(1000 + n, 9, SOURCE), found + 2 + n * MS), Course::Send);
        }
        let ends = found + (CUT_NS << cut.min(LONGEST_CUT));
        assert_eq!(see(&mut guard, &packet(7, 9, OTHER_NODE), ends - 1), Course::Drop, "cut {cut}");
        from = ends;
    }
    // It is gone: what comes is sent, and the next time it is cut as if for the first.
    for n in 0..100 {
        let course = see(&mut guard, &packet(n, 9, OTHER_NODE), from + n * GONE_NS / 50);
        assert_eq!(course, Course::Send);
    }
    let found = goes_round(&mut guard, 7, 100 * US, from + 3 * GONE_NS, from + 4 * GONE_NS).unwrap();
    assert_eq!(see(&mut guard, &packet(7, 9, OTHER_NODE), found + CUT_NS), Course::Send);
}

#[test]
fn a_second_way_round_cuts_all() {
    let mut guard = Guard::NEW;
    let found = goes_round(&mut guard, 7, 100 * US, S, 2 * S).unwrap();
    let (mut second, mut now) = (packet(8, 0x99, sender(3)), found);
    let course = loop {
        now += 100 * US;
        match see(&mut guard, &second, now) {
            Course::Mark(mark) => second.mark = mark,
            Course::Send => assert!(now < found + S, "never cut"),
            course => break course,
        }
    };
    assert_eq!(course, Course::Cut { loops_until: now + 2 * CUT_NS + GONE_NS, all: true });
    assert_eq!(see(&mut guard, &packet(5, 5, SOURCE), now + MS), Course::Drop);
}

#[test]
fn another_stream_at_the_same_slot_begins_anew() {
    let mut guard = Guard::NEW;
    let found = goes_round(&mut guard, 7, 100 * US, S, 2 * S).unwrap();
    assert_eq!(guard.look(0, &packet(7, 9, OTHER_NODE), EPOCH + 1, found + 1), Course::Send);
}

#[test]
fn a_packet_is_known_again_by_what_no_relay_changes_on_every_lap() {
    for to in ["239.1.1.1", "ff3e::1"] {
        let sighting = |recipe: &Recipe| {
            let frame = recipe.bytes();
            Sighting::of(frame.as_slice(), &Datagram::parse(frame.as_slice()).unwrap()).unwrap()
        };
        let first = sighting(&Recipe::to(to));
        assert_eq!(first.mark, if to.contains(':') { 0x2345 } else { 0x1234 });
        assert_eq!((first.sender.mac, first.sender.ttl), ([2, 0, 0, 0, 0, 1], 7));
        assert_eq!(sighting(&Recipe { ttl: 3, service: 0, ..Recipe::to(to) }).content, first.content);
        let other = Recipe { payload: (1..189).collect(), checksum: to.contains(':'), ..Recipe::to(to) };
        assert_ne!(sighting(&other).content, first.content, "with a checksum and without");
        assert_ne!(sighting(&Recipe { source_port: 1, ..Recipe::to(to) }).content, first.content);
    }
}

/// How a sender numbers its packets.
#[derive(Clone, Debug)]
enum Numbering {
    Same,
    Counts { by: u16, of: u32 },
    Random,
}

fn numbering() -> impl Strategy<Value = Numbering> {
    prop_oneof![
        Just(Numbering::Same),
        (1..2000_u16, 1..70_000_u32).prop_map(|(by, of)| Numbering::Counts { by, of }),
        Just(Numbering::Random),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Null packets of a transport stream, for an hour or for a moment: never dropped, and hardly ever marked.
    #[test]
    fn a_stream_whose_packets_are_all_the_same_is_never_cut(numbering in numbering(), gap in 100..20_000_000_u64, seed: u64) {
        let mut guard = Guard::NEW;
        let mut marked = 0;
        const PACKETS: u64 = 100_000;
        for n in 0..PACKETS {
            let mark = match numbering {
                Numbering::Same => 0,
                Numbering::Counts { by, of } => low(n % u64::from(of) * u64::from(by)),
                Numbering::Random => low(mix(seed ^ n)),
            };
            match see(&mut guard, &packet(seed, mark, SOURCE), S + n * gap) {
                Course::Send => {}
                Course::Mark(_) => marked += 1,
                course => prop_assert!(false, "packet {n}: {course:?}"),
            }
        }
        // A search each 4.6 seconds, once the pauses are as long as they get; more often at first.
        let seconds = PACKETS * gap / S;
        prop_assert!(marked <= u64::from(MARKS) * (4 + seconds / 4), "{marked} in {seconds} s");
    }

    #[test]
    fn a_stream_whose_packets_differ_is_never_touched(gap in 100..20_000_000_u64, seed: u64, twice: bool) {
        let mut guard = Guard::NEW;
        for n in 0..20_000_u64 {
            let content = mix(seed ^ if twice { n / 2 } else { n });
            let course = see(&mut guard, &packet(content, 0, SOURCE), S + n * gap);
            prop_assert_eq!(course, Course::Send);
        }
    }

    #[test]
    fn a_loop_is_found_in_the_middle_of_a_stream(lap in 5_000..40_000_000_u64, share in 1..10_u64) {
        const FIT: usize = 300;
        let gap = lap.div_ceil(share);
        let mut guard = Guard::NEW;
        // When each packet comes in, what it is, its mark, and from whom.
        let mut coming = BinaryHeap::from([Reverse((S, 0_u64, 0_u16, 1_u8))]);
        let mut cut = None;
        while let Some(Reverse((now, content, mark, from))) = coming.pop()
            && now < 7 * S
        {
            if from == 1 {
                coming.push(Reverse((now + gap, content + 1, 0, 1)));
            }
            let mark = match see(&mut guard, &packet(content, mark, sender(from)), now) {
                Course::Send => mark,
                Course::Mark(mark) => mark,
                course => {
                    cut = Some(course);
                    break;
                }
            };
            if coming.len() < FIT {
                coming.push(Reverse((now + lap, content, mark, 2)));
            }
        }
        let is_cut = matches!(cut, Some(Course::Cut { all: false, .. }));
        prop_assert!(is_cut, "{cut:?}");
    }
}
