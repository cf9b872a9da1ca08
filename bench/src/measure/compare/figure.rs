//! What is compared, and how much of it is noise at least.

use std::fmt::{self, Display, Formatter};

use crate::measure::number;
use crate::measure::results::{ContestantResult, Spread};

/// Rates differ by so much from run to run on an idle machine, even when repeats within a run agree.
const RATE_FLOOR: f64 = 0.05;
/// Latencies hang on when a core wakes and who else wakes with it. Only the median of their repeats is kept.
const LATENCY_FLOOR: f64 = 0.15;
/// Processor time is counted in hundredths of a second: steadier than a latency, less so than a rate.
const CORE_TIME_FLOOR: f64 = 0.10;
/// Memory repeats but for the allocator's mood.
const MEMORY_FLOOR: f64 = 0.05;

/// A figure of a contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Rate,
    Overload,
    CoreTime,
    /// The median at a load in per cent.
    Median(u8),
    /// The 99th percentile at a load in per cent.
    Tail(u8),
    Memory,
}

impl Figure {
    /// All that a contestant may have, in the order in which they are shown.
    pub(super) fn all(contestant: &ContestantResult) -> Vec<Self> {
        let loads = contestant.loads.iter().map(|load| load.percent);
        let latencies = loads.flat_map(|percent| [Self::Median(percent), Self::Tail(percent)]);
        [Self::Rate, Self::Overload, Self::CoreTime].into_iter().chain(latencies).chain([Self::Memory]).collect()
    }

    /// What of a contestant it is. Nothing can be said of a figure that is 0: it has no shares.
    pub(super) fn of(self, contestant: &ContestantResult) -> Option<f64> {
        let value = match self {
            Self::Rate => contestant.highest(),
            Self::Overload => contestant.overload.as_ref().map(Spread::median),
            Self::CoreTime => contestant.compared_load().map(|load| load.core_ns),
            Self::Median(percent) => contestant.load(percent).map(|load| load.latency.p50),
            Self::Tail(percent) => contestant.load(percent).map(|load| load.latency.p99),
            Self::Memory => contestant.memory_kib.map(|kib| kib as f64),
        };
        value.filter(|value| value.is_finite() && *value > 0.0)
    }

    /// By how much its repeats differ, as a share.
    pub(super) fn noise(self, contestant: &ContestantResult) -> f64 {
        let spread = match self {
            Self::Rate => contestant.rate.as_ref(),
            Self::Overload => contestant.overload.as_ref(),
            Self::CoreTime | Self::Median(_) | Self::Tail(_) | Self::Memory => None,
        };
        spread.map(Spread::noise).unwrap_or_default()
    }

    pub(super) const fn noise_floor(self) -> f64 {
        match self {
            Self::Rate | Self::Overload => RATE_FLOOR,
            Self::CoreTime => CORE_TIME_FLOOR,
            Self::Median(_) | Self::Tail(_) => LATENCY_FLOOR,
            Self::Memory => MEMORY_FLOOR,
        }
    }

    pub(super) const fn is_better_when_higher(self) -> bool {
        matches!(self, Self::Rate | Self::Overload)
    }

    /// Whether a slower machine changes it.
    pub(super) const fn depends_on_the_machine(self) -> bool {
        !matches!(self, Self::Memory)
    }

    /// Whether a regression of it is one of MCR. Of a hundred packets the slowest is often one that a neighbour held up,
    /// and there are many such figures: by chance one is always worse.
    pub(super) const fn decides(self) -> bool {
        !matches!(self, Self::Tail(_))
    }

    /// A value of it for people.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Rate | Self::Overload => number::packets(value),
            Self::CoreTime => number::core_time(value),
            Self::Median(_) | Self::Tail(_) => number::nanoseconds(value),
            Self::Memory => number::kibibytes(value),
        }
    }
}

impl Display for Figure {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate => out.pad("rate without loss"),
            Self::Overload => out.pad("overload, out"),
            Self::CoreTime => out.pad("core time"),
            Self::Median(percent) => out.pad(&format!("p50 at {percent} %")),
            Self::Tail(percent) => out.pad(&format!("p99 at {percent} %")),
            Self::Memory => out.pad("memory"),
        }
    }
}
