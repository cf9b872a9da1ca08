//! Lanes die, or are late, while they are given a socket: the next one is given it, and nothing is left behind.

use crate::stage::{ForLanes, Stage, frames_are_all_there, wait_for_frames};
use bench::Relay;
use bench::clock::monotonic_ns;
use bench::links::{End, Veth};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// With a link that nobody uses yet, and a file that one lane finds.
fn stage(name: &str) -> (Stage, ForLanes) {
    let stage = Stage::new(1);
    let (late, far) = (End::new(&stage.relay, "late0"), End::new(&stage.source, "late1"));
    Veth::new(late.address("10.9.0.1/24"), far.address("10.9.0.2/24")).create().unwrap();
    (stage, ForLanes::new(name, ""))
}

/// A relay that sends by the new link is asked for: it is made, whatever becomes of the lane meanwhile, and the number
/// of the socket can be used again.
fn is_given_its_sockets(relay: Relay, file: &Path, within: Duration) {
    assert!(!file.exists(), "no lane has found the file");
    let mcr = |arguments: &[&str]| {
        let mut mcr = Command::new(bench::relay::binary());
        let output = mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    let lane = relay.lanes();
    for _ in 0..3 {
        let start = monotonic_ns();
        mcr(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "late0/239.9.1.1:5001"]);
        let took = Duration::from_nanos(monotonic_ns() - start);
        eprintln!("    given after {took:?}");
        assert!(took < within, "{took:?}");
        mcr(&["relay", "rm", "two"]);
    }
    mcr(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "late0/239.9.1.1:5001"]);
    assert_ne!(relay.lanes(), lane, "the lane neither died nor was ended");
    wait_for_frames(&relay, 2);
    let report = relay.stop().unwrap();
    assert_eq!(report.restarts(), 1);
    frames_are_all_there(&report, 2);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn one_that_dies_while_it_is_given_a_socket() {
    let (stage, file) = stage("dies");
    // Nothing comes in: its first commit is the socket.
    let chaos = format!("1:1:{}", file.path().display());
    let relay = stage.start_with(Path::new(env!("CARGO_BIN_EXE_mcr")), &[("MCR_CHAOS", &chaos)]);
    is_given_its_sockets(relay, file.path(), Duration::from_secs(5));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn one_that_is_late_while_it_is_given_a_socket() {
    let (stage, file) = stage("late");
    let late = file.path().display().to_string();
    let relay = stage.start_with(Path::new(env!("CARGO_BIN_EXE_mcr")), &[("MCR_CHAOS_LATE", &late)]);
    // Control waits for a second before it ends the lane.
    is_given_its_sockets(relay, file.path(), Duration::from_secs(6));
}
