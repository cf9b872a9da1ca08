//! `cargo xtask test`: the suites, each with what it needs, and a table at the end.

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
    /// With loaded: run the suites so many times in a row.
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: u32,
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
        rows.extend(loaded(workspace, args.rounds, filter)?);
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
    let rounds = if args.suite == Choice::Long { ROUNDS } else { 1 };
    let mut rows = Vec::new();
    let mut prepared = None; // Once, and only for a suite that is there.
    for suite in suites {
        let name = suite.name();
        match suite.is_there(workspace) {
            Err(error) => rows.push(Row::new(&name, Outcome::broken(&error), 0.0)),
            Ok(false) => rows.push(Row::new(&name, Outcome::Missing, 0.0)),
            Ok(true) => match prepared.get_or_insert_with(|| prepare(workspace)) {
                Ok(rights) => {
                    let run = Run { rights: *rights, long: rounds > 1, filter: args.filter.as_deref(), env: &[] };
                    if suite == Suite::systemd() {
                        rows.push(systemd::own(workspace, &run));
                        rows.extend(systemd::others(workspace, &run));
                        continue;
                    }
                    rows.extend((0..rounds).map(|_| timed(&name, || suite.run(workspace, &run))));
                }
                Err(outcome) => rows.push(Row::new(&name, outcome.clone(), 0.0)),
            },
        }
    }
    Ok(rows)
}

/// The suites of the relay between network namespaces, with a busy loop on every core. Those of the laboratory measure,
/// and say nothing about a loaded machine.
fn loaded(workspace: &Workspace, rounds: u32, filter: Option<&str>) -> Result<Vec<Row>> {
    let suites: Vec<Suite> = Suite::netns(workspace)?.into_iter().filter(Suite::is_of_relay).collect();
    let mut rows = Vec::new();
    let rights = match prepare(workspace) {
        Ok(rights) => rights,
        Err(outcome) => return Ok(vec![Row::new("loaded", outcome, 0.0)]),
    };
    for _ in 0..rounds {
        for suite in &suites {
            let run = || {
                suite.compile(workspace)?;
                let _busy = BusyCores::start();
                suite.run(workspace, &Run { rights, long: false, filter, env: &[] })
            };
            rows.push(timed(&format!("{} loaded", suite.name()), run));
        }
    }
    Ok(rows)
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
