//! A lane hangs: it is ended, another goes on where it stood, and what waited meanwhile is sent.

use crate::stage::{SOON, Stage, frames_are_all_there, is_alive, wait_until};
use bench::clock::monotonic_ns;
use bench::sys::traced::Traced;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// So slow that the receive ring holds what comes in for a minute.
const SLOW: u64 = 60;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_hangs_is_ended_after_two_seconds_and_nothing_is_lost() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(SLOW);
    traffic.pass(SLOW / 2);
    let (lane, mark) = (relay.lanes()[0], relay.process.mark());
    let start = monotonic_ns();
    kill(Pid::from_raw(i32::try_from(lane).unwrap()), Signal::SIGSTOP).unwrap();
    wait_until("the lane is let hang", || relay.lanes().first().is_some_and(|now| *now != lane && is_alive(*now)));
    let took = Duration::from_nanos(monotonic_ns() - start);
    relay.process.wait_for_after(mark, "lane 0 hangs: it is ended", SOON).unwrap();
    relay.process.wait_for_after(mark, "lane died: it is started again (lane 0, signal 9", SOON).unwrap();
    traffic.wait_until_it_arrives();
    let account = traffic.settle();
    eprintln!(
        "    ended and followed after {took:?}; the longest that a packet took: {} ms",
        account.longest_ns / 1_000_000
    );
    assert!(took > Duration::from_secs(2), "{took:?} is no time to hang");
    assert_eq!((account.lost(), relay.lanes().len()), (account.lost_on_links, 1));
    let report = relay.stop().unwrap();
    assert_eq!(report.restarts(), 1);
    account.balance(&report, 1);
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_a_debugger_holds_is_let_alone() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(SLOW);
    traffic.pass(SLOW / 2);
    let (lanes, mark) = (relay.lanes(), relay.process.mark());
    let held = Traced::hold(lanes[0]).unwrap();
    relay.process.wait_for_after(mark, "lane 0 stalled", SOON).unwrap();
    // As long as one that hangs is let hang, twice.
    traffic.pass(4 * SLOW);
    drop(held);
    relay.process.wait_for_after(mark, "lane 0 comes round again", SOON).unwrap();
    let account = traffic.settle();
    assert_eq!(relay.lanes(), lanes);
    let report = relay.stop().unwrap();
    assert_eq!((account.lost(), report.restarts()), (account.lost_on_links, 0));
    frames_are_all_there(&report, 1);
}
