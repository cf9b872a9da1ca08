//! `cargo xtask test`: the suites, each with what it needs, and a table at the end.

use std::ffi::OsStr;

use anyhow::{Result, bail};

use crate::{
    build, build_ebpf,
    clock::Stopwatch,
    packages::{self, BROWSING, MEASURING, PACKAGES},
    rights::Rights,
    setup,
    workspace::Workspace,
};

use self::{
    busy::BusyCores,
    root_suite::{Run, Suite},
    table::{Outcome, Row},
    tally::Tally,
};

mod archive; // Debian's packages, verified by apt
mod busy; // every core kept busy
mod features; // what this kernel can do
mod fuzz;
mod instructions; // what the pure functions cost
mod program; // compiled, and found
mod root_suite; // compiled by the user, run by root
mod side_by_side; // some of those at once
mod systemd; // the unit under a booted systemd
mod table; // what is printed at the end
mod tally; // counting what libtest says
mod unit;
mod vm; // real drivers on emulated NICs

/// Run the tests: unit and vm need nothing, instructions valgrind, the others root and a kernel with AF_XDP.
///
/// Installs what is missing, compiles as you, runs as root what needs root, and says what it skips and why.
/// It ends with a table and fails when any test failed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which tests.
    #[arg(value_enum, default_value = "all")]
    pub(crate) suite: Choice,
    /// Only the tests whose names contain this.
    pub(crate) filter: Option<String>,
    /// How many of the suites that need root run at once; 3 where there are two cores, 1 with long.
    #[arg(long, short)]
    pub(crate) jobs: Option<usize>,
    /// With loaded: run the suites so many times in a row.
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: u32,
    /// Hold the times that tests print against what was promised, one suite at a time: only where nothing else runs. They
    /// are held against ten times that otherwise.
    #[arg(long)]
    pub(crate) timed: bool,
    /// With instructions: write the new numbers down; then say why in bench/instructions.toml.
    #[arg(long)]
    pub(crate) record: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// Ordinary tests of every crate: no rights, no kernel feature.
    Unit,
    /// Instructions that the pure functions take, compared with bench/instructions.toml: no rights.
    Instructions,
    /// The XDP program and its maps in this kernel.
    Kernel,
    /// Streams through a whole relay between network namespaces.
    Netns,
    /// Zero-copy on virtio_net and igb, in virtual machines: no rights. Brings an emulator and kernels to target/vm.
    Vm,
    /// The unit under a booted systemd, in containers: this machine's systemd, and those of Debian 12 and 13, which are
    /// brought to target/systemd.
    Systemd,
    /// unit, instructions, kernel, netns and vm.
    All,
    /// netns with a busy loop on every core: finds tests that pass only on a quiet machine.
    Loaded,
    /// netns and systemd with longer runs, netns again and again and once more with every core busy, then a minute of
    /// fuzzing each target.
    Long,
}

/// How often `long` repeats netns: enough to meet an order of events that one run in three shows.
const ROUNDS: u32 = 3;

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.record && args.suite != Choice::Instructions {
        bail!("only instructions are recorded: cargo xtask test instructions --record");
    }
    if args.timed && args.suite == Choice::Loaded {
        bail!(
            "--timed is for a machine that does nothing else, and loaded keeps its cores busy: leave one of them out"
        );
    }
    if args.rounds != 1 && args.suite != Choice::Loaded {
        bail!("only loaded is run in rounds: cargo xtask test loaded --rounds {}", args.rounds);
    }
    if args.filter.is_some() && args.suite == Choice::Instructions {
        bail!("instructions are counted all together: leave the name out");
    }
    let filter = args.filter.as_deref();
    let mut rows = Vec::new();
    if args.suite == Choice::All {
        // The unit tests have promtool judge where it is; without the right to install they say what they leave out.
        let _ = packages::install_missing(&PACKAGES);
    }
    if matches!(args.suite, Choice::Unit | Choice::All) {
        rows.push(timed("unit", || unit::run(workspace, filter)));
    }
    if matches!(args.suite, Choice::Instructions | Choice::All) {
        rows.push(instructions::run(workspace, args.record));
    }
    rows.extend(privileged(workspace, args)?);
    if matches!(args.suite, Choice::Loaded | Choice::Long) {
        rows.extend(loaded(workspace, args)?);
    }
    if matches!(args.suite, Choice::Vm | Choice::All) {
        rows.push(vm::run(workspace, filter));
    }
    if args.suite == Choice::Long {
        rows.extend(fuzz::run(workspace));
    }
    table::print(&rows)?;
    table::verdict(&rows)
}

/// The suites that root runs, against a release build of mcr; skipped where they cannot run, with the reason.
fn privileged(workspace: &Workspace, args: &Args) -> Result<Vec<Row>> {
    let mut suites = Vec::new();
    if matches!(args.suite, Choice::Kernel | Choice::All) {
        suites.push(Suite::kernel());
    }
    if matches!(args.suite, Choice::Netns | Choice::All | Choice::Long) {
        suites.extend(Suite::netns(workspace)?);
    }
    if matches!(args.suite, Choice::Systemd | Choice::Long) {
        suites.push(Suite::systemd());
    }
    let (suites, mut rows) = that_are_there(workspace, suites);
    if suites.is_empty() {
        return Ok(rows);
    }
    match prepare(workspace) {
        Ok(rights) => rows.extend(run_as_root(workspace, suites, args, rights)),
        Err(outcome) => rows.extend(suites.iter().map(|suite| Row::new(&suite.name(), outcome.clone(), 0.0))),
    }
    Ok(rows)
}

/// The suites that the workspace has, and a row for each other one.
fn that_are_there(workspace: &Workspace, suites: Vec<Suite>) -> (Vec<Suite>, Vec<Row>) {
    let mut rows = Vec::new();
    let is_there = |suite: &Suite| match suite.is_there(workspace) {
        Ok(true) => true,
        Ok(false) => {
            rows.push(Row::new(&suite.name(), Outcome::Missing, 0.0));
            false
        }
        Err(error) => {
            rows.push(Row::new(&suite.name(), Outcome::broken(&error), 0.0));
            false
        }
    };
    (suites.into_iter().filter(is_there).collect(), rows)
}

fn run_as_root(workspace: &Workspace, suites: Vec<Suite>, args: &Args, rights: Rights) -> Vec<Row> {
    let long = args.suite == Choice::Long;
    let rounds = if long { ROUNDS } else { 1 };
    // What `long` looks for shows where nothing else runs; what is looked for under load has its own rounds.
    let at_once = args.jobs.unwrap_or_else(|| if long || args.timed { 1 } else { side_by_side::suites_at_once() });
    let timed_env = [("MCR_TIMED", OsStr::new("1"))];
    let run = Run { rights, long, filter: args.filter.as_deref(), env: if args.timed { &timed_env } else { &[] } };
    let (booted, others): (Vec<_>, Vec<_>) = suites.into_iter().partition(|suite| *suite == Suite::systemd());
    let (shared, alone): (Vec<_>, Vec<_>) = others.into_iter().partition(Suite::is_netns_of_relay);
    let mut rows = Vec::new();
    for suite in &alone {
        rows.extend((0..rounds).map(|_| timed(&suite.name(), || suite.run(workspace, &run))));
    }
    for _ in 0..rounds {
        rows.extend(side_by_side::run(workspace, &shared, &run, at_once));
    }
    if !booted.is_empty() {
        rows.push(systemd::own(workspace, &run));
        rows.extend(systemd::others(workspace, &run));
    }
    rows
}

/// The suites of the relay between network namespaces, with a busy loop on every core. Those of the laboratory measure,
/// and say nothing about a loaded machine.
fn loaded(workspace: &Workspace, args: &Args) -> Result<Vec<Row>> {
    let suites: Vec<Suite> = Suite::netns(workspace)?.into_iter().filter(Suite::is_netns_of_relay).collect();
    let rights = match prepare(workspace) {
        Ok(rights) => rights,
        Err(outcome) => return Ok(vec![Row::new("loaded", outcome, 0.0)]),
    };
    for suite in &suites {
        suite.compile(workspace)?;
    }
    let run = Run { rights, long: false, filter: args.filter.as_deref(), env: &[] };
    let _busy = BusyCores::start();
    let at_once = args.jobs.unwrap_or_else(side_by_side::suites_at_once);
    let round = |number| {
        let rows = side_by_side::run(workspace, &suites, &run, at_once);
        rows.into_iter().map(move |row| row.renamed(|suite| format!("{suite} loaded {number}")))
    };
    Ok((1..=args.rounds).flat_map(round).collect())
}

/// Rights, kernel, packages, mcr: the first that is missing says how the suites end.
fn prepare(workspace: &Workspace) -> Result<Rights, Outcome> {
    let Some(rights) = Rights::find() else {
        return Err(Outcome::Skipped("needs root, and sudo would ask for a password nobody can type".into()));
    };
    features::check(rights).map_err(Outcome::Skipped)?;
    let bench = || build_ebpf::build_bench(workspace, &setup::toolchain(workspace)?);
    let packages = || [&PACKAGES[..], &MEASURING, &BROWSING].into_iter().try_for_each(packages::install_missing);
    let brought = packages().and_then(|()| build::run(workspace)).and_then(|()| bench());
    brought.map_err(|error| Outcome::broken(&error))?;
    Ok(rights)
}

fn timed(suite: &str, running: impl FnOnce() -> Result<Tally>) -> Row {
    let stopwatch = Stopwatch::start();
    let outcome = running().map_or_else(|error| Outcome::broken(&error), Outcome::Ran);
    Row::new(suite, outcome, stopwatch.elapsed().as_secs_f64())
}

/// The tool-chain for the eBPF half, or why there is none.
fn toolchain(workspace: &Workspace) -> Result<()> {
    let compiler = setup::toolchain(workspace)?;
    build_ebpf::build(workspace, &compiler)
}
