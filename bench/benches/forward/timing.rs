//! Times of many rounds: the median says what a round costs, the minimum what it costs undisturbed.

use crate::case::Case;
use bench::clock::monotonic_ns;
use bench::sys::allocations;

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Enough for a median.
    Full,
    /// Enough for a first look.
    Quick,
    /// Enough to see that it works and what it allocates.
    Brief,
}

impl Effort {
    fn n_rounds(self, weight: usize) -> usize {
        match self {
            Self::Full => (80_000 / weight).clamp(50, 20_000),
            Self::Quick => (20_000 / weight).clamp(10, 5_000),
            Self::Brief => (100 / weight).clamp(1, 50),
        }
    }
}

/// What was measured of a case.
pub(crate) struct Figures {
    /// Nanoseconds of a round.
    pub(crate) median: f64,
    pub(crate) minimum: f64,
    /// Allocations in one round.
    pub(crate) allocations: f64,
}

/// Measures a case.
pub(crate) fn measure(case: &Case, effort: Effort) -> Figures {
    let n_rounds = effort.n_rounds(case.weight);
    let mut round = (case.make)();
    let mut ns = Vec::with_capacity(n_rounds);
    let mut n_allocations = 0;
    for _ in 0..n_rounds {
        round.prepare();
        let (allocations, start) = (allocations::count(), monotonic_ns());
        round.work();
        let end = monotonic_ns();
        n_allocations += allocations::count() - allocations;
        ns.push(end - start);
        round.clean_up();
    }
    round.check(n_rounds as u64);
    ns.sort_unstable();
    let allocations = n_allocations as f64 / n_rounds as f64;
    Figures { median: ns[n_rounds / 2] as f64, minimum: ns[0] as f64, allocations }
}
