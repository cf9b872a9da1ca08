//! Control or a lane is killed, or hangs: systemd brings control back, and no packet knows.

use crate::stage::{Stage, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn control_is_killed_again_and_again_and_no_packet_is_lost() {
    let stage = Stage::started();
    let container = &stage.container;
    let lanes = container.lanes();
    let traffic = stage.stream();
    traffic.flows();
    for restarts in 1..=5 {
        container.signal_control("KILL");
        container.wait_for_restarts(restarts);
        assert_eq!(container.lanes(), lanes);
        assert!(stage.mcr(&["health"]).contains("ok"));
    }
    traffic.pass(200);
    traffic.arrives_whole();
}

/// A binary that dies at each start, as a package that is broken: lanes relay on until there is a right one.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn control_dies_at_each_start_until_somebody_mends_it_and_no_packet_is_lost() {
    let stage = Stage::started();
    let container = &stage.container;
    let lanes = container.lanes();
    let traffic = stage.stream();
    traffic.flows();
    let (binary, right) = (container.file("/usr/local/bin/mcr"), container.file("/usr/local/bin/mcr-right"));
    fs::rename(&binary, &right).unwrap();
    fs::write(&binary, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    container.signal_control("KILL");
    let restarts = || container.show("NRestarts").parse::<u32>().unwrap();
    wait_until(|| format!("it is started {} times: {}", restarts(), container.journal()), || restarts() >= 5);
    traffic.flows();
    fs::rename(&right, &binary).unwrap();
    container.wait_for_state("running");
    assert_eq!(container.lanes(), lanes);
    assert!(stage.mcr(&["health"]).contains("ok"));
    traffic.arrives_whole();
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn a_lane_is_killed_and_the_unit_does_not_notice() {
    let stage = Stage::started();
    let container = &stage.container;
    let traffic = stage.stream();
    traffic.flows();
    let killed = container.lanes()[0];
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    let failure = || format!("no other lane: {:?}, {}", container.lanes(), container.journal());
    wait_until(failure, || matches!(container.lanes()[..], [lane] if lane != killed));
    traffic.pass(200);
    traffic.arrives_whole();
    assert_eq!((container.show("NRestarts").as_str(), container.show("SubState").as_str()), ("0", "running"));
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn a_control_that_hangs_is_replaced_by_the_watchdog_and_streams_go_on() {
    let stage = Stage::boot();
    let container = &stage.container;
    // As the unit has it, but for the time: the test is not to take longer than it must.
    container.override_unit("[Service]\nWatchdogSec=4s\n");
    container.done("systemctl", &["start", "mcr"]);
    let lanes = container.lanes();
    let traffic = stage.stream();
    traffic.flows();
    let hung = container.processes("mcr").into_iter().find(|pid| !lanes.contains(pid)).unwrap();
    kill(Pid::from_raw(hung), Signal::SIGSTOP).unwrap();
    container.wait_for_restarts(1);
    let journal = container.journal();
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    assert_eq!(container.lanes(), lanes);
    traffic.pass(200);
    traffic.arrives_whole();
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn systemd_itself_may_be_started_anew_meanwhile() {
    let stage = Stage::boot();
    let container = &stage.container;
    container.override_unit("[Service]\nRestartSec=5s\n");
    container.done("systemctl", &["start", "mcr"]);
    let lanes = container.lanes();
    let traffic = stage.stream();
    traffic.flows();
    container.signal_control("KILL");
    container.wait_for_state("auto-restart");
    container.done("systemctl", &["daemon-reload"]);
    container.done("systemctl", &["daemon-reexec"]);
    traffic.flows();
    assert_eq!(container.show("SubState"), "auto-restart", "too late to show anything");
    assert_eq!(container.lanes(), lanes);
    container.wait_for_restarts(1);
    assert_eq!(container.lanes(), lanes);
    traffic.arrives_whole();
}
