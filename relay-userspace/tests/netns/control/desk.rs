//! The running node, asked by its command line as anybody asks it.

use bench::Relay;
use bench::clock::Deadline;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

/// The node says within a second what is wrong; three times that is let pass on a busy machine.
const TOLD: Duration = Duration::from_secs(3);
/// It is well again within this: what was mended is told for three seconds, so that nobody who asks rarely misses it.
const MENDED: Duration = Duration::from_secs(15);

/// Asks one node. It can be handed to other threads.
#[derive(Clone, Debug)]
pub(super) struct Desk(PathBuf);

impl Desk {
    pub(super) fn of(relay: &Relay) -> Self {
        Self(relay.folder().join("mcr.sock"))
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bench::relay::binary());
        command.env("MCR_SOCKET", &self.0).args(arguments);
        command
    }

    pub(super) fn ask(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Asks for what must be done, and returns what was printed.
    #[track_caller]
    pub(super) fn done(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "mcr {}: {}: {errors}", arguments.join(" "), output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Asks for what must be refused, and returns why it was, in words.
    #[track_caller]
    pub(super) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        assert_eq!(output.status.code(), Some(1), "mcr {}: {output:?}", arguments.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }

    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.done(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// What the API answers at that path.
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(&self.0).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {head}");
        body.to_owned()
    }

    /// The names of the relays that came through the API.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let all = self.json(&["relay", "ls", "--origin", "api"]);
        let relays = all["relays"].as_array().unwrap();
        relays.iter().map(|relay| relay["name"].as_str().unwrap().to_owned()).collect()
    }

    /// What each check of `/healthz` says that fails, but for what waits. Only faults make the node unhealthy.
    pub(super) fn failing(&self) -> Vec<(String, String)> {
        let output = self.ask(&["health", "--json", "--timeout", "3s"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let health: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
        let checks = health["checks"].as_array().unwrap();
        let failing = checks.iter().filter(|check| check["ok"] == false && check["verdict"] != "partial");
        let is_faulty = failing.clone().any(|check| check["verdict"] == "fault");
        assert_eq!(output.status.code(), Some(i32::from(is_faulty)), "{output:?}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        failing.map(|check| (text(&check["name"]), text(&check["text"]))).collect()
    }

    /// Waits until that check fails, and it alone, and returns what it says.
    #[track_caller]
    pub(super) fn wait_until_failing(&self, check: &str) -> String {
        let deadline = Deadline::after(TOLD);
        loop {
            let failing = self.failing();
            match failing.as_slice() {
                [(name, text)] if name == check => return text.clone(),
                [] => assert!(!deadline.passed(), "nothing is told of {check}"),
                others => assert!(!deadline.passed(), "{check} is wrong, and told are {others:?}"),
            }
        }
    }

    #[track_caller]
    pub(super) fn wait_until_well(&self) {
        let deadline = Deadline::after(MENDED);
        loop {
            let failing = self.failing();
            if failing.is_empty() {
                return;
            }
            assert!(!deadline.passed(), "still told: {failing:?}");
        }
    }
}
