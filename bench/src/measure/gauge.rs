//! What arrives at the sinks: how many packets, how late, how evenly.

use anyhow::Result;
use hdrhistogram::Histogram;

use super::program::Programs;
use super::program::abi::{BUCKETS, bucket, tally};
use super::results::Percentiles;
use super::stage::Stage;

/// Programs at all sinks of a stage.
#[derive(Debug)]
pub struct Gauge(Vec<Programs>);

/// What had arrived at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Packets.
    pub packets: u64,
    /// Their bytes, without the Ethernet checksum.
    pub bytes: u64,
    /// Packets that came after one with a higher number: doubled, or out of order.
    pub late: u64,
    /// Packets that are not ours.
    pub strangers: u64,
}

impl Arrived {
    /// What has arrived since then.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets - before.packets,
            bytes: self.bytes - before.bytes,
            late: self.late - before.late,
            strangers: self.strangers - before.strangers,
        }
    }
}

/// How long packets had taken, up to a moment: how many in each bucket.
#[derive(Clone, Debug)]
pub struct Times {
    latency: Vec<u64>,
    jitter: Vec<u64>,
}

impl Gauge {
    /// Puts a program at each sink.
    pub fn new(stage: &Stage) -> Result<Self> {
        let sinks = stage.outputs.iter().map(|(_, port)| {
            let mut programs = Programs::open()?;
            stage.sink.run(|| programs.attach_ingress("sink", &port.name))?;
            Ok(programs)
        });
        Ok(Self(sinks.collect::<Result<_>>()?))
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Result<Arrived> {
        let mut arrived = Arrived::default();
        for sink in &self.0 {
            let words: [u64; tally::WORDS] = sink.sum("TALLY", 0)?;
            arrived.packets += words[tally::PACKETS];
            arrived.bytes += words[tally::BYTES];
            arrived.late += words[tally::LATE];
            arrived.strangers += words[tally::STRANGERS];
        }
        Ok(arrived)
    }

    /// How long packets have taken so far.
    pub fn times(&self) -> Result<Times> {
        Ok(Times { latency: self.histogram("LATENCY")?, jitter: self.histogram("JITTER")? })
    }

    fn histogram(&self, map: &str) -> Result<Vec<u64>> {
        let count = |at| self.0.iter().map(|sink| Ok(sink.sum::<1>(map, at)?[0])).sum();
        (0..BUCKETS).map(count).collect()
    }
}

impl Times {
    /// Percentiles of latency and jitter of what has arrived since then.
    pub fn since(&self, before: &Self) -> Result<(Percentiles, Percentiles)> {
        Ok((percentiles(&self.latency, &before.latency)?, percentiles(&self.jitter, &before.jitter)?))
    }
}

fn percentiles(after: &[u64], before: &[u64]) -> Result<Percentiles> {
    let mut histogram = Histogram::<u64>::new(3)?;
    for (value, (after, before)) in values().zip(after.iter().zip(before)) {
        if after > before {
            histogram.record_n(value, after - before)?;
        }
    }
    let at = |quantile| histogram.value_at_quantile(quantile) as f64;
    let max = histogram.max() as f64;
    Ok(Percentiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max })
}

/// The middle of each bucket.
fn values() -> impl Iterator<Item = u64> {
    let mut first = 0;
    (0..BUCKETS).map(move |number| {
        let from = first;
        // Buckets grow: the first value of the next one is found by steps of the largest power of two that fits.
        let mut step = 1 << 32;
        while step > 0 {
            if bucket(first + step - 1) == number {
                first += step;
            }
            step /= 2;
        }
        u64::midpoint(from, first.saturating_sub(1))
    })
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, bucket, percentiles, values};

    #[test]
    fn buckets_have_no_gaps_and_are_narrow() {
        let middles: Vec<u64> = values().collect();
        for (number, middle) in (0..BUCKETS).zip(&middles) {
            assert_eq!(bucket(*middle), number, "{middle}");
        }
        assert!(middles.is_sorted());
        for value in (0..40_000).chain((1..32).map(|bits| (1 << bits) + 1)) {
            let middle = middles[bucket(value) as usize];
            assert!(middle.abs_diff(value) <= value / 64 + 1, "{value} counts as {middle}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_of_what_came_since() {
        let mut before = vec![0; BUCKETS as usize];
        before[bucket(7_000_000) as usize] = 1000;
        let mut after = before.clone();
        for value in 1..=100 {
            after[bucket(value * 1000) as usize] += 1;
        }
        let found = percentiles(&after, &before).unwrap();
        for (found, expected) in [(found.p50, 50e3), (found.p90, 90e3), (found.p99, 99e3), (found.max, 100e3)] {
            assert!((found / expected - 1.0).abs() < 0.02, "{found} is not {expected}");
        }
    }
}
