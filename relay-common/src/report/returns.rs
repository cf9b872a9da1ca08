//! Which carriers have returned, and when the groups of their links are reported.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// After a carrier has returned the groups are reported so much later, in nanoseconds: at once, and twice again, because
/// a port that has just come up may not forward yet, and a report can be lost.
const AFTER_NS: [u64; 3] = [0, 1_000_000_000, 3_000_000_000];

/// What is known of carriers, and what is due. Times are nanoseconds of any clock that does not go back.
#[derive(Clone, Debug, Default)]
pub struct Returns {
    carriers: BTreeMap<u32, Carrier>,
    /// Since when the groups of a link are to be reported, why, and how often that was done since.
    due: BTreeMap<u32, (u64, Why, usize)>,
}

/// Why the groups of a link are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Its carrier has returned.
    Returned,
    /// Nobody knows what became of it while nobody looked.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Carrier {
    is_there: bool,
    /// How often it has come or gone: two changes between two looks leave no other trace.
    changes: u32,
}

impl Returns {
    /// Takes a look at a link to heart: whether it is up and has carrier, and how often that has changed. At the first
    /// look nothing has returned.
    pub fn look(&mut self, ifindex: u32, is_there: bool, changes: u32, now: u64) {
        let is = Carrier { is_there, changes };
        let was = self.carriers.insert(ifindex, is);
        if !is_there {
            self.due.remove(&ifindex);
        } else if was.is_some_and(|was| was != is) {
            self.due.insert(ifindex, (now, Why::Returned, 0));
        }
    }

    /// Only these links are there.
    pub fn keep(&mut self, is_there: impl Fn(u32) -> bool) {
        self.carriers.retain(|ifindex, _| is_there(*ifindex));
        self.due.retain(|ifindex, _| is_there(*ifindex));
    }

    /// The groups of a link are reported, whatever became of its carrier.
    pub fn report(&mut self, ifindex: u32, now: u64) {
        self.due.insert(ifindex, (now, Why::Unknown, 0));
    }

    /// The links whose groups are to be reported now, and whether that is news: the first time since the carrier returned.
    pub fn take_due(&mut self, now: u64) -> Vec<(u32, bool)> {
        let mut links = Vec::new();
        self.due.retain(|ifindex, (since, why, done)| {
            if now >= since.saturating_add(AFTER_NS[*done]) {
                links.push((*ifindex, *done == 0 && *why == Why::Returned));
                *done += 1;
            }
            *done < AFTER_NS.len()
        });
        links
    }

    /// When something is due next.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.due.values().map(|(since, _, done)| since.saturating_add(AFTER_NS[*done])).min()
    }
}

#[cfg(test)]
mod tests {
    use super::Returns;
    use std::vec;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_carrier_that_returns_is_reported_on_three_times() {
        let mut returns = Returns::default();
        returns.look(2, true, 1, 0);
        returns.look(3, true, 1, 0);
        assert_eq!((returns.take_due(9 * S), returns.next()), (vec![], None), "what is there has not returned");
        returns.look(2, false, 2, 10 * S);
        assert_eq!(returns.next(), None);
        returns.look(2, true, 3, 20 * S);
        assert_eq!((returns.next(), returns.take_due(20 * S)), (Some(20 * S), vec![(2, true)]));
        assert_eq!((returns.next(), returns.take_due(20 * S)), (Some(21 * S), vec![]));
        returns.look(2, true, 3, 20 * S);
        assert_eq!(returns.take_due(21 * S), [(2, false)], "a look that finds nothing new changes nothing");
        assert_eq!((returns.next(), returns.take_due(23 * S)), (Some(23 * S), vec![(2, false)]));
        assert_eq!(returns.next(), None);
    }

    #[test]
    fn a_carrier_that_came_and_went_between_two_looks_has_returned() {
        let mut returns = Returns::default();
        returns.look(2, true, 7, 0);
        returns.look(2, true, 9, S);
        assert_eq!(returns.take_due(S), [(2, true)]);
        // It goes before the others are due.
        returns.look(2, false, 10, S + 1);
        assert_eq!((returns.next(), returns.take_due(9 * S)), (None, vec![]));
    }

    #[test]
    fn a_carrier_that_flaps_is_counted_from_its_last_return() {
        let mut returns = Returns::default();
        returns.look(2, false, 0, 0);
        for n in 0..3 {
            returns.look(2, true, 1 + 2 * n, u64::from(n) * S / 2);
            assert_eq!(returns.take_due(u64::from(n) * S / 2), [(2, true)]);
        }
        assert_eq!(returns.next(), Some(2 * S));
    }

    #[test]
    fn a_link_that_is_gone_is_forgotten() {
        let mut returns = Returns::default();
        returns.look(2, false, 1, 0);
        returns.look(2, true, 2, S);
        returns.keep(|ifindex| ifindex != 2);
        assert_eq!(returns.next(), None);
        returns.look(2, true, 1, 2 * S);
        assert_eq!(returns.next(), None, "another link of that index is seen for the first time");
        returns.report(2, 3 * S);
        assert_eq!(returns.take_due(3 * S), [(2, false)], "it is reported, and no carrier has returned");
    }
}
