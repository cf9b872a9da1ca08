//! Control is killed and the next one takes the lanes over: no packet knows, and everything can be changed afterwards.

use crate::control::kill_control;
use crate::refused::{done, status, wait_until_kept};
use crate::stage::{RATE, SOON, Stage, frames_are_all_there, is_alive, kill_now, wait_until};
use crate::wire::Reports;
use bench::Relay;
use nix::sys::signal::Signal;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The next control of a relay, ready.
fn next(stage: &Stage, relay: &mut Relay) -> String {
    relay.process = stage.another(relay);
    relay.wait_until_ready().unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_killed_ten_times_and_each_next_one_goes_on() {
    let stage = Stage::new(2);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 2);
    let wire = Reports::listen(&stage);
    let lanes = relay.lanes();
    for _ in 0..10 {
        traffic.pass(RATE / 40);
        kill_control(&mut relay);
        traffic.pass(RATE / 40);
        let ready = next(&stage, &mut relay);
        assert!(ready.contains("pending=0"), "{ready}");
        assert!(relay.process.lines().iter().any(|line| line.contains("took over the lanes")), "{ready}");
    }
    traffic.pass(RATE / 40);
    assert_eq!(relay.lanes(), lanes, "a lane was started anew");
    assert!(stage.is_attached() && stage.is_joined());
    assert_eq!(wire.leaves(), 0, "the group was left");
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert!(account.wanted >= RATE);
    account.balance(&report, 2);
    assert_eq!(report.restarts(), 0);
    frames_are_all_there(&report, 2);
    wait_until("something stays behind", || !stage.is_attached() && !stage.is_joined());
}

/// Long enough for everything that is done once in a while, a querier's round among it; a minute with `test long`.
fn a_while() -> Duration {
    Duration::from_secs(if std::env::var_os("MCR_LONG").is_some() { 60 } else { 5 })
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_dead_for_a_while_and_everything_can_be_changed_afterwards() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 4);
    let wire = Reports::listen(&stage);
    traffic.pass(RATE / 40);
    kill_control(&mut relay);
    std::thread::sleep(a_while());
    assert_eq!(wire.leaves(), 0, "the group was left");
    next(&stage, &mut relay);
    assert_eq!(wire.leaves(), 0, "the group was left at the takeover");
    let mcr = |arguments: &[&str]| {
        let mut mcr = Command::new(bench::relay::binary());
        let output = mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    mcr(&["health"]);
    mcr(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"]);
    mcr(&["relay", "mute", "two"]);
    mcr(&["relay", "rm", "two"]);
    traffic.pass(RATE / 40);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!((account.lost(), report.restarts()), (account.lost_on_links, 0));
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_next_control_changes_nothing_unasked_and_can_change_everything() {
    let stage = Stage::new(2);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 4);
    traffic.pass(RATE / 40);
    let text = fs::read_to_string(relay.config()).unwrap();
    wait_until_kept(&relay);
    // What the file says has changed meanwhile: nobody has asked for it, the less so as it takes everything away.
    kill_control(&mut relay);
    fs::write(relay.config(), "").unwrap();
    let ready = next(&stage, &mut relay);
    assert!(ready.contains("relays=1"), "{ready}");
    let config = &status(&relay)["config"];
    assert_eq!((&config["in_force"], &config["differs"]["removed"]), (&false.into(), &1.into()), "{config}");
    assert!(done(&relay, &["events", "--json"]).contains("config.differs"));
    traffic.pass(RATE / 40);
    kill_control(&mut relay);
    let second = "[[relay]]\nname = \"two\"\ninput = { interface = \"in0\", group = \"239.1.1.2\", port = 5000 }\n\
                  outputs = [{ interface = \"out1\", group = \"239.9.1.1\", port = 5001 }]\n";
    fs::write(relay.config(), format!("{text}\n{second}")).unwrap();
    let ready = next(&stage, &mut relay);
    assert!(ready.contains("relays=1"), "{ready}");
    assert_eq!(status(&relay)["config"]["differs"]["text"], "add 1 relay");
    done(&relay, &["reload"]);
    assert_eq!(status(&relay)["config"]["in_force"], true);
    traffic.pass(RATE / 40);
    let mark = relay.process.mark();
    fs::write(relay.config(), &text).unwrap();
    relay.process.signal(Signal::SIGHUP).unwrap();
    relay.process.wait_for_after(mark, "relay \"two\" is gone", SOON).unwrap();
    traffic.pass(RATE / 40);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 2);
    frames_are_all_there(&report, 2);
}

/// The disk of the state file may be full or away, and a file that nobody took may name another one.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_ran_is_known_without_what_was_kept_on_disk() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 4);
    traffic.pass(RATE / 40);
    wait_until_kept(&relay);
    let text = fs::read_to_string(relay.config()).unwrap();
    let reloaded = format!("{text}\n[config]\nwatch = \"additions\"\n");
    fs::write(relay.config(), &reloaded).unwrap();
    done(&relay, &["reload"]);
    // What was answered is in force for the next one too, whatever became of the disk.
    kill_control(&mut relay);
    fs::remove_file(relay.folder().join("relays.toml.last-good")).unwrap();
    next(&stage, &mut relay);
    assert_eq!(status(&relay)["config"]["in_force"], true);
    for file in [String::new(), format!("{text}\n[state]\nfile = \"{}/other.toml\"\n", relay.folder().display())] {
        kill_control(&mut relay);
        let _ = fs::remove_file(relay.folder().join("relays.toml.last-good"));
        fs::write(relay.config(), &file).unwrap();
        let ready = next(&stage, &mut relay);
        assert!(ready.contains("relays=1"), "{ready}");
        assert_eq!(status(&relay)["config"]["in_force"], false, "{file}");
        traffic.pass(RATE / 40);
    }
    assert!(!relay.folder().join("other.toml.last-good").exists(), "nobody asked for another state file");
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance_with(&report, 1, 0);
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn lanes_that_a_control_took_over_are_restarted_like_its_own() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 4);
    traffic.pass(RATE / 40);
    kill_control(&mut relay);
    next(&stage, &mut relay);
    for _ in 0..5 {
        traffic.pass(RATE / 40);
        let lanes = relay.lanes();
        lanes.iter().copied().for_each(kill_now);
        wait_until("a lane is not started again", || {
            let now = relay.lanes();
            now.len() == 1 && now != lanes && is_alive(now[0])
        });
    }
    traffic.pass(RATE / 40);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!(report.restarts(), 5);
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_file_with_other_lanes_is_taken_but_for_them() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 4);
    kill_control(&mut relay);
    let text = fs::read_to_string(relay.config()).unwrap();
    fs::write(relay.config(), text.replace("ring_size = 4096", "ring_size = 1024")).unwrap();
    let ready = next(&stage, &mut relay);
    assert!(ready.contains("relays=1"), "{ready}");
    traffic.pass(RATE / 40);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    frames_are_all_there(&report, 1);
}
