//! Where an input key is looked for: an open-addressed index from keys to slots.

use crate::abi::InputKey;
use zerocopy::IntoBytes;

/// An index place without a slot; the others hold the slot plus one, so that zeroed memory is an empty index.
pub(super) const FREE: u32 = 0;

/// Places for so many relays: a power of two, at most half of them taken, so that a search is short.
pub(super) const fn index_len(max_relays: u32) -> usize {
    (max_relays as usize * 2).next_power_of_two()
}

/// Where the search for a key begins.
#[inline(always)]
pub(super) fn first_place(key: &InputKey, mask: usize) -> usize {
    hash(key) as usize & mask
}

/// A number that depends on every bit of a key.
#[inline(always)]
pub(super) fn hash(key: &InputKey) -> u32 {
    // An odd constant with no pattern (2^64 divided by the golden ratio); its product's high bits depend on every
    // bit below them, and keys often differ in low bits only.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = 0u64;
    let (words, rest) = key.as_bytes().as_chunks::<8>();
    for word in words {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(MIX);
    }
    if let Some((last, _)) = rest.split_first_chunk::<4>() {
        hash = (hash.rotate_left(23) ^ u64::from(u32::from_le_bytes(*last))).wrapping_mul(MIX);
    }
    (hash >> 32) as u32
}
