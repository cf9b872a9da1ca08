//! The table of frames through the decision, natively.

use super::{Decision, Verdict, decide};
use crate::fixtures;
use proptest::prelude::*;
use std::collections::HashSet;
use std::vec::Vec;

#[test]
fn every_case_of_the_table() {
    let groups = fixtures::groups();
    for case in fixtures::cases() {
        let decision = decide(case.frame.as_slice(), case.ifindex, case.queue, &groups);
        assert_eq!(decision, case.expected, "{}", case.name);
    }
}

#[test]
fn the_table_has_every_verdict_and_no_name_twice() {
    let cases = fixtures::cases();
    let verdicts: HashSet<Verdict> = cases.iter().map(|case| case.expected.verdict).collect();
    // What is not in the frame is asked of the driver, before.
    assert!(!verdicts.contains(&Verdict::TagBeside));
    assert_eq!(verdicts.len() + 1, Verdict::ALL.len());
    let names: HashSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len());
}

#[test]
fn verdicts_stand_at_their_index_and_have_a_name_of_their_own() {
    for (index, verdict) in Verdict::ALL.iter().enumerate() {
        assert_eq!(verdict.index() as usize, index);
        assert!(!verdict.help().is_empty());
    }
    let names: HashSet<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
    assert_eq!(names.len(), Verdict::ALL.len());
}

proptest! {
    #[test]
    fn any_bytes_get_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..200), queue in 0..4u32) {
        let decision = decide(bytes.as_slice(), fixtures::LINK, queue, &fixtures::groups());
        prop_assert_ne!(decision.verdict, Verdict::Ours);
    }

    /// A frame of ours with some bytes changed is ours only while all that decides is as it was.
    #[test]
    fn a_changed_frame_is_ours_or_passes(case in any::<prop::sample::Index>(), changes in prop::collection::vec((0..120usize, any::<u8>()), 1..4)) {
        let mut frame: Vec<u8> = case.get(&fixtures::cases()).frame.clone();
        for (at, byte) in changes {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        let decision = decide(frame.as_slice(), fixtures::LINK, 0, &fixtures::groups());
        if decision.verdict != Verdict::Ours {
            prop_assert_eq!(decision, Decision { verdict: decision.verdict, slot: 0, socket: 0 });
        }
    }
}
