//! The one way to look into a frame: a header of a known type at an offset, or nothing.

use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Bytes as they came from the link, from the destination hardware address on.
///
/// A slice is one; the XDP program's context is the other. Whatever is decided about a frame goes through
/// [`Frame::header`], so each of the two has exactly one bounds check.
#[expect(clippy::len_without_is_empty, reason = "nobody asks whether a frame is empty")]
pub trait Frame {
    /// The header of type `T` that begins `at` bytes into the frame, when the frame is long enough for all of it.
    fn header<T: FromBytes + KnownLayout + Immutable + Unaligned>(&self, at: usize) -> Option<&T>;

    /// The frame's length in bytes.
    fn len(&self) -> usize;
}

impl Frame for [u8] {
    #[inline(always)]
    fn header<T: FromBytes + KnownLayout + Immutable + Unaligned>(&self, at: usize) -> Option<&T> {
        T::ref_from_bytes(self.get(at..at.checked_add(size_of::<T>())?)?).ok()
    }

    #[inline(always)]
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn a_header_is_there_only_when_it_is_there_in_full() {
        let frame: &[u8] = &[1, 2, 3, 4];
        assert_eq!(frame.header::<[u8; 2]>(2), Some(&[3, 4]));
        assert_eq!(frame.header::<[u8; 2]>(3), None);
        assert_eq!(frame.header::<[u8; 2]>(usize::MAX), None);
        assert_eq!(frame.header::<[u8; 0]>(4), Some(&[]));
        assert_eq!(Frame::len(frame), 4);
    }
}
