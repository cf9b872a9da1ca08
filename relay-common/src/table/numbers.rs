//! Numbers that things keep while they live: slots, counters, links.

use alloc::collections::{BTreeSet, VecDeque};

/// Gives out the numbers below a limit. A number that was given back is used again as late as possible, so that
/// what still looks at the old owner finds nobody rather than somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    limit: u32,
    next: u32,
    freed: VecDeque<u32>,
}

impl Numbers {
    /// All numbers below `limit` are free.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { limit, next: 0, freed: VecDeque::new() }
    }

    /// The same numbers again, of which those are taken: what a successor knows of its predecessor's.
    #[must_use]
    pub fn with_taken(limit: u32, taken: impl IntoIterator<Item = u32>) -> Self {
        let taken: BTreeSet<u32> = taken.into_iter().filter(|number| *number < limit).collect();
        let next = taken.last().map_or(0, |highest| highest + 1);
        Self { limit, next, freed: (0..next).filter(|number| !taken.contains(number)).collect() }
    }

    /// How many numbers there are.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Takes a number: one that was never used before one that was, the longest free first.
    pub fn take(&mut self) -> Option<u32> {
        if self.next < self.limit {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.freed.pop_front()
    }

    /// Gives a number back.
    pub fn release(&mut self, number: u32) {
        debug_assert!(number < self.next && !self.freed.contains(&number), "{number} was not taken");
        self.freed.push_back(number);
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    #[test]
    fn a_successor_takes_what_is_free() {
        let mut numbers = Numbers::with_taken(5, [3, 1, 1, 9]);
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(4), Some(0), Some(2)]);
        assert_eq!(numbers.take(), None);
        numbers.release(3);
        assert_eq!(numbers.take(), Some(3));
    }

    #[test]
    fn a_freed_number_comes_last() {
        let mut numbers = Numbers::new(3);
        assert_eq!((numbers.take(), numbers.take()), (Some(0), Some(1)));
        numbers.release(1);
        numbers.release(0);
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(2), Some(1), Some(0)]);
        assert_eq!(numbers.take(), None);
    }
}
