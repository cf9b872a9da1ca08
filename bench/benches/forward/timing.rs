//! Times of many batches: the median says what a batch costs, the minimum what it costs undisturbed.

use bench::clock::monotonic_ns;
use bench::sys::allocations;
use relay_common::journal::BATCH;
use std::hint::black_box;
use std::io::{Write, stdout};

/// Nanoseconds per packet: the median and the minimum.
type Time = (f64, f64);

/// Times of one measurement.
pub(crate) struct Timing {
    ns: Vec<u64>,
    allocations: u64,
}

impl Timing {
    /// A measurement of so many batches.
    pub(crate) fn new(n_batches: usize) -> Self {
        Self { ns: Vec::with_capacity(n_batches), allocations: 0 }
    }

    /// Measures one batch.
    pub(crate) fn batch(&mut self, work: impl FnOnce()) {
        let (allocations, start) = (allocations::count(), monotonic_ns());
        work();
        let end = monotonic_ns();
        self.allocations += allocations::count() - allocations;
        self.ns.push(end - start);
    }

    fn per_packet(&mut self) -> Time {
        self.ns.sort_unstable();
        let per_packet = |ns: u64| ns as f64 / BATCH as f64;
        (per_packet(self.ns[self.ns.len() / 2]), per_packet(self.ns[0]))
    }
}

/// The tables.
#[derive(Default)]
pub(crate) struct Figures {
    parts: Vec<(String, Time)>,
    lanes: Vec<(String, u16, [Time; 3])>,
    allocations: u64,
}

impl Figures {
    /// Measures a part by itself.
    pub(crate) fn part<T>(
        &mut self,
        name: &str,
        n_batches: usize,
        wanted: &dyn Fn(&str) -> bool,
        mut part: impl FnMut() -> T,
    ) {
        if !wanted(name) {
            return;
        }
        let mut timing = Timing::new(n_batches);
        for _ in 0..n_batches {
            timing.batch(|| (0..BATCH).for_each(|_| _ = black_box(part())));
        }
        self.allocations += timing.allocations;
        self.parts.push((name.to_owned(), timing.per_packet()));
    }

    /// Takes the measurements of a lane.
    pub(crate) fn lane(
        &mut self,
        name: &str,
        n_outputs: u16,
        mut forward: Timing,
        mut commit: Timing,
        mut together: Timing,
    ) {
        self.allocations += forward.allocations + commit.allocations + together.allocations;
        self.lanes.push((
            name.to_owned(),
            n_outputs,
            [&mut forward, &mut commit, &mut together].map(Timing::per_packet),
        ));
    }

    /// Allocations in everything that was measured.
    pub(crate) const fn n_allocations(&self) -> u64 {
        self.allocations
    }

    /// Prints the tables.
    pub(crate) fn print(&self) {
        // A reader who has seen enough (`| head`) is no error.
        let _ = self.write(&mut stdout().lock());
    }

    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        writeln!(out, "ns per packet: median (minimum)\n\n{:<24}{:>16}", "part", "time")?;
        for (name, time) in &self.parts {
            writeln!(out, "{name:<24}{:>16}", text(*time))?;
        }
        let columns = ["forward", "commit", "whole round", "each further"];
        writeln!(
            out,
            "\n{:<24}{:>16}{:>16}{:>16}{:>16}",
            "lane, 1358-byte frames", columns[0], columns[1], columns[2], columns[3]
        )?;
        for (name, n_outputs, times) in &self.lanes {
            write!(out, "{name:<24}")?;
            times.iter().try_for_each(|time| write!(out, "{:>16}", text(*time)))?;
            writeln!(out, "{:>16}", self.each_further(name, *n_outputs, times[0]).map_or_else(String::new, text))?;
        }
        writeln!(out, "\nallocations: {}", self.allocations)
    }

    /// What each output beyond the first adds to `forward`.
    fn each_further(&self, name: &str, n_outputs: u16, (median, minimum): Time) -> Option<Time> {
        let single = format!("1 to 1, {}", name.rsplit(", ").next()?);
        let (.., [(one_median, one_minimum), ..]) = self.lanes.iter().find(|(name, ..)| *name == single)?;
        let n = f64::from(n_outputs.checked_sub(1).filter(|n| *n > 0)?);
        Some(((median - one_median) / n, (minimum - one_minimum) / n))
    }
}

fn text((median, minimum): Time) -> String {
    format!("{median:.1} ({minimum:.1})")
}
