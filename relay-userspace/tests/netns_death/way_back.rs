//! The way back from a configuration file, and what no start takes again: neither is lost by what was refused, nor by a disk
//! that was full for a while.

use crate::control::kill_control;
use crate::refused::{done, mcr, next, status, stop, wait_until_kept};
use crate::stage::{SOON, Stage, wait_until};
use bench::{Relay, Tmpfs};
use serde_json::Value;
use std::fs;

const GROUPS: [&str; 3] = ["239.2.0.1", "239.2.0.7", "239.2.0.8"];

/// The same file with the relay's output to another group.
fn with_group(good: &str, group: &str) -> String {
    good.replace(GROUPS[0], group)
}

/// The group that the relay sends to.
fn runs(relay: &Relay) -> &'static str {
    let shown = done(relay, &["relay", "show", "one"]);
    GROUPS.into_iter().find(|group| shown.contains(group)).unwrap()
}

fn take(relay: &Relay, text: &str, arguments: &[&str]) {
    fs::write(relay.config(), text).unwrap();
    done(relay, arguments);
}

fn start_anew(stage: &Stage, relay: &mut Relay) {
    stop(stage, relay);
    relay.process.wait(SOON).unwrap();
    next(stage, relay);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_trial_that_is_refused_or_changes_nothing_leaves_the_way_back_and_what_was_given_up() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    wait_until_kept(&relay);
    let first = fs::read_to_string(relay.config()).unwrap();
    let second = with_group(&first, GROUPS[1]);
    let unfit = with_group(&first, GROUPS[2]).replace("ring_size = ", "ring_size = 512 # ");
    assert_ne!(unfit, with_group(&first, GROUPS[2]));
    let is_refused = || {
        fs::write(relay.config(), &unfit).unwrap();
        assert!(!mcr(&relay, &["reload", "--confirm", "5m"]).status.success());
        assert_eq!(status(&relay)["config"]["on_trial"], Value::Null);
    };
    take(&relay, &second, &["reload"]);
    is_refused();
    // One that changes nothing is a trial as any other, and no configuration ran before it.
    take(&relay, &format!("{second}# a remark\n"), &["reload", "--confirm", "1h"]);
    assert!(status(&relay)["config"]["on_trial"].is_object());
    done(&relay, &["confirm"]);
    done(&relay, &["rollback"]);
    assert_eq!(runs(&relay), GROUPS[0]);
    // What was given up stays given up.
    is_refused();
    fs::write(relay.config(), format!("{second}# a remark\n")).unwrap();
    start_anew(&stage, &mut relay);
    assert_eq!(runs(&relay), GROUPS[0], "a start has taken what was given up");
    // Whoever gives up what has changed nothing changes nothing, and the way is the same as before.
    take(&relay, &format!("{first}# a remark\n"), &["reload", "--confirm", "1h"]);
    done(&relay, &["rollback"]);
    assert_eq!(runs(&relay), GROUPS[0]);
    done(&relay, &["rollback"]);
    assert_eq!(runs(&relay), GROUPS[1]);
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();
}

/// What health says of the state file, if that is not well.
pub(crate) fn state(relay: &Relay) -> Option<String> {
    let health: Value = serde_json::from_slice(&mcr(relay, &["health", "--json"]).stdout).unwrap();
    let checks = health["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "state" && check["ok"] == false)?;
    Some(check["text"].as_str().unwrap().to_owned())
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_a_full_disk_did_not_take_down_of_a_rollback_is_noted_as_soon_as_there_is_room() {
    let (disk, stage) = (Tmpfs::new().unwrap(), Stage::new(1));
    let kept = disk.path().join("relays.toml.last-good");
    let first = format!("{}\n[state]\nfile = \"{}\"\n", stage.config(), disk.path().join("relays.toml").display());
    let second = with_group(&first, GROUPS[1]);
    let mut relay = Relay::start(&stage.relay, &first).unwrap();
    for trial in [&["reload"][..], &["reload", "--confirm", "1h"]] {
        take(&relay, &second, trial);
        wait_until("what runs is not kept", || fs::read_to_string(&kept).is_ok_and(|kept| kept.contains(GROUPS[1])));
        disk.fill().unwrap();
        done(&relay, &["rollback"]);
        assert_eq!(runs(&relay), GROUPS[0]);
        assert!(state(&relay).is_some(), "{trial:?}: it is not told");
        // A control that follows knows it, too.
        kill_control(&mut relay);
        next(&stage, &mut relay);
        assert_eq!((runs(&relay), &status(&relay)["config"]["on_trial"]), (GROUPS[0], &Value::Null), "{trial:?}");
        assert!(state(&relay).is_some(), "{trial:?}: it is forgotten");
        disk.make_room().unwrap();
        let add = ["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"];
        done(&relay, &add);
        let deadline = bench::clock::Deadline::after(2 * SOON);
        while let Some(text) = state(&relay) {
            assert!(!deadline.passed(), "{trial:?}: still told: {text}");
        }
        start_anew(&stage, &mut relay);
        assert_eq!(runs(&relay), GROUPS[0], "{trial:?}: a start has taken what was given up");
        done(&relay, &["relay", "rm", "two"]);
        // What was given up is what ran before.
        done(&relay, &["rollback"]);
        assert_eq!(runs(&relay), GROUPS[1]);
        done(&relay, &["rollback"]);
    }
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();
}
