//! Numbers that things keep while they live: slots, counters, links.

use alloc::collections::{BTreeSet, VecDeque};

/// Gives out the numbers below a limit. A number that was given back is used again as late as possible, so that
/// what still looks at the old owner finds nobody rather than somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    limit: u32,
    next: u32,
    freed: VecDeque<u32>,
    /// Given back, but somebody may still go by them.
    resting: VecDeque<u32>,
}

impl Numbers {
    /// All numbers below `limit` are free.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { limit, next: 0, freed: VecDeque::new(), resting: VecDeque::new() }
    }

    /// The same numbers again, of which those are taken: what a successor knows of its predecessor's.
    #[must_use]
    pub fn with_taken(limit: u32, taken: impl IntoIterator<Item = u32>) -> Self {
        let taken: BTreeSet<u32> = taken.into_iter().filter(|number| *number < limit).collect();
        let next = taken.last().map_or(0, |highest| highest + 1);
        let freed = (0..next).filter(|number| !taken.contains(number)).collect();
        Self { limit, next, freed, resting: VecDeque::new() }
    }

    /// The same numbers again, of which those are taken; somebody may go by any of the others, so they rest.
    #[must_use]
    pub fn with_others_resting(limit: u32, taken: impl IntoIterator<Item = u32>) -> Self {
        let taken: BTreeSet<u32> = taken.into_iter().collect();
        let resting = (0..limit).filter(|number| !taken.contains(number)).collect();
        Self { limit, next: limit, freed: VecDeque::new(), resting }
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

    /// Gives a number back that somebody still goes by. Nobody gets it before [`Self::settle`].
    pub fn release_later(&mut self, number: u32) {
        debug_assert!(number < self.next && !self.resting.contains(&number), "{number} was not taken");
        self.resting.push_back(number);
    }

    /// Keeps a free number from being given to anybody before [`Self::settle`]: it was tried, and somebody may go by it.
    pub fn rest(&mut self, number: u32) {
        while self.next <= number && number < self.limit {
            self.freed.push_back(self.next);
            self.next += 1;
        }
        if let Some(at) = self.freed.iter().position(|free| *free == number) {
            self.freed.remove(at);
            self.resting.push_back(number);
        }
    }

    /// Nobody goes by what was given back any more.
    pub fn settle(&mut self) {
        self.freed.append(&mut self.resting);
    }

    /// Whether there are numbers that nobody gets yet.
    #[must_use]
    pub fn has_resting(&self) -> bool {
        !self.resting.is_empty()
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
    fn a_number_that_rests_is_given_to_nobody() {
        let mut numbers = Numbers::new(2);
        assert_eq!([numbers.take(), numbers.take()], [Some(0), Some(1)]);
        numbers.release_later(1);
        assert_eq!((numbers.take(), numbers.has_resting()), (None, true));
        numbers.settle();
        assert_eq!((numbers.has_resting(), numbers.take(), numbers.take()), (false, Some(1), None));
    }

    #[test]
    fn a_number_that_was_tried_rests() {
        let mut numbers = Numbers::new(4);
        assert_eq!(numbers.take(), Some(0));
        numbers.rest(2);
        numbers.rest(0);
        numbers.rest(9);
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(3), Some(1), None]);
        numbers.settle();
        assert_eq!([numbers.take(), numbers.take()], [Some(2), None], "what is taken was not tried");
    }

    #[test]
    fn what_a_successor_does_not_know_rests() {
        let mut numbers = Numbers::with_others_resting(3, [1]);
        assert_eq!((numbers.take(), numbers.has_resting()), (None, true));
        numbers.settle();
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [Some(0), Some(2), None]);
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
