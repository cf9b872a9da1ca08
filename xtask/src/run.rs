//! `cargo xtask run`: build, then become mcr.

use std::{ffi::OsString, os::unix::process::CommandExt};

use anyhow::{Context, Result};

use crate::{build, rights::Rights, workspace::Workspace};

/// Build as you, then run target/release/mcr as root: `cargo xtask run -- run --config FILE`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What mcr gets.
    #[arg(last = true)]
    mcr: Vec<OsString>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    build::run(workspace)?;
    let rights = Rights::need("mcr")?;
    // exec, so that signals and the exit code are mcr's own.
    let error = rights.command(workspace.mcr(), &[]).args(&args.mcr).exec();
    Err(error).with_context(|| format!("cannot start {}", workspace.mcr().display()))
}
