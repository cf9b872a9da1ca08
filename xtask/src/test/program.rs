//! Compiling a program of tests or measurements, and finding it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// A cargo that tests. Every suite is compiled by this one and picks no package, only a target: so they share one build of
/// the libraries, in which mcr can be made to die in a commit.
pub(super) fn tests(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--features", "relay-userspace/chaos"]);
    cargo
}

/// Compiles a target of tests and says where its program lies.
pub(super) fn compile_test(workspace: &Workspace, package: &str, target: &str) -> Result<PathBuf> {
    let mut cargo = tests(workspace);
    cargo.args(["--no-run", "--test", target]);
    compile(cargo, package, "test", target)
}

/// Runs a cargo that compiles, and says where the program of the package's target (kind "test", "bench") lies.
pub(super) fn compile(mut cargo: Command, package: &str, kind: &str, target: &str) -> Result<PathBuf> {
    cargo.args(["--message-format", "json-render-diagnostics"]);
    // Not `capture`: compiler errors go to standard error, where the user reads them as they come.
    let output = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    anyhow::ensure!(output.status.success(), "{target} does not compile; see the lines above");
    let messages = String::from_utf8(output.stdout).context("cargo did not print UTF-8")?;
    program_of(&messages, package, kind, target)
        .with_context(|| format!("cargo did not say where the program of {target} is"))
}

/// Finds the program among cargo's messages, one JSON object a line.
fn program_of(messages: &str, package: &str, kind: &str, target: &str) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let manifest = Path::new(package).join("Cargo.toml");
    let ours = |artifact: &serde_json::Value| {
        artifact["reason"] == "compiler-artifact"
            && artifact["target"]["name"] == target
            && Path::new(artifact["manifest_path"].as_str().unwrap_or_default()).ends_with(&manifest)
            && artifact["target"]["kind"][0] == kind
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
            r#"{"reason":"compiler-artifact","manifest_path":"/w/bench/Cargo.toml","#,
            r#""target":{"kind":["test"],"name":"netns"},"executable":"/t/netns-2"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/w/relay/Cargo.toml","#,
            r#""target":{"kind":["test"],"name":"netns"},"executable":"/t/netns-3"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(program_of(messages, "bench", "test", "netns"), Some("/t/netns-2".into()));
        assert_eq!(program_of(messages, "relay", "test", "netns"), Some("/t/netns-3".into()));
        assert_eq!(program_of(messages, "bench", "bench", "netns"), None);
        assert_eq!(program_of(messages, "bench", "test", "other"), None);
    }
}
