//! The ordinary tests of every crate.

use anyhow::Result;

use crate::{step, workspace::Workspace};

use super::{program, tally::Tally, toolchain};

pub(super) fn run(workspace: &Workspace, filter: Option<&str>) -> Result<Tally> {
    let mut cargo = program::tests(workspace);
    cargo.arg("--no-fail-fast");
    if let Err(error) = toolchain(workspace) {
        eprintln!("xtask: relay-userspace is tested without the eBPF program inside: {error:#}");
        cargo.arg("--no-default-features");
    }
    if let Some(filter) = filter {
        cargo.args(["--", filter]);
    }
    eprintln!("xtask: testing every crate …");
    let (status, printed) = step::watch(&mut cargo)?;
    Ok(Tally::read(&printed, status))
}
