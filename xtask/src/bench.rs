//! `cargo xtask bench`: every figure we publish.

use std::ffi::OsString;

use anyhow::Result;

use crate::{build, packages, packages::PACKAGES, rights::Rights, step::step, workspace::Workspace};

/// Measure: relays over veth pairs (as root), then the functions of the data path.
///
/// Both are release builds. What stands after `--` goes to the relays' measurement.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the measurement of relays gets besides `--mcr`.
    #[arg(last = true)]
    relays: Vec<OsString>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if workspace.has_target("bench", "bin", "relays")? {
        relays(workspace, &args.relays)?;
    } else {
        eprintln!("xtask: no such program: the crate bench has no bin `relays`");
    }
    step("measuring the functions of the data path", workspace.cargo().args(["bench", "--package", "bench"]))
}

fn relays(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    let rights = Rights::need("measuring relays (it makes network namespaces)")?;
    packages::install_missing(&PACKAGES)?;
    build::run(workspace)?;
    let mut cargo = workspace.cargo();
    step("building the measurement", cargo.args(["build", "--release", "--package", "bench", "--bin", "relays"]))?;
    let mut relays = rights.command(workspace.release("relays"), &[]);
    relays.current_dir(workspace.root()).arg("--mcr").arg(workspace.mcr());
    step("measuring relays", relays.args(args))
}
