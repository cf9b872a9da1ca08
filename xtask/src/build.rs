//! `cargo xtask build`: the product.

use anyhow::Result;

use crate::{build_ebpf, setup, step::step, workspace::Workspace};

/// Build the release binary, target/release/mcr, with the XDP program inside.
///
/// Installs the tool-chain for the eBPF half when it is missing; nothing else.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    build_ebpf::build(workspace, &setup::toolchain(workspace)?)?;
    step("building mcr", workspace.cargo().args(["build", "--release", "--package", "relay-userspace"]))
}
