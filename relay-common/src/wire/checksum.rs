//! The Internet checksum: in full (RFC 1071), and updated for what changed (RFC 1624).

/// The checksum of all these bytes; an odd last byte is filled up with a zero.
///
/// A header with a right checksum in it gives 0.
#[must_use]
pub fn full(bytes: &[u8]) -> u16 {
    let mut pairs = bytes.chunks_exact(2);
    let mut sum: u64 = pairs.by_ref().map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    if let [last] = pairs.remainder() {
        sum += u64::from(u16::from_be_bytes([*last, 0]));
    }
    !fold(sum)
}

/// What changed in the bytes that a checksum covers.
///
/// RFC 1624, equation 3: `HC' = ~(~HC + ~m + m')`. It gives what [`full`] would give over the changed bytes when the
/// old checksum was right, and keeps a wrong one wrong by the same amount: a damaged packet stays damaged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change(u64);

impl Change {
    /// Nothing changed.
    pub const NONE: Self = Self(0);

    /// Two bytes, `old`, became `new`. They stand at an even offset.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + (!old) as u64 + new as u64)
    }

    /// An IPv4 address became another one.
    #[inline(always)]
    #[must_use]
    pub const fn v4(self, old: [u8; 4], new: [u8; 4]) -> Self {
        Self(self.0 + (!u32::from_be_bytes(old)) as u64 + u32::from_be_bytes(new) as u64)
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
        !fold(self.0 + (!old) as u64)
    }
}

/// Adds the 16-bit words of a sum until one is left. 2¹⁶ counts as 1 here, so wider words may have been added up.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the fourth addition leaves no carry")]
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

#[cfg(test)]
mod tests;
