//! `systemctl stop` is a fence: when it has returned, nothing is sent any more, whatever control was doing.

use crate::container::Container;
use crate::stage::{Stage, Traffic, now};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

/// Stops the unit, and demands that nothing is sent later than that.
fn stop(stage: &Stage, traffic: &Traffic, allowed: Duration) {
    let container = &stage.container;
    let said = container.systemctl("stop");
    let returned = now();
    assert!(said.succeeded, "{}\n{}", said.text, container.journal());
    let sent_on = traffic.sent_on_after(returned);
    assert!(sent_on <= allowed, "packets are sent {sent_on:?} after the stop: {}", container.journal());
    let state = container.show("ActiveState");
    assert!(["inactive", "failed"].contains(&state.as_str()), "{state}: {}", container.journal());
    assert!(stage.is_bare(), "something stays behind: {:?}\n{}", container.processes("mcr"), container.journal());
}

fn control(container: &Container) -> Option<i32> {
    let lanes = container.lanes();
    container.processes("mcr").into_iter().find(|pid| !lanes.contains(pid))
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn while_control_runs() {
    let stage = Stage::started();
    for _ in 0..2 {
        let traffic = stage.stream();
        traffic.flows();
        stop(&stage, &traffic, Duration::ZERO);
        // It comes back as it was.
        stage.container.done("systemctl", &["start", "mcr"]);
        traffic.flows();
    }
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn while_control_hangs() {
    let stage = Stage::started();
    let traffic = stage.stream();
    traffic.flows();
    kill(Pid::from_raw(control(&stage.container).unwrap()), Signal::SIGSTOP).unwrap();
    stop(&stage, &traffic, Duration::ZERO);
}
