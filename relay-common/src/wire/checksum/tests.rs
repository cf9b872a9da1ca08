//! An updated checksum is the full one.

use super::{Change, Sum, fold, full};
use proptest::prelude::*;
use std::vec::Vec;

#[test]
fn the_example_of_rfc_1071() {
    assert_eq!(full(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    assert_eq!(full(&[0x00, 0x01, 0xf2]), !0xf201, "an odd byte is the upper half of a word");
}

#[test]
fn the_example_of_rfc_1624() {
    // Equation 2 of RFC 1141 would give 0xffff here.
    assert_eq!(Change::NONE.word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
}

#[test]
fn the_largest_sum_still_folds() {
    assert_eq!(fold(u64::MAX), 0xffff);
    assert_eq!(fold(0xffff_ffff_0000_0001), 1);
}

/// The sum as RFC 1071 tells it, a word after the other.
fn by_hand(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    words.fold(0, |sum, word| (sum + word) % 0x1_0000 + (sum + word) / 0x1_0000).try_into().unwrap()
}

proptest! {
    #[test]
    fn a_sum_is_that_of_its_words(bytes in prop::collection::vec(any::<u8>(), 0..300), word: u16, a: [u8; 4], b: [u8; 16]) {
        prop_assert_eq!(full(&bytes), !by_hand(&bytes));
        let all = [&word.to_be_bytes()[..], &a, &b, &bytes].concat();
        prop_assert_eq!(Sum::NONE.word(word).v4(a).v6(&b).bytes(&bytes).fold(), by_hand(&all));
    }

    #[test]
    fn a_fold_is_what_is_left_of_a_division(sum: u64) {
        prop_assert_eq!(u64::from(fold(sum)), if sum == 0 { 0 } else { (sum - 1) % 0xffff + 1 });
    }

    #[test]
    fn updated_is_full(mut bytes in prop::collection::vec(any::<u8>(), 4..64), at in any::<prop::sample::Index>(), new: u16) {
        // A header never sums up to nothing: there is a version in it.
        bytes[0] |= 0x40;
        let at = 2 + at.index((bytes.len() - 2) / 2) * 2;
        let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let before = full(&bytes);
        bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
        prop_assert_eq!(Change::NONE.word(old, new).apply(before), full(&bytes));
    }

    #[test]
    fn an_address_is_its_words(old: [u8; 16], new: [u8; 16], before: u16) {
        let mut by_words = Change::NONE;
        for (old, new) in old.chunks(2).zip(new.chunks(2)) {
            by_words = by_words.word(u16::from_be_bytes([old[0], old[1]]), u16::from_be_bytes([new[0], new[1]]));
        }
        let at_once = Change::NONE.v6(&old, &new);
        prop_assert_eq!(at_once.apply(before), by_words.apply(before));
    }

    #[test]
    fn wrong_stays_wrong_by_the_same_amount(bytes in prop::collection::vec(any::<u8>(), 20), error in 1..0xffffu16, new: [u8; 4]) {
        let mut bytes: Vec<u8> = bytes;
        bytes[0] |= 0x40;
        let old: [u8; 4] = bytes[12..16].try_into().unwrap();
        let wrong = !fold(u64::from(!full(&bytes)) + u64::from(error));
        bytes[12..16].copy_from_slice(&new);
        let updated = Change::NONE.v4(old, new).apply(wrong);
        prop_assert_eq!(updated, !fold(u64::from(!full(&bytes)) + u64::from(error)));
        prop_assert_ne!(updated, full(&bytes));
    }
}
