//! Where an input key is looked for: an open-addressed index from keys to slots. A relay that names its sources has a
//! place for each of them, so that relays which share a key do not stand in each other's way.

use crate::abi::{Address, InputKey};
use zerocopy::IntoBytes;

/// An index place without a slot; the others hold the slot plus one, so that zeroed memory is an empty index.
pub(super) const FREE: u32 = 0;

/// Places for so many keys: a power of two, at most half of them taken, so that a search is short.
pub(super) const fn index_len(n_keys: usize) -> usize {
    (n_keys * 2).next_power_of_two()
}

/// Where the search for a key begins.
#[inline(always)]
pub(super) fn first_place(key: &InputKey, mask: usize) -> usize {
    hash(key) as usize & mask
}

/// Where the search for a key and one of the sources that a relay names begins.
#[inline(always)]
pub(super) fn first_place_of(key: &InputKey, source: &Address, mask: usize) -> usize {
    let (words, _) = source.0.as_chunks::<8>();
    let mixed = words.iter().fold(u64::from(hash(key)), |hash, word| mix(hash, u64::from_le_bytes(*word)));
    (mixed >> 32) as usize & mask
}

/// A number that depends on every bit of a key.
#[inline(always)]
pub(super) fn hash(key: &InputKey) -> u32 {
    let mut hash = 0u64;
    let (words, rest) = key.as_bytes().as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    if let Some((last, _)) = rest.split_first_chunk::<4>() {
        hash = mix(hash, u64::from(u32::from_le_bytes(*last)));
    }
    (hash >> 32) as u32
}

#[inline(always)]
const fn mix(hash: u64, word: u64) -> u64 {
    // An odd constant with no pattern (2^64 divided by the golden ratio); its product's high bits depend on every
    // bit below them, and keys often differ in low bits only.
    (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
