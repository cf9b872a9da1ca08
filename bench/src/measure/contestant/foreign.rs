//! Programs that are not ours: pinned, waited for, ended.

use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::counters::{SocketLosses, is_joined};
use super::{Drive, Running, losses};
use crate::Process;
use crate::clock::Deadline;
use crate::measure::scenario::Scenario;
use crate::measure::stage::{INPUT_LINK, RELAY_CORE, Stage};

/// A program is ready so fast.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(5);
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// What a program does after it has joined takes it less: it binds its sockets.
const SETTLES_WITHIN: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A command that will run in the relay's namespace, with all its threads on the relay's core.
pub(super) fn pinned(stage: &Stage, program: &str) -> Command {
    let mut command = stage.relay.command("taskset");
    command.args(["-c", &RELAY_CORE.to_string(), program]);
    command
}

/// Waits until `is_ready`; that the program ends before, or takes longer than [`READY_WITHIN`], is an error that says
/// what it waited for.
pub(super) fn wait_until(process: &mut Process, what: &str, mut is_ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Deadline::after(READY_WITHIN);
    while !is_ready()? {
        if !process.is_running()? {
            // Its last lines may still be on their way.
            let status = process.wait(ENDS_WITHIN)?;
            bail!("it ended ({status}) before {what}; it said:\n{}", process.last_words());
        }
        let last_words = process.last_words();
        ensure!(!deadline.passed(), "not within {READY_WITHIN:?}: {what}; it said:\n{last_words}");
        sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Starts a relay of sockets and waits until it has joined the group of the scenario's only relay.
pub(super) fn start(name: &str, command: Command, stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let IpAddr::V4(group) = scenario.input(0).ip() else { bail!("it is set up for IPv4") };
    let before = SocketLosses::begin(&stage.relay, false)?;
    let mut process = Process::start(name, command)?;
    let joined = format!("it had joined {group} on {INPUT_LINK}, as a relay must to be sent anything");
    wait_until(&mut process, &joined, || is_joined(&stage.relay, INPUT_LINK, group))?;
    sleep(SETTLES_WITHIN);
    let outputs = scenario.outputs;
    Ok(Running {
        pids: family(process.pid()),
        drive: Drive::Relays,
        received: None,
        end: Box::new(move || {
            let lost = before.lost(outputs)?;
            end(process)?;
            Ok(losses(lost))
        }),
    })
}

/// Asks a program to end and does not mind how it does that; one that had ended already is an error.
pub(super) fn end(mut process: Process) -> Result<()> {
    if !process.is_running()? {
        let status = process.wait(ENDS_WITHIN)?;
        bail!("it ended by itself ({status}); it said:\n{}", process.last_words());
    }
    process.signal(nix::sys::signal::Signal::SIGTERM)?;
    // One that does not end is killed when it is dropped.
    process.wait(ENDS_WITHIN).ok();
    Ok(())
}

/// A process and all that it has started.
fn family(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = children
        .flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect();
    [pid].into_iter().chain(children.into_iter().flat_map(family)).collect()
}
