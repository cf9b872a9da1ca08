//! A suite that root runs: compiled by the user, so that nothing in target/ ever belongs to root.

use std::{ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{rights::Rights, step, workspace::Workspace};

use super::tally::Tally;

/// Runs the ignored tests of relay-userspace's test target `suite`, one at a time: they share the kernel.
pub(super) fn run(workspace: &Workspace, rights: Rights, suite: &str, long: bool) -> Result<Tally> {
    let program = compile(workspace.cargo(), suite)?;
    let package = workspace.root().join("relay-userspace");
    let mcr = workspace.mcr();
    let mut env = vec![("MCR", mcr.as_os_str()), ("CARGO_MANIFEST_DIR", package.as_os_str())];
    if long {
        env.push(("MCR_LONG", OsStr::new("1")));
    }
    let mut tests = rights.command(program, &env);
    tests.current_dir(&package).args(["--ignored", "--test-threads=1"]);
    eprintln!("xtask: running {suite} as root …");
    let (status, printed) = step::watch(&mut tests)?;
    Ok(Tally::read(&printed, status))
}

/// Compiles the suite and says where its program is.
fn compile(mut cargo: Command, suite: &str) -> Result<PathBuf> {
    cargo.args(["test", "--no-run", "--package", "relay-userspace", "--test", suite]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    eprintln!("xtask: compiling {suite} …");
    // Not `capture`: compiler errors go to standard error, where the user reads them as they come.
    let output = cargo.stderr(std::process::Stdio::inherit()).output().context("cannot start cargo")?;
    anyhow::ensure!(output.status.success(), "{suite} does not compile; see the lines above");
    let messages = String::from_utf8(output.stdout).context("cargo did not print UTF-8")?;
    program_of(&messages, suite).with_context(|| format!("cargo did not say where the program of {suite} is"))
}

/// Finds the test program among cargo's messages, one JSON object a line.
fn program_of(messages: &str, suite: &str) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ours = |artifact: &serde_json::Value| {
        artifact["reason"] == "compiler-artifact"
            && artifact["target"]["name"] == suite
            && artifact["target"]["kind"][0] == "test"
    };
    artifacts.filter(ours).find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"netns"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"kernel"},"executable":"/t/kernel-1"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"netns"},"executable":"/t/netns-2"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(program_of(messages, "netns"), Some("/t/netns-2".into()));
        assert_eq!(program_of(messages, "other"), None);
    }
}
