//! Lanes are killed from outside.

use crate::stage::{RATE, SOON, Stage, frames_are_all_there, kill_now, rounds, wait_until};
use bench::Relay;
use bench::clock::monotonic_ns;
use bench::probes::Probes;
use std::time::Duration;

fn kills() -> u64 {
    rounds(8, 20).into()
}

/// Kills the lane; says how long it took until its successor had taken up, in microseconds.
fn kill_the_lane(relay: &Relay) -> u64 {
    let mark = relay.process.mark();
    let start = monotonic_ns();
    kill_now(relay.lanes()[0]);
    relay.process.wait_for_after(mark, "lane died: it is started again", SOON).unwrap();
    (monotonic_ns() - start) / 1000
}

fn many_kills(n_outputs: usize) {
    let stage = Stage::new(n_outputs);
    let relay = stage.start();
    let mut traffic = stage.stream();
    let (kills, mut took) = (kills(), Vec::new());
    for _ in 0..kills {
        // A lane that lived longer than a second is started again at once.
        std::thread::sleep(Duration::from_millis(1_100));
        took.push(kill_the_lane(&relay));
    }
    traffic.pass(RATE / 10);
    traffic.end();
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    took.sort_unstable();
    let mean = took.iter().sum::<u64>() / kills;
    eprintln!("    kill to running: mean {mean} us, {} to {} us", took[0], took[took.len() - 1]);
    eprintln!("    the longest that a packet took: {} us", account.longest_ns / 1000);
    assert_eq!(report.restarts(), kills);
    account.balance(&report, n_outputs);
    frames_are_all_there(&report, n_outputs);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn many_kills_of_a_lane_lose_and_double_nothing_with_one_output() {
    many_kills(1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn many_kills_of_a_lane_lose_and_double_nothing_with_two_outputs() {
    many_kills(2);
}

/// Whoever chooses between nodes asks at every moment of it.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_is_replaced_is_no_fault() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let socket = relay.folder().join("mcr.sock");
    let [healthz, readyz] = ["/healthz", "/readyz"].map(|path| Probes::start(socket.clone(), path));
    let again = Probes::start(socket, "/healthz");
    healthz.pass(20);
    for _ in 0..kills() {
        std::thread::sleep(Duration::from_millis(1_100));
        kill_the_lane(&relay);
    }
    healthz.pass(20);
    for (path, answers) in [("/healthz", healthz.stop()), ("/readyz", readyz.stop()), ("/healthz", again.stop())] {
        assert!(answers.failing.is_empty() && answers.well > 0, "{path}: {answers:?}");
    }
    assert_eq!(relay.stop().unwrap().restarts(), kills());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_keeps_dying_young_is_started_later_and_later_and_then_relays() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream();
    let end = monotonic_ns() + 4_000_000_000;
    while monotonic_ns() < end {
        relay.lanes().into_iter().for_each(kill_now);
        std::thread::sleep(Duration::from_millis(1));
    }
    // Two seconds is the longest pause.
    wait_until("no lane is started any more", || !relay.lanes().is_empty());
    traffic.wait_until_it_arrives();
    traffic.pass(RATE / 10);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    // 0, 40, 80, 160, 320, 640, 1280 and 2000 ms, and the time that each start takes.
    assert!((4..=9).contains(&report.restarts()), "{} restarts", report.restarts());
    account.balance(&report, 1);
    frames_are_all_there(&report, 1);
}
