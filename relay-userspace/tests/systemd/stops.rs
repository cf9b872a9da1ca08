//! `systemctl stop` is a fence: when it has returned, nothing is sent any more, whatever control was doing. Where control
//! was dead, lanes have a moment more.

use crate::container::Container;
use crate::stage::{Stage, Traffic, now, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Where systemd runs no command of ours, lanes have so long to find out.
const UNASKED: Duration = Duration::from_millis(200);

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

/// Whether a process does not die of a signal, because it is to hear it later.
fn holds_back(process: i32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
    let blocked = blocked.and_then(|blocked| u64::from_str_radix(blocked, 16).ok()).unwrap_or(0);
    blocked & (1 << (signal as i32 - 1)) != 0
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

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn while_control_starts_over_lanes_that_relay() {
    let stage = Stage::started();
    let container = &stage.container;
    let traffic = stage.stream();
    traffic.flows();
    container.signal_control("KILL");
    // The next control is held as soon as it holds signals back; systemd lets it go on when it tells it to end.
    let held = loop {
        if let Some(next) = control(container).filter(|next| holds_back(*next, Signal::SIGTERM)) {
            break next;
        }
    };
    kill(Pid::from_raw(held), Signal::SIGSTOP).unwrap();
    assert_eq!(container.show("SubState"), "start", "too late to show anything");
    stop(&stage, &traffic, Duration::ZERO);
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn while_the_unit_waits_for_its_restart() {
    let stage = Stage::boot();
    let container = &stage.container;
    container.override_unit("[Service]\nRestartSec=60s\n");
    container.done("systemctl", &["start", "mcr"]);
    let traffic = stage.stream();
    traffic.flows();
    container.signal_control("KILL");
    container.wait_for_state("auto-restart");
    traffic.flows();
    stop(&stage, &traffic, UNASKED);
}

/// The newer control of an upgrade leads, and dies before anything else can have happened.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn while_the_unit_waits_for_its_restart_after_an_upgrade() {
    let stage = Stage::boot();
    let container = &stage.container;
    container.override_unit("[Service]\nRestartSec=60s\n");
    std::fs::copy(container.file("/usr/local/bin/mcr"), container.file("/usr/local/bin/mcr-other")).unwrap();
    container.done("systemctl", &["start", "mcr"]);
    let traffic = stage.stream();
    traffic.flows();
    let old = control(container).unwrap();
    stage.mcr(&["upgrade", "/usr/local/bin/mcr-other"]);
    let newer = control(container).expect("both controls have ended");
    assert_ne!(newer, old);
    kill(Pid::from_raw(newer), Signal::SIGKILL).unwrap();
    container.wait_for_state("auto-restart");
    traffic.flows();
    stop(&stage, &traffic, UNASKED);
}

/// The binary is gone: systemd starts control again and again, and each start fails.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn while_control_cannot_start() {
    let stage = Stage::started();
    let container = &stage.container;
    let traffic = stage.stream();
    traffic.flows();
    std::fs::remove_file(container.file("/usr/local/bin/mcr")).unwrap();
    container.signal_control("KILL");
    container.wait_for_state("auto-restart");
    traffic.flows();
    stop(&stage, &traffic, UNASKED);
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn at_any_moment_after_a_death() {
    let stage = Stage::boot();
    let container = &stage.container;
    container.override_unit("[Service]\nRestartSec=300ms\n");
    let rounds: u32 = if std::env::var_os("MCR_LONG").is_some() { 100 } else { 6 };
    for round in 0..rounds {
        container.done("systemctl", &["start", "mcr"]);
        let traffic = stage.stream();
        traffic.flows();
        container.signal_control("KILL");
        // From right after the death to when the next control has taken over.
        std::thread::sleep(Duration::from_millis(600) * round / rounds);
        stop(&stage, &traffic, UNASKED);
    }
}

/// From nothing: systemd runs no command of the unit for a stop of what has not started.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn at_any_moment_of_a_start() {
    let stage = Stage::boot();
    let rounds: u32 = if std::env::var_os("MCR_LONG").is_some() { 100 } else { 5 };
    for round in 0..rounds {
        let traffic = stage.stream();
        stage.container.done("systemctl", &["start", "--no-block", "mcr"]);
        std::thread::sleep(Duration::from_millis(400) * round / rounds);
        stop(&stage, &traffic, Duration::ZERO);
    }
}

/// Two controls are there for a while, and the unit's main process becomes another.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn at_any_moment_of_an_upgrade() {
    let stage = Stage::boot();
    let container = &stage.container;
    std::fs::copy(container.file("/usr/local/bin/mcr"), container.file("/usr/local/bin/mcr-other")).unwrap();
    let rounds: u32 = if std::env::var_os("MCR_LONG").is_some() { 100 } else { 5 };
    for round in 0..rounds {
        container.done("systemctl", &["start", "mcr"]);
        let traffic = stage.stream();
        traffic.flows();
        let asked = ask_for_upgrade(container);
        if round + 1 < rounds {
            std::thread::sleep(Duration::from_millis(1000) * round / rounds);
        } else {
            // Without this, rounds on a busy machine might all have come before the newer one had the lanes.
            wait_until(|| container.journal(), || container.journal().contains("took over the lanes"));
        }
        stop(&stage, &traffic, Duration::ZERO);
        drop(asked);
    }
}

/// Asks for an upgrade and does not wait for the answer. Who asks is outside of the container, where it is no process of mcr.
fn ask_for_upgrade(container: &Container) -> UnixStream {
    let mut socket = UnixStream::connect(container.inside("/run/mcr/mcr.sock")).unwrap();
    let body = r#"{"binary":"/usr/local/bin/mcr-other"}"#;
    write!(
        socket,
        "POST /api/v1/upgrade HTTP/1.1\r\nHost: mcr\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    socket
}
