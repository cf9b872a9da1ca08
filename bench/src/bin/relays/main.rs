//! Relays compared: how many packets a second each takes through one core, with every lost packet named.
//!
//! MCR and the honest competitor of ordinary sockets take turns on the same links, so that whatever else the machine
//! does meets both. Then, of MCR alone: how fast it starts, what memory it takes, and what it costs when nothing comes.

mod own; // what MCR costs besides
mod stage; // generator, relay, sink

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use stage::{Contestant, Run, Stage};

/// Measures relays: MCR, and the peer of ordinary sockets.
#[derive(Parser)]
struct Arguments {
    /// The binary of MCR
    #[arg(long, value_name = "PATH")]
    mcr: PathBuf,
    /// Shorter and fewer runs
    #[arg(long)]
    quick: bool,
    /// How many outputs the relay has, one measurement for each number
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 4])]
    outputs: Vec<u64>,
    /// How often each relay has its turn
    #[arg(long)]
    turns: Option<usize>,
    /// How long a turn is
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// How MCR's lane waits: busy, adaptive or wait
    #[arg(long, default_value = "adaptive")]
    poll: String,
    /// Another binary of MCR to compare with the first
    #[arg(long, value_name = "PATH")]
    against: Option<PathBuf>,
    /// Only compare relays
    #[arg(long)]
    only_rates: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mcr = |binary: &PathBuf| -> Result<Contestant> {
        let binary = binary.canonicalize().with_context(|| format!("no MCR at {}", binary.display()))?;
        Ok(Contestant::Mcr { binary, poll: arguments.poll.clone() })
    };
    let peer = std::env::current_exe()?.with_file_name("peer");
    ensure!(peer.exists(), "the peer is missing: cargo build --release --package bench --bin peer");
    let mut contestants = vec![("mcr", mcr(&arguments.mcr)?), ("peer", Contestant::Peer { binary: peer })];
    if let Some(other) = &arguments.against {
        contestants.push(("other mcr", mcr(other)?));
    }
    for name in bench::netns::sweep("mcr-fig")? {
        eprintln!("relays: removed {name}, left behind by an earlier run");
    }
    let mut uncounted = 0;
    for &n_outputs in &arguments.outputs {
        uncounted += compare(&arguments, &contestants, n_outputs)?;
    }
    if !arguments.only_rates {
        own::measure(&arguments.mcr, arguments.quick)?;
    }
    ensure!(uncounted == 0, "of {uncounted} packets no counter says what became of them");
    Ok(())
}

/// Lets the contestants take turns; prints the table; says how many packets nobody counted.
fn compare(arguments: &Arguments, contestants: &[(&str, Contestant)], n_outputs: u64) -> Result<u64> {
    let (turns, seconds) = if arguments.quick { (3, 1.0) } else { (7, 2.0) };
    let duration = Duration::from_secs_f64(arguments.seconds.unwrap_or(seconds));
    let stage = Stage::new()?;
    let mut runs: Vec<Vec<Run>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..arguments.turns.unwrap_or(turns) {
        for ((_, contestant), runs) in contestants.iter().zip(&mut runs) {
            runs.push(stage.run(contestant, n_outputs, duration)?);
        }
    }
    print(contestants, &runs, n_outputs)?;
    Ok(runs.iter().flatten().map(|run| run.uncounted(n_outputs).unsigned_abs()).sum())
}

fn print(contestants: &[(&str, Contestant)], runs: &[Vec<Run>], n_outputs: u64) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n1 to {n_outputs}, 1316 bytes of payload, relay on core {}\n", stage::RELAY_CORE)?;
    writeln!(out, "{:<10}{:^42}{:^42}", "", "packets per second", "packets per second of the core's time")?;
    let columns = format!("{:>12}{:>21}{:>8}", "median", "slowest to fastest", "ratio");
    writeln!(out, "{:<10}{columns}{columns}", "relay")?;
    let peer = contestants.iter().position(|(name, _)| *name == "peer").map_or(&[][..], |at| &runs[at]);
    for ((name, _), runs) in contestants.iter().zip(runs) {
        write!(out, "{name:<10}")?;
        for rate in [Run::rate, Run::rate_of_core] {
            let rates = Rates::of(runs, rate);
            let spread = format!("{:.0} to {:.0}", rates.slowest, rates.fastest);
            write!(out, "{:>12.0}{spread:>21}{:>8.2}", rates.median, rates.median / Rates::of(peer, rate).median)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "\nwhere packets were lost, over all turns")?;
    for ((name, _), runs) in contestants.iter().zip(runs) {
        let offered: u64 = runs.iter().map(|run| run.offered * n_outputs).sum();
        let arrived: u64 = runs.iter().map(|run| run.arrived).sum();
        let uncounted: i64 = runs.iter().map(|run| run.uncounted(n_outputs)).sum();
        write!(out, "{name:<10}offered {offered}, arrived {arrived}")?;
        for (at, (reason, _)) in runs.first().map(|run| run.lost.as_slice()).unwrap_or_default().iter().enumerate() {
            let lost: u64 = runs.iter().map(|run| run.lost[at].1).sum();
            if lost > 0 {
                write!(out, ", {reason} {lost}")?;
            }
        }
        writeln!(out, ", uncounted {uncounted}")?;
    }
    Ok(())
}

struct Rates {
    median: f64,
    slowest: f64,
    fastest: f64,
}

impl Rates {
    fn of(runs: &[Run], rate: fn(&Run) -> f64) -> Self {
        let mut rates: Vec<f64> = runs.iter().map(rate).collect();
        rates.sort_by(f64::total_cmp);
        let at = |at: usize| rates.get(at).copied().unwrap_or_default();
        Self { median: at(rates.len() / 2), slowest: at(0), fastest: at(rates.len().saturating_sub(1)) }
    }
}
