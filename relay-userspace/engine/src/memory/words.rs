//! Words that stand in a mapping of their own: that they do is seen to once, and not at each use.

use super::Mapping;
use std::sync::atomic::AtomicU64;

/// 64-bit words that several processes read and write, `FIRST` of them at least.
#[derive(Debug)]
pub(super) struct Words<const FIRST: usize> {
    map: Mapping,
    n: usize,
}

impl<const FIRST: usize> Words<FIRST> {
    /// The first `n` words of a mapping.
    ///
    /// # Panics
    /// When the mapping has not as many, or `n` is less than `FIRST`.
    #[must_use]
    pub(super) fn new(map: Mapping, n: usize) -> Self {
        map.check::<AtomicU64>(0, n);
        assert!(n >= FIRST, "fewer words than there are at least");
        Self { map, n }
    }

    /// Bytes of the mapping.
    #[must_use]
    pub(super) const fn mapped(&self) -> usize {
        self.map.len()
    }

    /// All of them.
    #[inline(always)]
    #[must_use]
    pub(super) const fn all(&self) -> &[AtomicU64] {
        // SAFETY: `new` has checked that they are in the mapping, which is as long as this value; a mapping begins at a
        // page, every bit pattern is a word, and atomics may be shared.
        unsafe { std::slice::from_raw_parts(self.map.start().as_ptr().cast(), self.n) }
    }

    /// Those that there are at least.
    #[inline(always)]
    #[must_use]
    pub(super) const fn first(&self) -> &[AtomicU64; FIRST] {
        // SAFETY: as for `all`, and `new` has checked that there are so many.
        unsafe { &*self.map.start().as_ptr().cast() }
    }
}

#[cfg(test)]
mod tests {
    use super::Words;
    use crate::memory::{Mapping, PAGE};
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn the_first_words_are_those_of_all() {
        let words: Words<3> = Words::new(Mapping::anonymous(PAGE).unwrap(), PAGE / 8);
        words.first()[2].store(7, Relaxed);
        assert_eq!((words.all().len(), words.all()[2].load(Relaxed), words.mapped()), (PAGE / 8, 7, PAGE));
    }

    #[test]
    #[should_panic(expected = "outside")]
    fn more_words_than_are_mapped_are_refused() {
        let _: Words<3> = Words::new(Mapping::anonymous(PAGE).unwrap(), PAGE / 8 + 1);
    }

    #[test]
    #[should_panic(expected = "fewer words")]
    fn fewer_words_than_at_least_are_refused() {
        let _: Words<3> = Words::new(Mapping::anonymous(PAGE).unwrap(), 2);
    }
}
