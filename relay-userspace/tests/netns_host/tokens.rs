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

    let waits = "socket_group = \"0\"\n";
    fs::write(mcr.config(), file(SECOND) + waits).unwrap();
    let mut reload = Command::new(bench::relay::binary());
    reload.env("MCR_SOCKET", mcr.folder().join("mcr.sock"));
    let reloaded = run(reload, &["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    let said = String::from_utf8_lossy(&reloaded.stdout);
    for line in
        ["remove token \"first\"", "add token \"second\"", "http.socket_group counts from the next start of mcr on"]
    {
        assert!(said.contains(line), "{said}");
    }
    let refused = by("first", &remove);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let removed = by("second", &remove);
    assert!(removed.status.success(), "{removed:?}");
    mcr.stop().unwrap();
}
