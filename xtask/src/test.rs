//! `cargo xtask test`: the suites, each with what it needs, and a table at the end.

use anyhow::Result;

use crate::{build, clock::Stopwatch, packages, packages::PACKAGES, rights::Rights, setup, workspace::Workspace};

use self::{
    table::{Outcome, Row},
    tally::Tally,
};

mod features; // what this kernel can do
mod fuzz;
mod root_suite; // compiled by the user, run by root
mod table; // what is printed at the end
mod tally; // counting what libtest says
mod unit;

/// Run the tests: unit needs nothing, kernel and netns need root and a kernel with AF_XDP.
///
/// Installs what is missing, compiles as you, runs as root what needs root, and says what it skips and why.
/// It ends with a table and fails when any test failed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which tests.
    #[arg(value_enum, default_value = "all")]
    pub(crate) suite: Choice,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// Ordinary tests of every crate: no rights, no kernel feature.
    Unit,
    /// The XDP program and its maps in this kernel.
    Kernel,
    /// Streams through a whole relay between network namespaces.
    Netns,
    /// unit, kernel and netns.
    All,
    /// netns again and again with longer runs, then a minute of fuzzing each target.
    Long,
}

/// How often `long` repeats netns: enough to meet an order of events that one run in three shows.
const ROUNDS: u32 = 3;

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let named = args.suite != Choice::All;
    let mut rows = Vec::new();
    if matches!(args.suite, Choice::Unit | Choice::All) {
        rows.push(timed("unit", || unit::run(workspace)));
    }
    if matches!(args.suite, Choice::Kernel | Choice::Netns | Choice::All) {
        let suites: &[&str] = match args.suite {
            Choice::Kernel => &["kernel"],
            Choice::Netns => &["netns"],
            _ => &["kernel", "netns"],
        };
        rows.extend(privileged(workspace, suites, 1));
    }
    if args.suite == Choice::Long {
        rows.extend(privileged(workspace, &["netns"], ROUNDS));
        rows.extend(fuzz::run(workspace));
    }
    table::print(&rows)?;
    table::verdict(&rows, named)
}

/// The suites that root runs, against a release build of mcr; skipped where they cannot run, with the reason.
fn privileged(workspace: &Workspace, suites: &[&'static str], rounds: u32) -> Vec<Row> {
    let whole = |outcome: Outcome| suites.iter().map(|suite| Row::new(suite, outcome.clone(), 0.0)).collect();
    let here = match there_are(workspace, suites) {
        Ok(here) => here,
        Err(error) => return whole(Outcome::broken(&error)),
    };
    let Some(rights) = Rights::find() else {
        return whole(Outcome::Skipped("needs root, and sudo would ask for a password nobody can type".into()));
    };
    if let Err(reason) = features::check(rights) {
        return whole(Outcome::Skipped(reason));
    }
    let prepared = packages::install_missing(&PACKAGES).and_then(|()| build::run(workspace));
    if here.contains(&true)
        && let Err(error) = prepared
    {
        return whole(Outcome::broken(&error));
    }
    let mut rows = Vec::new();
    for (suite, is_here) in suites.iter().zip(here) {
        if is_here {
            rows.extend((0..rounds).map(|_| timed(suite, || root_suite::run(workspace, rights, suite, rounds > 1))));
        } else {
            rows.push(Row::new(suite, Outcome::Missing, 0.0));
        }
    }
    rows
}

fn there_are(workspace: &Workspace, suites: &[&str]) -> Result<Vec<bool>> {
    suites.iter().map(|suite| workspace.has_target("relay-userspace", "test", suite)).collect()
}

fn timed(suite: &str, running: impl FnOnce() -> Result<Tally>) -> Row {
    let stopwatch = Stopwatch::start();
    let outcome = running().map_or_else(|error| Outcome::broken(&error), Outcome::Ran);
    Row::new(suite, outcome, stopwatch.elapsed().as_secs_f64())
}

/// The tool-chain for the eBPF half, or why there is none.
fn toolchain(workspace: &Workspace) -> Result<()> {
    let compiler = setup::toolchain(workspace)?;
    crate::build_ebpf::build(workspace, &compiler)
}
