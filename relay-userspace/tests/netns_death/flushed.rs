//! The folder of the state file cannot be flushed: what the disk has by then is in force, is what the next control begins
//! with, and is doubted aloud.

use crate::control::kill_control;
use crate::points::{Point, build};
use crate::refused::{done, mcr, relays};
use crate::stage::{Stage, kill_now, wait_until};
use bench::Relay;
use serde_json::Value;
use std::fs;

const ADD: [&str; 7] = ["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"];

/// What health says of the state file, if anything.
fn doubt(relay: &Relay) -> Option<String> {
    let health: Value = serde_json::from_slice(&mcr(relay, &["health", "--json"]).stdout).unwrap();
    let failing =
        health["checks"].as_array().unwrap().iter().find(|check| check["name"] == "state" && check["ok"] == false);
    failing.map(|check| check.to_string())
}

fn names(relay: &Relay) -> Vec<String> {
    relays(relay).into_iter().map(|(name, _, _)| name).collect()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_change_whose_folder_cannot_be_flushed_is_in_force_on_disk_and_doubted() {
    let stage = Stage::new(1);
    let point = Point::new(12);
    let mut relay = Relay::launch(build(), &stage.relay, &stage.config(), &[point.env()]).unwrap();
    relay.wait_until_ready().unwrap();
    wait_until("it is not well", || doubt(&relay).is_none());
    point.is("fail store.flush");
    done(&relay, &ADD);
    assert!(point.was_come_to(), "the folder was not flushed");
    // It is what runs and what the file says, and nobody may take it for flushed.
    assert_eq!(names(&relay), ["one", "two"]);
    let file = || fs::read_to_string(relay.folder().join("relays.toml")).unwrap();
    assert!(file().contains("\"two\""), "{}", file());
    assert!(doubt(&relay).is_some_and(|told| told.contains("relays.toml")), "{:?}", doubt(&relay));
    assert!(mcr(&relay, &["health"]).status.success(), "packets flow");
    // The next change that is flushed takes the doubt with it.
    done(&relay, &["relay", "mute", "two"]);
    assert_eq!(doubt(&relay), None);
    // A removal that is not flushed is a removal.
    point.is("fail store.flush");
    done(&relay, &["relay", "rm", "two"]);
    assert!(point.was_come_to() && doubt(&relay).is_some() && !file().contains("\"two\""), "{}", file());
    point.is("fail store.flush");
    done(&relay, &ADD);
    // Everything dies but the disk, and what was answered is so.
    kill_control(&mut relay);
    relay.lanes().into_iter().for_each(kill_now);
    relay.process = relay.another_with(build(), &stage.relay, &[]).unwrap();
    relay.wait_until_ready().unwrap();
    assert_eq!(names(&relay), ["one", "two"]);
    assert_eq!(doubt(&relay), None, "what was read is there");
    relay.stop().unwrap();
}
