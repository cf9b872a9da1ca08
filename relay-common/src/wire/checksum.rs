//! The Internet checksum: in full (RFC 1071), and updated for what changed (RFC 1624).

/// The checksum of all these bytes; an odd last byte is filled up with a zero.
///
/// A header with a right checksum in it gives 0.
#[must_use]
pub fn full(bytes: &[u8]) -> u16 {
    !Sum::NONE.bytes(bytes).fold()
}

/// What changed in the bytes that a checksum covers.
///
/// RFC 1624, equation 3: `HC' = ~(~HC + ~m + m')`. It gives what [`full`] would give over the changed bytes when the
/// old checksum was right, and keeps a wrong one wrong by the same amount: a damaged packet stays damaged.
///
/// As in [`Sum`], words are added up as they lie in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change(u64);

impl Change {
    /// Nothing changed.
    pub const NONE: Self = Self(0);

    /// Two bytes, `old`, became `new`. They stand at an even offset.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + (!old).to_be() as u64 + new.to_be() as u64)
    }

    /// An IPv4 address became another one.
    #[inline(always)]
    #[must_use]
    pub const fn v4(self, old: [u8; 4], new: [u8; 4]) -> Self {
        Self(self.0 + (!u32::from_ne_bytes(old)) as u64 + u32::from_ne_bytes(new) as u64)
    }

    /// An IPv6 address became another one.
    #[inline(always)]
    #[must_use]
    pub const fn v6(self, old: &[u8; 16], new: &[u8; 16]) -> Self {
        let (old, _) = old.as_chunks::<4>();
        let (new, _) = new.as_chunks::<4>();
        self.v4(old[0], new[0]).v4(old[1], new[1]).v4(old[2], new[2]).v4(old[3], new[3])
    }

    /// The checksum that stands for `old` after this change.
    #[inline(always)]
    #[must_use]
    pub const fn apply(self, old: u16) -> u16 {
        !u16::from_be(fold(self.0 + (!old).to_be() as u64))
    }
}

/// A sum of words as they lie in memory. It does not matter to the Internet checksum whether the two bytes of each word
/// are swapped before they are added up or after, so no word is, only what is left of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const NONE: Self = Self(0);

    /// Adds a number of 16 bits.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word.to_be() as u64)
    }

    /// Adds an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(self, address: [u8; 4]) -> Self {
        Self(self.0 + u32::from_ne_bytes(address) as u64)
    }

    /// Adds an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn v6(self, address: &[u8; 16]) -> Self {
        let (words, _) = address.as_chunks::<4>();
        self.v4(words[0]).v4(words[1]).v4(words[2]).v4(words[3])
    }

    /// Adds bytes, the first of which stands at an even offset; an odd last byte is filled up with a zero.
    #[inline(always)]
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        let sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let mut last = [0; 4];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Self(self.0 + sum).v4(last)
    }

    /// The 16 bits that are left of it: 0 only when nothing but zeros was added up.
    #[inline(always)]
    #[must_use]
    pub const fn fold(self) -> u16 {
        u16::from_be(fold(self.0))
    }
}

/// Adds the 16-bit words of a sum until one is left. 2¹⁶ counts as 1 here, so wider words may have been added up.
///
/// The upper half of a number plus itself with its halves exchanged is the sum of both halves, its carry added.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

#[cfg(test)]
mod tests;
