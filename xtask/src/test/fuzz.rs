//! Fuzzing relay-common: a minute for each target, on the same stable Rust.

use anyhow::Result;

use crate::{packages, packages::FUZZING, step, toolchain, workspace::Workspace};

use super::{
    table::{Outcome, Row},
    tally::Tally,
    timed,
};

const CARGO_FUZZ: &str = "0.13.1";
const SECONDS: u32 = 60;

pub(super) fn run(workspace: &Workspace) -> Vec<Row> {
    if !workspace.root().join("relay-common/fuzz").is_dir() {
        return vec![Row::new("fuzz", Outcome::Missing, 0.0)];
    }
    match targets(workspace) {
        Ok(targets) => {
            targets.iter().map(|target| timed(&format!("fuzz {target}"), || fuzz(workspace, target))).collect()
        }
        Err(error) => vec![Row::new("fuzz", Outcome::broken(&error), 0.0)],
    }
}

fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    packages::install_missing(&FUZZING)?;
    toolchain::obtain_tool(workspace, "cargo-fuzz", CARGO_FUZZ)?;
    let listed = step::capture(cargo_fuzz(workspace).arg("list"))?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// One target counts as one test: it passes when nothing was found in its time.
fn fuzz(workspace: &Workspace, target: &str) -> Result<Tally> {
    eprintln!("xtask: fuzzing {target} for {SECONDS} s …");
    let mut command = cargo_fuzz(workspace);
    let time = format!("-max_total_time={SECONDS}");
    // The sanitizer is a nightly flag; the stable compiler takes it with the bootstrap variable.
    command.env("RUSTC_BOOTSTRAP", "1").args(["run", target, "--", &time]);
    let (status, _) = step::watch(&mut command)?;
    Ok(if status.success() { Tally { passed: 1, ..Tally::default() } } else { Tally { failed: 1, ..Tally::default() } })
}

fn cargo_fuzz(workspace: &Workspace) -> std::process::Command {
    let mut command = workspace.cargo();
    let tools = workspace.tools().join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(tools).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(paths) {
        command.env("PATH", path);
    }
    command.current_dir(workspace.root().join("relay-common")).arg("fuzz");
    // cargo-fuzz keeps its own target directory beside its targets.
    command.env_remove("CARGO_TARGET_DIR");
    command
}
