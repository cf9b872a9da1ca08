//! Control is killed at any moment of a start and of an upgrade, with one lane and with two, and so is the newer one that
//! proves itself beside it. There is always one in charge, and from the first packet on that was relayed none is lost.

use crate::control::kill_control;
use crate::stage::{RATE, SOON, Stage, kill_now, rounds, wait_until};
use bench::Relay;
use bench::clock::monotonic_ns;
use bench::relay::binary;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longer than an upgrade takes from the command to the end, and than a start takes.
const AT_MOST_MS: u64 = 120;

/// Some moment: no two runs kill at the same ones.
fn some_moment() -> Duration {
    Duration::from_micros((monotonic_ns() / 100).wrapping_mul(2_654_435_761) % (AT_MOST_MS * 1000))
}

/// The stage's configuration with so many lanes.
pub(crate) fn with_lanes(stage: &Stage, lanes: usize) -> String {
    let cores: Vec<String> = (0..lanes).map(|core| core.to_string()).collect();
    let cores = if lanes == 1 { String::new() } else { cores.join(", ") };
    stage.config().replace("[lanes]", &format!("[lanes]\ncores = [{cores}]"))
}

/// The same binary twice: each is another one to mcr.
pub(crate) fn two_binaries(of: &Path, folder: &Path) -> [PathBuf; 2] {
    ["mcr-one", "mcr-two"].map(|name| {
        let copy = folder.join(name);
        fs::copy(of, &copy).unwrap();
        copy
    })
}

/// Asks for an upgrade; whoever asks may be left without an answer.
pub(crate) fn ask_for_upgrade(relay: &Relay, to: &Path) -> Child {
    asks(relay).arg("upgrade").arg(to).stderr(Stdio::null()).spawn().unwrap()
}

/// The command line, for this relay.
pub(crate) fn asks(relay: &Relay) -> Command {
    let mut mcr = Command::new(binary());
    mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).stdin(Stdio::null()).stdout(Stdio::null());
    mcr
}

/// Whether a control has said that it goes on where another stood.
pub(crate) fn has_taken_over(relay: &Relay) -> bool {
    relay.process.lines().iter().any(|line| line.contains("took over the lanes"))
}

/// The controls that prove themselves beside the one that leads.
pub(crate) fn beside(relay: &Relay) -> Vec<u32> {
    let leads = relay.process.pid();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        let Some((name, rest)) = stat.rsplit_once(')') else { return false };
        let parent = rest.split_whitespace().nth(1).and_then(|parent| parent.parse().ok());
        parent == Some(leads) && !name.contains("mcr-lane-")
    };
    pids.filter(is_one).collect()
}

fn upgrades(lanes: usize) {
    let stage = Stage::new(1);
    let mut relay = Relay::start(&stage.relay, &with_lanes(&stage, lanes)).unwrap();
    let binaries = two_binaries(&binary(), relay.folder());
    let traffic = stage.stream_at(RATE / 10);
    traffic.wait_until_it_arrives();
    for round in 0..rounds(20, 500) {
        let next = &binaries[round as usize % 2];
        let mut asking = ask_for_upgrade(&relay, next);
        let moment = some_moment();
        std::thread::sleep(moment);
        let is_newer = round % 3 == 2;
        if is_newer {
            // There may be none at that moment. Whoever asked is answered all the same.
            beside(&relay).into_iter().for_each(kill_now);
            asking.wait().unwrap();
            assert!(relay.process.is_running().unwrap(), "round {round}, killed after {moment:?}: control has ended");
        } else {
            kill_control(&mut relay);
            asking.kill().and_then(|()| asking.wait()).unwrap();
            relay.process = relay.another(next, &stage.relay).unwrap();
            let ready = relay.wait_until_ready();
            assert!(ready.is_ok(), "round {round}, killed after {moment:?}: stuck: {}", relay.process.last_words());
        }
        wait_until("control does not answer", || asks(&relay).arg("status").output().unwrap().status.success());
        assert!(has_taken_over(&relay), "round {round}, killed after {moment:?}: begun anew");
        wait_until("not all lanes relay, or too many", || relay.lanes().len() == lanes);
    }
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!((account.lost_since_the_first(), report.restarts()), (account.lost_on_links, 0), "{account:?}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_killed_at_any_moment_of_an_upgrade_with_one_lane() {
    upgrades(1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_killed_at_any_moment_of_an_upgrade_with_two_lanes() {
    upgrades(2);
}

fn starts(lanes: usize) {
    let stage = Stage::new(1);
    for round in 0..rounds(10, 200) {
        let traffic = stage.stream_at(RATE / 10);
        let mut relay = Relay::launch(&binary(), &stage.relay, &with_lanes(&stage, lanes), &[]).unwrap();
        let moment = some_moment();
        std::thread::sleep(moment);
        // What comes out a moment later is seen a moment later: then nothing is demanded that must be so.
        let relays = traffic.has_arrived();
        kill_control(&mut relay);
        relay.process = stage.another(&relay);
        let ready = relay.wait_until_ready();
        assert!(ready.is_ok(), "round {round}, killed after {moment:?}: stuck: {}", relay.process.last_words());
        assert!(!relays || has_taken_over(&relay), "round {round}, killed after {moment:?}: begun anew");
        traffic.wait_until_it_arrives();
        let account = traffic.settle();
        let report = relay.stop().unwrap();
        let lost = report.lost_around_lanes() + account.lost_on_links;
        assert_eq!(account.lost_since_the_first(), lost, "round {round}, killed after {moment:?}: {account:?}");
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_killed_at_any_moment_of_a_start_with_one_lane() {
    starts(1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_killed_at_any_moment_of_a_start_with_two_lanes() {
    starts(2);
}

/// It ends in order, whichever control hears of it, and no lane is left.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn mcr_is_ended_at_any_moment_of_a_restart_and_of_an_upgrade() {
    let stage = Stage::new(1);
    for round in 0..rounds(8, 100) {
        let mut relay = stage.start();
        let [newer, _] = two_binaries(&binary(), relay.folder());
        let mut asking = if round % 2 == 0 {
            asks(&relay).arg("restart").stderr(Stdio::null()).spawn().unwrap()
        } else {
            ask_for_upgrade(&relay, &newer)
        };
        let moment = some_moment();
        std::thread::sleep(moment);
        relay.process.signal(Signal::SIGTERM).unwrap();
        let ended = relay.process.wait(SOON);
        let words = relay.process.last_words();
        assert!(ended.is_ok_and(|ended| ended.success()), "round {round}, ended after {moment:?}: {words}");
        assert!(relay.lanes().is_empty(), "round {round}, ended after {moment:?}: a lane is left: {words}");
        // It may still wait for a control that does not come.
        asking.kill().and_then(|()| asking.wait()).unwrap();
    }
}
