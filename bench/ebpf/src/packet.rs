//! Bytes of a packet between two addresses, reached only where they are.
#![expect(unsafe_code, reason = "a packet is reached by address here; the verifier checks what is argued")]

/// The furthest that anything begins in a packet, as a mask: the verifier must see a bound on what is added to an
/// address, and sees it wherever the compiler puts a mask.
const FURTHEST: usize = 127;

/// A packet. Its bytes are read and written two at a time: that is how Ethernet frames are aligned.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    data: usize,
    data_end: usize,
}

impl Packet {
    #[inline(always)]
    pub(crate) fn new(data: usize, data_end: usize) -> Self {
        Self { data, data_end }
    }

    /// The rest of it, behind so many bytes.
    #[inline(always)]
    pub(crate) fn behind(self, at: usize) -> Self {
        Self { data: self.data + (at & FURTHEST), data_end: self.data_end }
    }

    #[inline(always)]
    fn at<T>(self, at: usize) -> Option<*mut T> {
        let start = self.data + (at & FURTHEST);
        if start + size_of::<T>() > self.data_end { None } else { Some(start as *mut T) }
    }

    /// The two bytes at an even offset, as they lie in memory.
    #[inline(always)]
    pub(crate) fn get(self, at: usize) -> Option<u16> {
        // SAFETY: `at` has checked that the bytes are there, frames begin at even addresses, and nobody else has them.
        self.at::<u16>(at).map(|place| unsafe { *place })
    }

    /// Four bytes at an even offset, little-endian.
    #[inline(always)]
    pub(crate) fn get_u32(self, at: usize) -> Option<u32> {
        Some(u32::from(self.get(at)?) | u32::from(self.get(at + 2)?) << 16)
    }

    /// Writes two bytes at an even offset.
    #[inline(always)]
    pub(crate) fn put(self, at: usize, value: u16) -> Option<()> {
        // SAFETY: as for `get`.
        self.at::<u16>(at).map(|place| unsafe { *place = value })
    }

    /// Writes four bytes at an even offset, little-endian.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "cut in two on purpose")]
    pub(crate) fn put_u32(self, at: usize, value: u32) -> Option<()> {
        self.put(at, value as u16)?;
        self.put(at + 2, (value >> 16) as u16)
    }

    /// Writes the first bytes anew.
    #[inline(always)]
    pub(crate) fn begin_with<const WORDS: usize>(self, words: &[u64; WORDS]) -> Option<()> {
        let place = self.at::<[u64; WORDS]>(0)?.cast::<u64>();
        let mut at = 0;
        while at < WORDS {
            // SAFETY: `at` has checked that all words are there, and the kernel lays the frames that it makes itself
            // at multiples of 8.
            unsafe { *place.add(at) = words[at] };
            at += 1;
        }
        Some(())
    }
}
