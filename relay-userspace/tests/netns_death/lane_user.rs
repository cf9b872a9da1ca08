//! Lanes run as a user of their own, whatever they were started by, and that user reaches nobody.

use crate::control::kill_control;
use crate::refused::wait_until_kept;
use crate::stage::{SOON, Stage, kill_now, wait_until};
use bench::Relay;
use std::fs;
use std::path::Path;
#[cfg(feature = "chaos")]
use std::process::{Child, Command};

/// Users and groups of a process as the kernel has them: real, effective, saved and of files; and what it is in besides.
#[derive(Debug, PartialEq, Eq)]
struct Ids {
    users: [u32; 4],
    groups: [u32; 4],
    more: Vec<u32>,
}

impl Ids {
    /// Somebody who is nothing else.
    fn only(user: u32) -> Self {
        Self { users: [user; 4], groups: [user; 4], more: Vec::new() }
    }

    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let numbers = |key: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().map(|number| number.parse().unwrap()).collect()
        };
        let four = |key| numbers(key).try_into().unwrap();
        Self { users: four("Uid:"), groups: four("Gid:"), more: numbers("Groups:") }
    }
}

/// Each of two lanes is that user and nothing else.
fn lanes_are(relay: &Relay, user: u32, when: &str) {
    wait_until("there are no two lanes", || relay.lanes().len() == 2);
    for lane in relay.lanes() {
        assert_eq!(Ids::of(lane), Ids::only(user), "lane {lane} {when}");
    }
}

/// Kills a lane, and waits until another is in its place and holds what it must.
fn kill_lane(relay: &Relay, number: usize) {
    let mark = relay.process.mark();
    kill_now(relay.lanes()[number]);
    relay.process.wait_for_after(mark, &format!("lane died: it is started again (lane {number}"), SOON).unwrap();
}

fn config(stage: &Stage, user: &str) -> String {
    stage.config().replace("[lanes]", &format!("[lanes]\ncores = [0, 1]\nuser = \"{user}\""))
}

fn next(stage: &Stage, relay: &mut Relay, binary: &Path) {
    kill_control(relay);
    relay.process = relay.another(binary, &stage.relay).unwrap();
    relay.wait_until_ready().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn every_lane_is_its_user_however_it_came_to_run() {
    let (first, other) = (bench::relay::binary(), Path::new(env!("CARGO_BIN_EXE_mcr")));
    let stage = Stage::new(1);
    let mut relay = Relay::start(&stage.relay, &config(&stage, "64123")).unwrap();
    let traffic = stage.stream_at(10_000);
    traffic.pass(100);
    lanes_are(&relay, 64_123, "after the start");
    assert_eq!(Ids::of(relay.process.pid()).users, [0; 4], "control stays who it is");

    kill_lane(&relay, 0);
    kill_lane(&relay, 1);
    lanes_are(&relay, 64_123, "after its restart");

    let lanes = relay.lanes();
    next(&stage, &mut relay, &first);
    assert_eq!(relay.lanes(), lanes, "a lane was started anew");
    kill_lane(&relay, 0);
    lanes_are(&relay, 64_123, "after a takeover");

    // Another binary renews them.
    next(&stage, &mut relay, other);
    assert!(relay.lanes().iter().all(|lane| !lanes.contains(lane)));
    lanes_are(&relay, 64_123, "after an upgrade");

    // Another user in the file is nothing that anybody has asked for.
    wait_until_kept(&relay);
    fs::write(relay.config(), config(&stage, "64124")).unwrap();
    next(&stage, &mut relay, &first);
    lanes_are(&relay, 64_123, "after the user has changed in the file");
    traffic.pass(100);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
}

/// A process of a user who is neither control's nor the lanes'.
#[cfg(feature = "chaos")]
struct Bystander(Child);

#[cfg(feature = "chaos")]
impl Bystander {
    fn start() -> Self {
        use std::os::unix::process::CommandExt as _;
        Self(Command::new("sleep").arg("600").uid(64_999).gid(64_999).spawn().unwrap())
    }
}

#[cfg(feature = "chaos")]
impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// What came of the tries: it stands between the words before it and the fields of the line.
#[cfg(feature = "chaos")]
fn tries_of(line: &str) -> &str {
    line.split_once("tries: ").unwrap().1.split_once(" lane=1").unwrap().0
}

/// The lane tries before it has given up system calls: this is what its user alone keeps from it.
#[cfg(feature = "chaos")]
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_user_of_lanes_reaches_neither_control_nor_another_lane_nor_anybody() {
    let chaos = Path::new(env!("CARGO_BIN_EXE_mcr"));
    let stage = Stage::new(1);
    let bystander = Bystander::start();
    let tries = format!("1:{}", bystander.0.id());
    let relay = Relay::launch(chaos, &stage.relay, &config(&stage, "64123"), &[("MCR_TRIES", &tries)]).unwrap();
    relay.wait_until_ready().unwrap();
    // What the first one tried is told a moment later. By now the API's socket is there, too.
    relay.process.wait_for("tries: ", SOON).unwrap();
    let mark = relay.process.mark();
    kill_now(relay.lanes()[1]);
    let said = relay.process.wait_for_after(mark, "tries: ", SOON).unwrap();
    let tried: Vec<(&str, &str)> = tries_of(&said).split(' ').filter_map(|one| one.split_once('=')).collect();
    let refused = [
        ("signal-control", "EPERM"),
        ("signal-other-user", "EPERM"),
        ("read-control", "EPERM"),
        ("read-lane", "EPERM"),
        ("open-control", "EACCES"),
        ("open-lane", "EACCES"),
        ("environment-of-lane", "EACCES"),
        ("reopen-table", "EACCES"),
        ("map-table", "EACCES"),
        ("read-own-output", "EACCES"),
        ("api", "EACCES"),
        ("write-folder", "EACCES"),
        ("become-control", "EPERM"),
        ("become-root", "EPERM"),
    ];
    assert_eq!(tried, refused);
    relay.stop().unwrap();
}
