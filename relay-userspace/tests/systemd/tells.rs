//! What systemd and its journal are told: entries that are found by their fields, and a line for `systemctl status`.

use crate::stage::{Stage, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn events_are_found_by_their_relay_and_status_shows_a_line() {
    let stage = Stage::started();
    let container = &stage.container;
    stage.mcr(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);
    stage.mcr(&["relay", "mute", "two"]);
    let found = |arguments: &[&str]| {
        let all = [&["--no-pager", "--output=cat", "--quiet"], arguments].concat();
        container.run("journalctl", &all).text
    };
    let failure = || format!("nothing of two is found: {}", container.journal());
    wait_until(failure, || found(&["MCR_RELAY=two", "MCR_EVENT=relay.created"]).contains("two"));
    wait_until(failure, || found(&["MCR_RELAY=two", "MCR_EVENT=relay.changed"]).contains("two"));
    assert_eq!(found(&["MCR_RELAY=none"]), "");
    // It is the unit's, of one program, and has a level.
    let of_audit = ["--unit=mcr", "--identifier=mcr", "--priority=info", "MCR_EVENT=audit.change", "MCR_WHAT=mute"];
    wait_until(failure, || found(&of_audit).contains("mute relay \"two\": applied"));
    assert_eq!(found(&["--priority=warning", "MCR_EVENT=audit.change", "MCR_WHAT=mute"]), "");
    let whole = container.run("journalctl", &["--no-pager", "--output=json", "--quiet", "MCR_WHAT=mute"]).text;
    assert!(whole.contains("\"MCR_AFTER\""), "{whole}");
    // The line of status follows what flows, and what is wrong.
    let shown = || container.show("StatusText");
    let wait_for = |line: &str| wait_until(|| format!("status shows {:?}", shown()), || shown() == line);
    wait_for("0 of 2 relays flow (1 silent, 1 muted); 1 lane");
    let traffic = stage.stream();
    let line = "1 of 2 relays flow (1 muted); 1 lane";
    wait_for(line);
    let status = container.run("systemctl", &["status", "--no-pager", "mcr"]).text;
    assert!(status.contains(&format!("Status: \"{line}\"")), "{status}");
    fs::write(container.file("/etc/mcr/relay.toml"), "[[relay]]\nname = 7\n").unwrap();
    assert!(!container.systemctl("reload").succeeded);
    let is_told = || shown().starts_with(&format!("{line}; drift: config: "));
    wait_until(|| format!("status shows {:?}", shown()), is_told);
    assert_eq!((container.show("ActiveState").as_str(), container.show("SubState").as_str()), ("active", "running"));
    traffic.arrives_whole();
}

/// Why it does not start is found by the unit and by its level, however fast it has ended.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn the_last_words_belong_to_the_unit() {
    let stage = Stage::boot();
    let container = &stage.container;
    fs::write(container.file("/etc/mcr/relay.toml"), "[[relay]]\nname = 7\n").unwrap();
    assert!(!container.systemctl("start").succeeded);
    let of_errors = ["--no-pager", "--quiet", "--output=cat", "--unit=mcr", "--priority=err"];
    let found = || container.run("journalctl", &of_errors).text;
    wait_until(|| format!("{:?}: {}", found(), container.journal()), || found().contains("relay.toml:2"));
    assert!(!found().contains("<3>"), "{}", found());
}

/// The report at the end is a few lines, however many relays there are: what follows it is not dropped for its length.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn a_stop_leaves_a_few_lines_in_the_journal() {
    const RELAYS: usize = 200;
    let stage = Stage::boot();
    let container = &stage.container;
    let relay = |n: usize| {
        format!(
            "[[relay]]\nname = \"many-{n}\"\ninput = {{ interface = \"in0\", group = \"239.3.1.{n}\", port = 5000 }}\n\
             outputs = [{{ interface = \"out0\", group = \"239.4.1.{n}\", port = 5001 }}]\n"
        )
    };
    fs::write(container.file("/etc/mcr/relay.toml"), (0..RELAYS).map(relay).collect::<String>()).unwrap();
    container.done("systemctl", &["start", "mcr"]);
    let all = ["--no-pager", "--quiet", "--output=cat", "--unit=mcr"];
    let lines = || container.run("journalctl", &all).text.lines().map(str::to_owned).collect::<Vec<_>>();
    let before = lines().len();
    container.done("systemctl", &["stop", "mcr"]);
    // systemd's own line comes after what control said.
    wait_until(|| format!("{:?}", lines()), || lines()[before..].iter().any(|line| line.contains("Stopped")));
    let said = &lines()[before..];
    assert!(said.len() < RELAYS / 4, "{} lines: {said:?}", said.len());
    assert!(!said.iter().any(|line| line.contains("many-1")), "{said:?}");
    assert!(
        said.iter().any(|line| line.starts_with(&format!("relays {RELAYS}, "))),
        "it says what was counted: {said:?}"
    );
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn a_journal_that_hangs_is_in_nobodys_way() {
    let stage = Stage::started();
    let container = &stage.container;
    stage.mcr(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);
    let traffic = stage.stream();
    traffic.flows();
    let journald = Pid::from_raw(container.processes("systemd-journal")[0]);
    kill(journald, Signal::SIGSTOP).unwrap();
    // More entries than its socket takes in.
    stage.mcr(&["log", "trace"]);
    for _ in 0..20 {
        stage.mcr(&["relay", "mute", "two"]);
        stage.mcr(&["relay", "unmute", "two"]);
    }
    stage.mcr(&["log", "info"]);
    assert!(stage.mcr(&["health"]).contains("ok"));
    stage.mcr(&["relay", "rm", "two"]);
    kill(journald, Signal::SIGCONT).unwrap();
    let of_last = ["--no-pager", "--output=cat", "--quiet", "MCR_RELAY=two", "MCR_EVENT=relay.removed"];
    let found = || container.run("journalctl", &of_last).text;
    wait_until(|| format!("it is not told: {}", container.journal()), || found().contains("relay \"two\" is gone"));
    traffic.flows();
    assert_eq!((container.show("NRestarts").as_str(), container.show("SubState").as_str()), ("0", "running"));
}
