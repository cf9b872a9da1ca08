//! Control dies, is asked to end under traffic, or is there twice.

use crate::stage::{RATE, SOON, Stage, frames_are_all_there, is_alive, kill_now, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn lanes_die_with_their_control_nothing_stays_behind_and_a_new_one_starts_at_once() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream();
    traffic.pass(RATE / 10);
    let lanes = relay.lanes();
    assert!(stage.is_attached() && stage.is_joined() && !lanes.is_empty());
    relay.process.signal(Signal::SIGKILL).unwrap();
    relay.process.wait(SOON).unwrap();
    wait_until("a lane outlives its control", || !lanes.iter().any(|lane| is_alive(*lane)));
    wait_until("the program stays attached", || !stage.is_attached());
    wait_until("the group stays joined", || !stage.is_joined());
    relay.process = stage.another(&relay);
    relay.wait_until_ready().unwrap();
    traffic.wait_until_it_arrives();
    traffic.settle();
    // What was lost while nobody relayed is known to nobody. From here on everything is.
    let traffic = stage.stream();
    traffic.pass(RATE / 10);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert!(account.wanted >= RATE / 10);
    account.balance(&report, 1);
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn everything_is_killed_and_started_again_ten_times() {
    let stage = Stage::new(2);
    let mut relay = stage.start();
    let traffic = stage.stream();
    for _ in 0..10 {
        traffic.pass(RATE / 100);
        let lanes = relay.lanes();
        relay.process.signal(Signal::SIGKILL).unwrap();
        lanes.into_iter().for_each(kill_now);
        relay.process.wait(SOON).unwrap();
        // The sockets of the dead are taken down in the background: their queues are busy for a while.
        relay.process = stage.another(&relay);
        relay.wait_until_ready().unwrap();
        traffic.wait_until_it_arrives();
    }
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert!(account.arrived > 0 && stage_is_bare(&stage));
    frames_are_all_there(&report, 2);
}

fn stage_is_bare(stage: &Stage) -> bool {
    !stage.is_attached() && !stage.is_joined()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn asked_to_end_under_traffic_it_sends_what_it_has_and_leaves_nothing_behind() {
    for n_outputs in [1, 2] {
        let stage = Stage::new(n_outputs);
        let relay = stage.start();
        let traffic = stage.stream();
        traffic.pass(RATE / 2);
        let report = relay.stop().unwrap();
        assert!(stage_is_bare(&stage));
        let account = traffic.settle();
        let sent: u64 = (0..n_outputs).map(|output| report.sent("one", output)).sum();
        assert_eq!(sent, report.received("one") * n_outputs as u64, "half sent: {:#}", report.0);
        assert_eq!(account.arrived, sent - account.lost_on_links);
        frames_are_all_there(&report, n_outputs);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_waits_in_the_receive_ring_is_sent_before_the_end() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(2_000);
    traffic.pass(100);
    // The lane holds still while packets come and while control is asked to end, so there is something to drain.
    let lane = Pid::from_raw(relay.lanes()[0].try_into().unwrap());
    kill(lane, Signal::SIGSTOP).unwrap();
    traffic.pass(500);
    relay.process.signal(Signal::SIGTERM).unwrap();
    wait_until("the program stays attached", || !stage.is_attached());
    kill(lane, Signal::SIGCONT).unwrap();
    let report = relay.stop().unwrap();
    let account = traffic.settle();
    assert!(report.verdict("ours") >= 600, "{:#}", report.0);
    assert_eq!(report.received("one"), report.verdict("ours"), "left in the ring: {:#}", report.0);
    assert_eq!((report.sent("one", 0), account.arrived), (report.received("one"), report.received("one")));
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_second_control_is_refused_and_changes_nothing() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let lanes = relay.lanes();
    let traffic = stage.stream();
    traffic.pass(RATE / 10);
    let mut second = stage.another(&relay);
    assert!(!second.wait(SOON).unwrap().success());
    let complaint = format!("another mcr (pid {}) runs in this network namespace", relay.process.pid());
    assert!(second.lines().iter().any(|line| line.contains(&complaint)), "{:?}", second.lines());
    traffic.pass(RATE / 10);
    assert_eq!(relay.lanes(), lanes);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert_eq!((report.restarts(), report.lanes("generation")), (0, 1));
    account.balance(&report, 1);
    frames_are_all_there(&report, 1);
}
