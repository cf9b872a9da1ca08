//! What is finished is what the sender would have written, and what is right stays.

use super::finish;
use crate::datagram::{Datagram, tests::recipe};
use crate::fixtures::Recipe;
use proptest::prelude::*;
use std::vec::Vec;

/// The datagram of a frame after [`finish`], and what that said.
fn finished(frame: &[u8]) -> (Datagram, bool) {
    let mut datagram = Datagram::parse(frame).unwrap();
    let was_unfinished = finish(frame, &mut datagram);
    (datagram, was_unfinished)
}

fn checksum_of(recipe: &Recipe) -> u16 {
    Datagram::parse(recipe.bytes().as_slice()).unwrap().checksum
}

/// A payload with which the right checksum is the sum of the pseudo-header.
fn right_and_like_unfinished(recipe: Recipe) -> Recipe {
    let wanted = checksum_of(&Recipe { unfinished: true, ..recipe.clone() });
    let all = (0..=u16::MAX).map(|word| Recipe { payload: word.to_be_bytes().to_vec(), ..recipe.clone() });
    all.into_iter().find(|recipe| checksum_of(recipe) == wanted).unwrap()
}

#[test]
fn a_right_checksum_that_looks_unfinished_stays_and_is_not_counted() {
    for to in ["239.1.1.1", "ff3e::1"] {
        let two_bytes = Recipe { payload: Vec::from([0, 0]), ..Recipe::to(to) };
        let recipe = right_and_like_unfinished(two_bytes);
        let frame = recipe.bytes();
        assert_eq!(frame, Recipe { unfinished: true, ..recipe.clone() }.bytes(), "nobody can tell them apart");
        assert_eq!(finished(&frame), (Datagram::parse(frame.as_slice()).unwrap(), false));
    }
}

#[test]
fn a_finished_checksum_of_zero_is_sent_as_all_ones() {
    let recipe = |word: u16| Recipe { payload: word.to_be_bytes().to_vec(), ..Recipe::default() };
    let zero = (0..=u16::MAX).map(recipe).find(|recipe| checksum_of(recipe) == 0xffff).unwrap();
    let (datagram, was_unfinished) = finished(&Recipe { unfinished: true, ..zero }.bytes());
    assert_eq!((datagram.checksum, was_unfinished), (0xffff, true));
}

#[test]
fn a_datagram_without_a_checksum_stays_without() {
    let (datagram, was_unfinished) = finished(&Recipe { checksum: false, ..Recipe::default() }.bytes());
    assert_eq!((datagram.checksum, was_unfinished), (0, false));
}

#[test]
fn a_datagram_of_another_frame_is_left_alone() {
    let frame = Recipe { unfinished: true, ..Recipe::default() }.bytes();
    let mut datagram = Datagram::parse(frame.as_slice()).unwrap();
    assert!(!finish(&frame[..100], &mut datagram));
}

/// UDP that ends before IP does (RFC 9868): no kernel leaves that to hardware.
#[test]
fn a_right_checksum_of_udp_that_does_not_fill_its_ip_packet_stays() {
    let recipe = |word: u16| Recipe {
        payload: word.to_be_bytes().to_vec(),
        surplus: Vec::from([1, 2, 3, 4]),
        ..Recipe::default()
    };
    // What unfinished would look like if UDP were as long as IP says.
    let looks = checksum_of(&Recipe { payload: Vec::from([0; 6]), unfinished: true, ..Recipe::default() });
    let right = (0..=u16::MAX).map(recipe).find(|recipe| checksum_of(recipe) == looks).unwrap();
    assert_eq!(finished(&right.bytes()), (Datagram::parse(right.bytes().as_slice()).unwrap(), false));
}

proptest! {
    #[test]
    fn an_unfinished_checksum_becomes_the_one_made_from_scratch(recipe in recipe()) {
        let recipe = Recipe { checksum: true, ..recipe };
        let unfinished = Recipe { unfinished: true, ..recipe.clone() };
        let expected = checksum_of(&recipe);
        let (datagram, was_unfinished) = finished(&unfinished.bytes());
        prop_assert_eq!(datagram.checksum, expected);
        prop_assert_eq!(was_unfinished, expected != checksum_of(&unfinished));
    }

    #[test]
    fn what_came_right_or_without_stays(recipe in recipe()) {
        let (datagram, was_unfinished) = finished(&recipe.bytes());
        prop_assert_eq!(datagram.checksum, checksum_of(&recipe));
        prop_assert!(!was_unfinished);
    }
}
