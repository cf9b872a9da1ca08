//! A headend in a box: sources, the relay and receivers in namespaces of this machine, and every packet checked.

mod channels; // what is relayed where, and the relay's configuration
mod stage; // the namespaces and links
mod table; // what the visitor sees

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bench::clock::Deadline;
use bench::ledger::{lock, wait_for_tail};
use bench::netns::{Reaper, sweep};
use bench::source::Load;
use bench::{Process, Sink, Source};
use clap::Parser;
use nix::sys::signal::{SigSet, Signal};

use channels::Account;
use stage::Stage;
use table::Table;

/// The demo's namespaces are named after it.
const PREFIX: &str = "mcr-demo";
const READY_WITHIN: Duration = Duration::from_secs(20);
const TAIL_WITHIN: Duration = Duration::from_secs(3);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Shows mcr at work on this machine: four streams, two outputs each, every byte of every packet checked.
///
/// Needs root, iproute2 and ethtool. Makes network namespaces of its own and removes them; touches nothing else.
#[derive(Parser)]
struct Arguments {
    /// The mcr binary
    #[arg(long, value_name = "PATH")]
    mcr: PathBuf,
    /// Ends after so many seconds; without it, at Ctrl-C
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Packets per second of each of the four streams
    #[arg(long, value_name = "PPS", default_value_t = 2000)]
    rate: u64,
    /// Leaves namespaces and configuration in place, for a look around
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match show(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(arguments: &Arguments) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "namespaces need root: run it with sudo");
    let mcr = fs::canonicalize(&arguments.mcr)
        .with_context(|| format!("no mcr at {} (build it: cargo build --release)", arguments.mcr.display()))?;
    let stopped = stop_on_signal()?;
    sweep(PREFIX)?;
    let directory = std::env::temp_dir().join(format!("{PREFIX}-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let mut reaper = Reaper::start()?;
    let stage = Stage::set_up(PREFIX)?;
    if !arguments.keep {
        reaper.guard_directory(&directory)?;
        for namespace in stage.namespaces() {
            reaper.guard(namespace)?;
        }
    }
    let config = directory.join("mcr.toml");
    fs::write(&config, channels::config())?;
    stage.introduce(&mut io::stdout().lock(), &config)?;

    let result = perform(arguments, &mcr, &config, &stage, &stopped);
    if arguments.keep {
        let names = stage.keep().join(" ");
        writeln!(io::stdout().lock(), "\nleft in place: {} and the namespaces {names}", config.display())?;
    } else {
        drop(stage);
        fs::remove_dir_all(&directory)?;
    }
    result
}

/// The performance itself, from the relay's start to the verdict.
fn perform(arguments: &Arguments, mcr: &Path, config: &Path, stage: &Stage, stopped: &AtomicBool) -> Result<()> {
    let accounts = channels::accounts();
    let sinks = stage.sinks(&accounts)?;
    let mut command = stage.relay.command(mcr);
    command.arg("run").arg("--config").arg(config);
    let mut relay = Process::start("mcr", command)?;
    relay.wait_for("ready", READY_WITHIN)?;
    let load = Load::new(channels::streams(stage.source_mac())).rate(arguments.rate);
    let source = Source::start(&stage.source, stage::SOURCE_LINK, load)?;

    let mut table = Table::new(&accounts, io::stdout().is_terminal());
    let end = arguments.seconds.map(|seconds| Deadline::after(Duration::from_secs(seconds)));
    while !stopped.load(Ordering::Relaxed) && !end.is_some_and(Deadline::passed) {
        wait_a_second(stopped, end);
        table.show(&source)?;
        if !relay.is_running()? {
            bail!("mcr ended in the middle of the performance; it said:\n{}", relay.lines().join("\n"));
        }
        ensure!(!source.is_finished(), "the source has failed: {:#}", reason_of(source));
    }
    finish(source, sinks, relay, &accounts, &mut table)
}

/// Lets the tail arrive, ends everything in order, and balances the accounts.
fn finish(
    source: Source,
    sinks: Vec<Sink>,
    mut relay: Process,
    accounts: &[Account],
    table: &mut Table<'_>,
) -> Result<()> {
    let ledgers: Vec<_> = accounts.iter().map(|account| Arc::clone(&account.ledger)).collect();
    let report = source.stop()?;
    report.enter(&ledgers);
    wait_for_tail(&ledgers, TAIL_WITHIN);
    let mark = relay.mark();
    let ended = relay.stop(STOP_WITHIN);
    table.show_final(report.elapsed)?;
    let last_words = relay.lines().split_off(mark);
    let mut out = io::stdout().lock();
    writeln!(out, "\nmcr's own summary:")?;
    for line in &last_words {
        writeln!(out, "  {line}")?;
    }
    if last_words.is_empty() {
        writeln!(out, "  (it said nothing)")?;
    }
    let mut faults: Vec<String> =
        ledgers.iter().filter_map(|ledger| lock(ledger).check(0).err()).map(|fault| fault.to_string()).collect();
    for sink in sinks {
        faults.extend(sink.stop()?.check().err().map(|fault| fault.to_string()));
    }
    faults.extend(ended.err().map(|fault| fault.to_string()));
    if !faults.is_empty() {
        bail!("not every packet was relayed as it should be:\n  {}", faults.join("\n  "));
    }
    let relayed: u64 = ledgers.iter().map(|ledger| lock(ledger).received()).sum();
    writeln!(out, "\n{relayed} packets relayed and checked byte for byte: none lost, doubled, disordered or corrupt")?;
    Ok(())
}

fn reason_of(source: Source) -> anyhow::Error {
    source.finish().err().unwrap_or_else(|| anyhow::anyhow!("it ended early"))
}

fn wait_a_second(stopped: &AtomicBool, end: Option<Deadline>) {
    let second = Deadline::after(Duration::from_secs(1));
    while !second.passed() && !stopped.load(Ordering::Relaxed) && !end.is_some_and(Deadline::passed) {
        thread::sleep(second.remaining().min(Duration::from_millis(20)));
    }
}

/// A flag that becomes true at Ctrl-C or SIGTERM. The signals are blocked in this thread and all that it starts; children
/// get them unblocked.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    thread::spawn(move || {
        signals.wait().ok();
        flag.store(true, Ordering::Relaxed);
    });
    Ok(stopped)
}
