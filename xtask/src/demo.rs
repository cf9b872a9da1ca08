//! `cargo xtask demo`: the relay at work, on this machine, with nothing prepared.

use std::ffi::OsString;

use anyhow::{Result, bail};

use crate::{build, packages, packages::PACKAGES, rights::Rights, step::step, workspace::Workspace};

/// With mcr itself, so that what both stand on is built for both at once.
const BUILD: [&str; 8] = ["build", "--release", "--package", "relay-userspace", "--package", "bench", "--bin", "demo"];

/// Install what is missing, build, and show the relay at work between network namespaces.
///
/// Your own interfaces are left alone; the namespaces are gone afterwards.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long it runs; without it, the demo's own length.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u32>,
    /// What the demo gets besides.
    #[arg(last = true)]
    pub(crate) demo: Vec<OsString>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if !is_there(workspace)? {
        bail!("no such program: the crate bench has no bin `demo`");
    }
    let rights = Rights::need("the demo (it makes network namespaces)")?;
    packages::install_missing(&PACKAGES)?;
    build::run(workspace)?;
    step("building the demo", workspace.cargo().args(BUILD))?;
    let mut demo = rights.command(workspace.release("demo"), &[]);
    demo.current_dir(workspace.root()).arg("--mcr").arg(workspace.mcr());
    if let Some(seconds) = args.seconds {
        demo.args(["--seconds", &seconds.to_string()]);
    }
    step("running the demo", demo.args(&args.demo))
}

pub(crate) fn is_there(workspace: &Workspace) -> Result<bool> {
    workspace.has_target("bench", "bin", "demo")
}
