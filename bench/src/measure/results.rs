//! What was measured, as it is kept: the JSON file that the document and the plots are made from.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Grows when a reader of older files would misunderstand a newer one.
pub const FORMAT: u32 = 1;

/// One run of the bench.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// When it began: `2026-11-21`.
    pub date: String,
    /// The commit that was measured, with `+` when files had been changed.
    pub commit: String,
    /// `quick` or `full`, with what was chosen besides.
    pub extent: String,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// What it ran on.
    pub machine: Machine,
    /// In the order of the list.
    pub scenarios: Vec<ScenarioResult>,
    /// The functions of the data path by themselves.
    #[serde(default)]
    pub functions: Vec<Function>,
}

/// A function by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// What was done.
    pub name: String,
    /// What it was done to: `packet` or `table`.
    pub unit: String,
    /// Nanoseconds per unit: the median of many batches.
    pub median_ns: f64,
    /// The fastest batch.
    pub minimum_ns: f64,
    /// Allocations: for a batch of packets, or for a table.
    pub allocations: f64,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many cores the system has.
    pub cores: usize,
    /// Its memory.
    pub memory_mib: u64,
    /// Whether it is a virtual machine.
    pub is_virtual: bool,
    /// The kernel's release.
    pub kernel: String,
    /// What the kernel does against faults of the processor that costs time, in short.
    pub mitigations: String,
    /// The distribution.
    pub system: String,
    /// The compiler.
    pub rust: String,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioResult {
    /// As in the list.
    pub name: String,
    /// As in the list.
    pub about: String,
    /// Relays.
    pub relays: u16,
    /// Outputs of each.
    pub outputs: u16,
    /// Links that the outputs are spread over.
    pub links: u16,
    /// Bytes of UDP payload.
    pub payload: u16,
    /// Bytes of a frame on the way in, without the Ethernet checksum.
    pub frame: u16,
    /// In the order of the list; peers given by hand are the last.
    pub contestants: Vec<ContestantResult>,
}

/// What a contestant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// MCR itself.
    Mcr,
    /// A relay that is not MCR.
    Peer,
    /// No relay: what the machine could do at most.
    Ceiling,
}

/// One contestant in one scenario. What was not measured is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContestantResult {
    /// Its name.
    pub name: String,
    /// What it is, in one line.
    pub about: String,
    /// What it is.
    pub kind: Kind,
    /// Why it did not run; everything else is absent then.
    pub skipped: Option<String>,
    /// The highest rate at which at most one of 100 000 packets is lost: packets per second **in**.
    pub rate: Option<Spread>,
    /// Packets per second **out** when more came in than it could take.
    pub overload: Option<Spread>,
    /// At shares of its own highest rate, the lowest first.
    pub loads: Vec<Load>,
    /// Memory of all its processes, each shared page counted once, in KiB.
    pub memory_kib: Option<u64>,
    /// Processor time it takes when no packet comes, in per cent of a core.
    pub idle_percent: Option<f64>,
    /// Packets that were lost in all runs, by the name of the counter that says so.
    pub losses: Vec<Loss>,
}

/// What was measured at a share of the highest rate, by a stream at a constant rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The share, in per cent.
    pub percent: u8,
    /// Packets per second in.
    pub rate: f64,
    /// One-way latency from the generator's stamp to the sink, in nanoseconds.
    pub latency: Percentiles,
    /// By how much the gap between two packets of a stream grew or shrank on the way, in nanoseconds.
    pub jitter: Percentiles,
    /// Processor time of the relay's core per packet **in**, in nanoseconds: all processes and the kernel.
    pub core_ns: f64,
    /// Processor time that receiving took on the generator's core, per packet in, in nanoseconds; absent where the
    /// generator was too little busy to tell.
    pub receive_ns: Option<f64>,
}

/// Percentiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The largest.
    pub max: f64,
}

/// Repeats of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// In the order in which they were taken.
    pub values: Vec<f64>,
}

impl Spread {
    /// The middle one; of an even number the upper of the two.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The lowest.
    pub fn low(&self) -> f64 {
        self.values.iter().copied().reduce(f64::min).unwrap_or_default()
    }

    /// The highest.
    pub fn high(&self) -> f64 {
        self.values.iter().copied().reduce(f64::max).unwrap_or_default()
    }
}

/// Packets that did not arrive, by the counter that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The counter, in words.
    pub name: String,
    /// How many packets are missing at the sinks because of it: one that was lost before it was copied counts once
    /// for each output.
    pub packets: u64,
}

/// What a file of any format begins with.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Results {
    /// Reads a file that [`write`](Self::write) has written.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        // The format first: what else stands in the file hangs on it.
        let Head { format } = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
        ensure!(format == FORMAT, "{} has format {format}; this bench reads {FORMAT}: measure again", path.display());
        serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}
