//! A node is watched in a real terminal, drawn on and given back.

use crate::stage::Stage;
use bench::Terminal;
use nix::sys::signal::Signal;
use std::time::Duration;

/// What is drawn is drawn at once; three times what a busy machine takes.
const SOON: Duration = Duration::from_secs(15);

fn start(stage: &Stage, line: &str) -> Terminal {
    let mut command = stage.command(line);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("LC_ALL").env_remove("NO_COLOR");
    Terminal::start(&command, 80, 24).unwrap()
}

#[track_caller]
fn ends_well(mut terminal: Terminal) {
    let status = terminal.wait(SOON).unwrap();
    assert_eq!(status.code(), Some(0), "{}", terminal.seen());
    let given_back = |_: &str| terminal.is_as_before().unwrap();
    terminal.wait_until("the terminal as it was", SOON, given_back).unwrap();
}

#[test]
fn a_node_is_watched_and_the_terminal_given_back() {
    let stage = Stage::new();
    stage.play.relay("ch1", "api", "239.1.1.1");
    stage.play.relay("ch2", "file", "239.1.1.2");
    let mut terminal = start(&stage, "top --interval 200ms");
    let seen = terminal.wait_for("ch1", SOON).unwrap();
    assert!(seen.starts_with("mcr 0.1.0  healthy, ready  up 61s") && terminal.is_covered(), "{seen}");
    let row = seen.lines().find(|line| line.contains("ch1")).unwrap();
    assert!(row.starts_with("> ch1") && row.contains("running") && row.contains(" 100 "), "{seen}");
    terminal.press("\x1b[B").unwrap();
    terminal.wait_for("> ch2", SOON).unwrap();
    terminal.press("\r").unwrap();
    let seen = terminal.wait_for("the group is joined", SOON).unwrap();
    assert!(seen.contains("relay ch2") && seen.contains("flows"), "{seen}");
    terminal.resize(120, 30).unwrap();
    // A key that comes at the very moment of a new size is heard only with the next one: crossterm wakes once for both.
    let is_drawn_anew = |seen: &str| seen.lines().nth(29).is_some_and(|line| line.contains("Esc back"));
    terminal.wait_until("the foot in the thirtieth line", SOON, is_drawn_anew).unwrap();
    terminal.press("\x1b").unwrap();
    // Only the list has a cursor. A key that comes together with Escape would be another key.
    let seen = terminal.wait_for("> ch2", SOON).unwrap();
    assert!(seen.contains("239.1.1.2:5000"), "at 120 columns the input is shown: {seen}");
    stage.play.with(|state| state.healthy = false);
    terminal.wait_for("NOT HEALTHY: lanes", SOON).unwrap();
    terminal.press("q").unwrap();
    ends_well(terminal);
}

#[test]
fn a_node_that_is_silent_is_waited_for() {
    let stage = Stage::new();
    stage.play.relay("ch1", "api", "239.1.1.1");
    let mut terminal = start(&stage, "top --interval 200ms");
    terminal.wait_for("ch1", SOON).unwrap();
    stage.play.with(|state| state.delay = Duration::from_secs(3600));
    terminal.wait_for("no answer for ", SOON).unwrap();
    // Keys are heard all the same.
    terminal.press("4").unwrap();
    terminal.wait_for("[4 events", SOON).unwrap();
    stage.play.with(|state| state.delay = Duration::ZERO);
    // What was asked meanwhile is given up first.
    terminal.wait_for("healthy, ready", SOON * 2).unwrap();
    terminal.press("\x03").unwrap();
    ends_well(terminal);
}

#[test]
fn events_are_seen_as_they_come() {
    let stage = Stage::new();
    let message = "id: 7\ndata: {\"id\":7,\"time\":\"2026-01-02T03:04:05Z\",\"event\":\"stream.interrupted\",\"level\":\
                   \"warn\",\"text\":\"ch1: \\u001b[2Jnothing\",\"fields\":{\"relay\":\"ch1\"}}\n\n";
    stage.play.with(|state| state.streams = vec![vec![": hello\n\n"], vec![message]]);
    let mut terminal = start(&stage, "top");
    terminal.press("4").unwrap();
    terminal.wait_for("03:04:05 warn  stream.interrupted   ch1: ?[2Jnothing", SOON).unwrap();
    terminal.signal(Signal::SIGTERM).unwrap();
    ends_well(terminal);
}

#[test]
fn where_nothing_can_be_drawn_the_other_commands_are_named() {
    let stage = Stage::new();
    let ran = stage.run("top");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.side.contains("mcr status and mcr relay ls") && ran.side.contains("--json"), "{ran:?}");
    let mut command = stage.command("top --socket /nonexistent/mcr.sock");
    command.env("TERM", "xterm");
    let mut terminal = Terminal::start(&command, 80, 24).unwrap();
    assert_eq!(terminal.wait(SOON).unwrap().code(), Some(3));
    terminal.wait_for("there is no socket /nonexistent/mcr.sock", SOON).unwrap();
    assert!(!terminal.is_covered());
    command.env("TERM", "dumb");
    let mut terminal = Terminal::start(&command, 80, 24).unwrap();
    assert_eq!(terminal.wait(SOON).unwrap().code(), Some(1));
}
