//! The highest rate at which next to nothing is lost, found by halving what is left.

/// Of so many packets one may be lost.
pub const MOST_LOST: f64 = 1e-5;
/// What is left is narrow enough when it is this share of the rate.
const NARROW: f64 = 0.02;
/// A rate that holds so near to the highest thought of tells to think higher.
const FAR: f64 = 0.15;
/// A rate has failed when it has failed this often: these machines stumble.
const TRIES: u32 = 2;
/// A search that does not come to an end by then has met a machine that changes its mind.
const MOST_TRIALS: u32 = 30;

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    low: f64,
    high: f64,
    /// Whether something was lost at `high`, or it is more than the generator can make.
    is_bounded: bool,
    failures: u32,
    /// How often in a row the generator made fewer packets than asked.
    shortfalls: u32,
    trials: u32,
}

impl Search {
    /// Looks from nothing up to about this rate, and above it when it holds.
    pub fn about(high: f64) -> Self {
        Self { low: 0.0, high, is_bounded: false, failures: 0, shortfalls: 0, trials: 0 }
    }

    /// The rate to try next; none when the search is over.
    pub fn next_rate(&self) -> Option<f64> {
        if self.trials >= MOST_TRIALS || self.high - self.low < self.high * NARROW {
            return None;
        }
        // Most relays hold up to nearly what they reach when overloaded: the first guess is high.
        Some(if self.trials < TRIES && self.low == 0.0 { self.high * 0.8 } else { f64::midpoint(self.low, self.high) })
    }

    /// What came of that rate: what was really offered, and whether it held.
    pub fn tried(&mut self, rate: f64, offered: f64, held: bool) {
        self.trials += 1;
        if held {
            self.failures = 0;
            self.low = self.low.max(offered);
            // A generator that falls behind, and not by a stumble, shows that nothing is to be found above.
            self.shortfalls = if offered < rate * (1.0 - NARROW) { self.shortfalls + 1 } else { 0 };
            if self.shortfalls >= TRIES {
                (self.high, self.is_bounded) = (self.low, true);
            }
            // Some relays collapse when flooded: what they reached then says little.
            if !self.is_bounded && self.high - self.low < self.high * FAR {
                self.high *= 2.0;
            }
            return;
        }
        self.failures += 1;
        if self.failures >= TRIES {
            self.failures = 0;
            (self.high, self.is_bounded) = (rate, true);
        }
    }

    /// The highest rate that held.
    pub fn found(&self) -> f64 {
        self.low
    }
}

#[cfg(test)]
mod tests {
    use super::Search;

    fn search(limit: f64, generator: f64, mut stumbles: impl FnMut(u32) -> bool) -> (f64, u32) {
        let mut search = Search::about(1.2e6);
        let mut trials = 0;
        while let Some(rate) = search.next_rate() {
            let offered = rate.min(generator);
            search.tried(rate, offered, offered <= limit && !stumbles(trials));
            trials += 1;
        }
        (search.found(), trials)
    }

    #[test]
    fn the_limit_is_found_from_below() {
        for limit in [1e5, 7.3e5, 1.6e6, 1.99e6] {
            let (found, trials) = search(limit, 1e9, |_| false);
            assert!(found <= limit && found > limit * 0.96, "{found} for {limit}");
            assert!(trials <= 26, "{trials} trials for {limit}");
        }
    }

    #[test]
    fn one_stumble_is_forgiven() {
        let (found, _) = search(1e6, 1e9, |trial| trial == 2);
        assert!(found > 0.96e6, "{found}");
    }

    #[test]
    fn a_generator_that_stumbles_once_does_not_end_it() {
        let mut search = Search::about(1.2e6);
        let mut trials = 0;
        while let Some(rate) = search.next_rate() {
            let offered = if trials == 1 { rate * 0.9 } else { rate };
            search.tried(rate, offered, offered <= 1e6);
            trials += 1;
        }
        assert!(search.found() > 0.96e6, "{}", search.found());
    }

    #[test]
    fn a_relay_faster_than_the_generator_gets_the_generators_rate() {
        let (found, trials) = search(1e9, 1.2e6, |_| false);
        assert!((found / 1.2e6 - 1.0).abs() < 0.001 && trials < 6, "{found} after {trials}");
    }

    #[test]
    fn a_relay_that_always_loses_gets_nothing() {
        assert!(search(0.0, 1e9, |_| false).0 <= 0.0);
    }
}
