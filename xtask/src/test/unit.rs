//! The ordinary tests of every crate.

use anyhow::Result;

use crate::{step, workspace::Workspace};

use super::{tally::Tally, toolchain};

pub(super) fn run(workspace: &Workspace) -> Result<Tally> {
    let mut runs = vec![
        vec!["--package", "relay-common", "--all-features"],
        vec!["--package", "relay-userspace"],
        // Its benches too: a few batches each, so that they still run when somebody wants a figure.
        vec!["--package", "bench", "--all-targets"],
        vec!["--package", "xtask"],
    ];
    if let Err(error) = toolchain(workspace) {
        eprintln!("xtask: relay-userspace is tested without the eBPF program inside: {error:#}");
        runs[1].push("--no-default-features");
    }
    let mut tally = Tally::default();
    for run in runs {
        eprintln!("xtask: testing {} …", run[1]);
        let (status, printed) = step::watch(workspace.cargo().args(["test", "--no-fail-fast"]).args(&run))?;
        tally.add(Tally::read(&printed, status));
    }
    Ok(tally)
}
