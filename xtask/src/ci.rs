//! `cargo xtask ci`: what must be green, in the order in which it fails fastest.

use anyhow::Result;

use crate::{demo, lint, step::timed, test, tidy, workspace::Workspace};

/// Everything that must be green: lint, tidy, every test, ten seconds of the demo.
///
/// .ci/run calls exactly this, so what passes here passes there.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    timed("lint", || lint::run(workspace, &lint::Args { deny: false }))?;
    timed("tidy", || tidy::run(workspace))?;
    let tests =
        test::Args { suite: test::Choice::All, filter: None, jobs: None, rounds: 1, timed: false, record: false };
    timed("test all", || test::run(workspace, &tests))?;
    demo::run(workspace, &demo::Args { seconds: Some(10), demo: Vec::new() })?;
    Ok(())
}
