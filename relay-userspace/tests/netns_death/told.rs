//! What was told outlives whoever told it.

use crate::control::kill_control;
use crate::stage::Stage;
use bench::Relay;
use serde_json::Value;
use std::process::{Command, Output};

fn mcr(relay: &Relay, arguments: &[&str]) -> Output {
    let mut mcr = Command::new(bench::relay::binary());
    let output = mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

/// The ids and names of the events that are kept, or of those after one.
fn events(relay: &Relay, after: Option<&str>) -> Vec<(String, String)> {
    let mut arguments = vec!["events", "--json"];
    arguments.extend(after.map(|after| ["--after", after]).into_iter().flatten());
    let text = String::from_utf8(mcr(relay, &arguments).stdout).unwrap();
    let one = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let part = |name: &str| event[name].as_str().unwrap().to_owned();
        (part("id"), part("event"))
    };
    text.lines().map(one).collect()
}

fn numbers(events: &[(String, String)]) -> Vec<u64> {
    events.iter().map(|(id, _)| id.split_once('-').unwrap().1.parse().unwrap()).collect()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_was_told_outlives_control_and_numbers_go_on() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let binary = bench::relay::binary();
    let mut seen = Vec::new();
    for round in 0..4 {
        mcr(&relay, &["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"]);
        mcr(&relay, &["relay", "rm", "two"]);
        let before = events(&relay, None);
        assert_eq!(before[..seen.len()], seen, "round {round}");
        seen = before;
        // The change that was acknowledged last is the last that is known of.
        assert!(seen.iter().rev().take(3).any(|(_, name)| name == "audit.change"), "{seen:?}");
        if round % 2 == 0 {
            kill_control(&mut relay);
            relay.process = stage.another(&relay);
            relay.wait_until_ready().unwrap();
        } else {
            mcr(&relay, &["upgrade", binary.to_str().unwrap()]);
        }
        // Who comes again with the last that it saw gets what came since, and no word of a gap.
        let (last, _) = seen.last().unwrap();
        let since = events(&relay, Some(last));
        assert!(since.iter().any(|(_, name)| name == "node.ready"), "{since:?}");
        assert!(since.iter().all(|(_, name)| name != "events.lost"), "{since:?}");
        let (history, _) = last.split_once('-').unwrap();
        assert!(since.iter().all(|(id, _)| id.starts_with(history)), "{since:?}");
    }
    let all = numbers(&events(&relay, None));
    assert_eq!(all, (1..=all.len() as u64).collect::<Vec<_>>(), "a number is missing, or there twice");
    relay.stop().unwrap();
}
