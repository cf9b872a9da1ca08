//! `cargo xtask bench`: every figure we publish.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    build, build_ebpf, packages,
    packages::{MEASURING, PACKAGES},
    rights::Rights,
    setup,
    step::step,
    workspace::Workspace,
};

/// Measure MCR and its peers over veth pairs (as root), and the functions of the data path.
///
/// Without --full it takes about three minutes besides building, for a first look; the figures of the
/// documentation are those of --full, which takes about twenty minutes, says so when it starts, and shows
/// how far it is. Nothing else should run meanwhile.
///
/// Results go to target/bench: results.json, benchmarks.md, and plots. Those of a whole --full run, and of
/// any with --keep, go to bench/results/PROCESSOR.json instead, in place of what was kept of a processor of
/// that name, and into docs/.
///
/// A relay that is not ours takes part with one flag, and is compared in the same run:
///
///   cargo xtask bench --scenario 1-to-1 \
///     --peer 'NAME=COMMAND {in_if} {in_group} {in_port} {out_if} {out_group} {out_port}'
#[derive(clap::Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// A few scenarios, one round: under three minutes (the default).
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Everything, three rounds.
    #[arg(long)]
    full: bool,
    /// Keep the results as those of this processor, also of a run that leaves something out.
    #[arg(long)]
    keep: bool,
    /// Only these scenarios: their names are in bench/scenarios.toml.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    scenario: Vec<OsString>,
    /// Of the contestants in the list only these.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<OsString>,
    /// Another relay: its name and its command. May be repeated.
    #[arg(long, value_name = "NAME=COMMAND")]
    peer: Vec<OsString>,
    /// MCR with other settings: a name, and lines of the section `lanes` with a semicolon between two.
    #[arg(long, value_name = "NAME=LINES")]
    variant: Vec<OsString>,
    /// How often each contestant has its turn.
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what changed beyond the noise between two results.json; exit 1 when MCR got slower.
    Compare { old: PathBuf, new: PathBuf },
    /// Make the documents and the plots anew from bench/results/.
    Render,
    /// Measure the functions of the data path only.
    Functions {
        /// Only those with this in their name.
        name: Option<String>,
    },
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    match &args.command {
        Some(Command::Compare { old, new }) => {
            let mut figures = figures(workspace)?;
            step("comparing", figures.arg("compare").args([old, new]))
        }
        Some(Command::Render) => {
            let mut figures = figures(workspace)?;
            figures.args(["render", "--kept", KEPT, "--docs", "docs"]);
            step("rendering", figures.current_dir(workspace.root()))
        }
        Some(Command::Functions { name }) => functions(workspace, name.as_deref(), None, false),
        None => measure(workspace, args),
    }
}

/// The results that the documentation shows, a file for each processor.
const KEPT: &str = "bench/results";

fn measure(workspace: &Workspace, args: &Args) -> Result<()> {
    let rights = Rights::need("measuring relays (it makes network namespaces)")?;
    // Its links take ip and ethtool, the first two, and nothing else of what tests need.
    packages::install_missing(&PACKAGES[..2])?;
    if let Err(error) = packages::install_missing(&MEASURING) {
        eprintln!("xtask: some peers will not take part: {error:#}");
    }
    build::run(workspace)?;
    build_ebpf::build_bench(workspace, &setup::toolchain(workspace)?)?;
    build_figures(workspace)?;
    let of_functions = workspace.target().join("bench/functions.json");
    functions(workspace, None, Some(&of_functions), !args.full)?;

    let is_whole = args.full
        && [&args.scenario, &args.only, &args.peer, &args.variant].iter().all(|chosen| chosen.is_empty())
        && args.rounds.is_none();
    let aside = workspace.target().join("bench");
    let (flag, place, docs) = if is_whole || args.keep {
        ("--keep", workspace.root().join(KEPT), workspace.root().join("docs"))
    } else {
        ("--json", aside.join("results.json"), aside)
    };
    // Ahead of whatever else the machine does, for all contestants alike.
    let mut figures = rights.command("nice", &[]);
    figures.args(["-n", "-10"]).arg(workspace.release("figures"));
    figures.current_dir(workspace.root()).arg("measure").arg("--mcr").arg(workspace.mcr());
    figures.arg(flag).arg(place).arg("--docs").arg(docs).arg("--functions").arg(of_functions);
    if !args.full {
        figures.arg("--quick");
    }
    for (flag, values) in
        [("--scenario", &args.scenario), ("--only", &args.only), ("--peer", &args.peer), ("--variant", &args.variant)]
    {
        values.iter().for_each(|value| _ = figures.arg(flag).arg(value));
    }
    if let Some(rounds) = args.rounds {
        figures.args(["--rounds", &rounds.to_string()]);
    }
    step("measuring relays", &mut figures)
}

fn functions(workspace: &Workspace, name: Option<&str>, json: Option<&Path>, is_quick: bool) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["bench", "--package", "bench", "--bench", "forward", "--"]).args(name);
    if let Some(json) = json {
        cargo.arg("--json").arg(json);
    }
    if is_quick {
        cargo.arg("--quick");
    }
    step("measuring the functions of the data path", &mut cargo)
}

fn build_figures(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    step("building the bench", cargo.args(["build", "--release", "--package", "bench", "--bins"]))
}

fn figures(workspace: &Workspace) -> Result<std::process::Command> {
    build_figures(workspace)?;
    Ok(std::process::Command::new(workspace.release("figures")))
}
