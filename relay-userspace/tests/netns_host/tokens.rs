//! Who may change anything over TCP is what the file says after the last reload.

use crate::line::Line;
use bench::links::ip;
use std::fs;
use std::process::{Command, Output};

/// The hashes of the two tokens: `printf %s TOKEN | sha256sum`.
const FIRST: (&str, &str) = ("first", "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e");
const SECOND: (&str, &str) = ("second", "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4");

fn file((name, hash): (&str, &str)) -> String {
    format!("[http]\nlisten = \"127.0.0.1:9280\"\ntokens = [{{ name = \"{name}\", sha256 = \"{hash}\" }}]\n")
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_token_that_left_the_file_changes_nothing_after_a_reload() {
    let line = Line::new();
    ip(&["-n", line.relay.name(), "link", "set", "lo", "up"]).unwrap();
    let mcr = line.start(&file(FIRST));
    let run = |mut command: Command, arguments: &[&str]| -> Output { command.args(arguments).output().unwrap() };
    let by = |token: &str, arguments: &[&str]| {
        let mut command = line.relay.command(bench::relay::binary());
        command.env("MCR_URL", "http://127.0.0.1:9280").env("MCR_TOKEN", token);
        run(command, arguments)
    };
    let add = ["relay", "add", "one", "--in", "in0/239.1.1.1:5000", "--out", "out0/239.2.1.1:5001"];
    let remove = ["relay", "rm", "one"];
    assert!(!by("second", &add).status.success(), "a stranger adds a relay");
    let added = by("first", &add);
    assert!(added.status.success(), "{added:?}");

    fs::write(mcr.config(), file(SECOND) + "socket_group = \"0\"\n").unwrap();
    let mut reload = Command::new(bench::relay::binary());
    reload.env("MCR_SOCKET", mcr.folder().join("mcr.sock"));
    let reloaded = run(reload, &["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    let said = String::from_utf8_lossy(&reloaded.stdout);
    let waits = "http.socket_group is \"0\" in the file and not in effect, the default is: mcr restart, or put it back";
    for line in ["remove token \"first\"", "add token \"second\"", waits] {
        assert!(said.contains(line), "{said}");
    }
    let refused = by("first", &remove);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let removed = by("second", &remove);
    assert!(removed.status.success(), "{removed:?}");
    mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_waits_for_another_control_is_named_with_both_values() {
    let line = Line::new();
    let mcr = line.start(&file(SECOND));
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(bench::relay::binary());
        command.env("MCR_SOCKET", mcr.folder().join("mcr.sock"));
        command.args(arguments).output().unwrap()
    };
    let not_in_effect = || {
        let status: serde_json::Value = serde_json::from_slice(&ask(&["status", "--json"]).stdout).unwrap();
        status["config"]["not_in_effect"].clone()
    };
    let waits_with = "socket_group = \"0\"\n";
    fs::write(mcr.config(), file(SECOND) + waits_with).unwrap();
    assert!(ask(&["reload"]).status.success());
    assert_eq!(not_in_effect(), serde_json::json!([{ "key": "http.socket_group", "running": null, "file": "0" }]));
    // It is said as long as it is so.
    let again = ask(&["reload"]);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("http.socket_group is \"0\" in the file and not in effect"),
        "{again:?}"
    );
    let compared = ask(&["diff"]);
    assert!(
        String::from_utf8_lossy(&compared.stdout).starts_with("! http.socket_group  (default) -> \"0\""),
        "{compared:?}"
    );
    // What lanes are built with is refused, by name.
    fs::write(mcr.config(), file(SECOND) + waits_with + "[lanes]\nspin_us = 77\n").unwrap();
    let refused = ask(&["reload"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("lanes.spin_us is 77 in the file, 50 runs"),
        "{refused:?}"
    );
    fs::write(mcr.config(), file(SECOND) + waits_with).unwrap();
    assert!(ask(&["reload"]).status.success());
    // The remedy is one.
    let kept = mcr.folder().join("relays.toml.last-good");
    let deadline = bench::clock::Deadline::after(std::time::Duration::from_secs(60));
    while !fs::read_to_string(&kept).is_ok_and(|kept| kept.contains("socket_group")) {
        assert!(!deadline.passed(), "what runs is not kept");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let restarted = ask(&["restart"]);
    assert!(restarted.status.success(), "{restarted:?}");
    assert_eq!(not_in_effect(), serde_json::json!([]));
    mcr.stop().unwrap();
}
