//! The OpenAPI document against the running node, by schemathesis, which makes thousands of questions of it.

use super::desk::Desk;
use crate::rig::Rig;
use bench::links::ip;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOKEN: &str = "open sesame";
/// `printf %s 'open sesame' | sha256sum`
const HASH: &str = "41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb";
/// What each answer is held against the document for.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

/// Brings schemathesis to target/, once. It is Python's, so only `test long` asks for it.
fn schemathesis() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/schemathesis");
    let program = folder.join("bin/schemathesis");
    if !program.is_file() {
        let done = |command: &mut Command| {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        done(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        done(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "schemathesis>=4.32,<5"]));
    }
    program
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_answered_is_what_the_document_says() {
    if std::env::var_os("MCR_LONG").is_none() {
        eprintln!("left out: only `cargo xtask test long` brings schemathesis");
        return;
    }
    let program = schemathesis();
    let rig = Rig::new(1);
    ip(&["-n", rig.relay.name(), "link", "set", "lo", "up"]).unwrap();
    let show = rig.start(&format!(
        r#"
        [http]
        listen = "127.0.0.1:9280"
        tokens = [{{ name = "ops", sha256 = "{HASH}" }}]
        [[relay]]
        name = "one"
        input = {{ interface = "in0", group = "239.1.1.1", port = 5000 }}
        outputs = [{{ interface = "out0", group = "239.2.1.1", port = 5001 }}]
        "#
    ));
    let mut run = rig.relay.command(program);
    run.args(["run", "http://127.0.0.1:9280/openapi.json", "--checks", CHECKS, "--max-examples", "30"]);
    // These two answer without an end.
    run.args(["--exclude-path", "/api/v1/events", "--exclude-path-regex", "capture"]);
    run.args(["--phases", "examples,coverage,fuzzing", "--generation-deterministic", "--no-color"]);
    run.args(["--request-timeout", "40", "--continue-on-failure"]);
    run.arg("--header").arg(format!("Authorization: Bearer {TOKEN}")).current_dir(show.mcr.folder());
    let output = run.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains(" passed"), "{printed}");
    eprintln!("{}", printed.lines().find(|line| line.contains(" generated, ")).unwrap_or_default().trim());
    assert_eq!(Desk::of(&show.mcr).failing(), []);
    show.mcr.stop().unwrap();
}
