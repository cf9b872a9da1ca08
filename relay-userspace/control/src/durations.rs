//! How long something takes that happens again and again: counted by powers of two, so that whoever looks sees the rare long
//! one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The first bound: 2^20 nanoseconds, about a millisecond.
const FIRST: u32 = 20;
/// Bounds up to 2^36 nanoseconds, about a minute.
const BOUNDS: usize = 17;

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BOUNDS + 1],
    sum_ns: AtomicU64,
}

impl Durations {
    /// Counts one.
    pub fn record(&self, ns: u64) {
        // A bound is in its own bucket: what took exactly so long is not longer.
        let bits = ns.saturating_sub(1).checked_ilog2().map_or(0, |bits| bits + 1);
        let bucket = (bits.saturating_sub(FIRST) as usize).min(BOUNDS);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// How many took up to each bound, in seconds, and longer than the one before; how many longer than all; and all
    /// together.
    pub fn read(&self) -> (impl Iterator<Item = (f64, u64)>, u64, f64) {
        let count = |i: usize| self.buckets[i].load(Relaxed);
        let bound = |i: usize| (1_u64 << (FIRST as usize + i)) as f64 / 1e9;
        let bounds = (0..BOUNDS).map(move |i| (bound(i), count(i)));
        (bounds, count(BOUNDS), self.sum_ns.load(Relaxed) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::Durations;

    #[test]
    fn each_is_counted_once_below_its_bound() {
        let durations = Durations::default();
        for ns in [0, 1, 1 << 20, (1 << 20) + 1, 1 << 21, 1 << 36, (1 << 36) + 1, 1 << 60] {
            durations.record(ns);
        }
        let (buckets, beyond, sum) = durations.read();
        let counted: Vec<(f64, u64)> = buckets.filter(|(_, n)| *n > 0).collect();
        assert_eq!(counted, [(0.001_048_576, 3), (0.002_097_152, 2), (68.719_476_736, 1)]);
        assert_eq!(beyond, 2);
        assert!(sum > 1e9, "{sum}");
    }
}
