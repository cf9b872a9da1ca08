//! Lanes whose control is gone and that nobody can go on with: the next control ends them and begins anew, and mcr stop ends
//! whatever is there.

use crate::control::kill_control;
use crate::refused::{done, next, stop};
use crate::stage::{RATE, SOON, Stage, is_alive};
use bench::Relay;
use bench::relay::binary;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;

/// The control of a dead one's lanes finds them such that nobody can go on with them.
fn lanes_that_cannot_be_taken_over(env: &[(&str, &str)], spoil: impl Fn(u32), told: &str) {
    let stage = Stage::new(1);
    let build = if env.is_empty() { binary() } else { chaos().to_owned() };
    for by_stop in [false, true] {
        let mut relay = Relay::launch(&build, &stage.relay, &stage.config(), env).unwrap();
        relay.wait_until_ready().unwrap();
        let lanes = relay.lanes();
        kill_control(&mut relay);
        spoil(lanes[0]);
        if by_stop {
            let said = stop(&stage, &relay);
            assert!(said.contains(&format!("lane 0 (pid {})", lanes[0])) && said.contains(told), "{said}");
            continue;
        }
        next(&stage, &mut relay);
        assert!(!is_alive(lanes[0]), "{told}: the lane lives");
        let events = done(&relay, &["events", "--json"]);
        for kind in ["lane.replaced", "node.begun_anew", told] {
            assert!(events.contains(kind), "{kind} is not in {events}");
        }
        let traffic = stage.stream_at(RATE / 10);
        traffic.wait_until_it_arrives();
        let account = traffic.settle();
        let report = relay.stop().unwrap();
        account.balance(&report, 1);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_hangs_without_its_control_is_replaced() {
    let hang = |pid: u32| kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGSTOP).unwrap();
    lanes_that_cannot_be_taken_over(&[], hang, "does not answer");
}

#[cfg(feature = "chaos")]
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn lanes_of_another_version_and_lanes_without_a_memo_are_replaced() {
    lanes_that_cannot_be_taken_over(&[("MCR_LIE", "0:protocol=99")], |_| {}, "of a version that this mcr cannot");
    lanes_that_cannot_be_taken_over(&[("MCR_LIE", "0:memo=1000")], |_| {}, "no lane holds what the control before");
}

fn chaos() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mcr"))
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn stop_ends_what_is_there_and_says_what_that_was() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let said = stop(&stage, &relay);
    assert_eq!(said, format!("mcr (pid {}) has ended\n", relay.process.pid()));
    relay.process.wait(SOON).unwrap();
    next(&stage, &mut relay);
    kill_control(&mut relay);
    assert_eq!(stop(&stage, &relay), "one lane that had no control has ended\n");
    // By the way of MCR_SOCKET, at which nobody listens any more.
    next(&stage, &mut relay);
    kill_control(&mut relay);
    let mut mcr = stage.relay.command(binary());
    let by_socket = mcr.arg("stop").env("MCR_SOCKET", relay.folder().join("mcr.sock")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&by_socket.stdout), "one lane that had no control has ended\n", "{by_socket:?}");
    let mut mcr = stage.relay.command(binary());
    let nothing = mcr.arg("stop").arg("--run-dir").arg(relay.folder()).output().unwrap();
    assert!(!nothing.status.success(), "{nothing:?}");
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("no mcr runs"), "{nothing:?}");
}

/// One that hangs is waited for as long as one that has much to send.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn stop_kills_a_control_that_does_not_end() {
    if std::env::var_os("MCR_LONG").is_none() {
        return;
    }
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let pid = relay.process.pid();
    relay.process.signal(Signal::SIGSTOP).unwrap();
    let said = stop(&stage, &relay);
    assert!(said.contains(&format!("mcr (pid {pid}) did not end within")), "{said}");
    assert!(said.contains("one lane that had no control has ended"), "{said}");
    relay.process.wait(SOON).unwrap();
}
