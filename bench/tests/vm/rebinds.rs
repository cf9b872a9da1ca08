//! Kernels on which a lane that starts cannot take up the sockets of the one before it: what that costs, and what not.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use bench::ledger::lock;

use crate::guest::Guest;
use crate::kills;
use crate::mcr;
use crate::play::{Case, begin};

const KILLS: u64 = 3;
/// Frames that a lane had in work when it was killed may be counted by nobody: a batch, and what its output had not sent.
const IN_WORK: u64 = 128;
/// Frames that may be lost by a kill at all: those of some seconds, because a guest's lane needs most of one to come back.
const MOST_LOST: u64 = 6_000;

/// Kills control while frames flow, and starts another, which takes the lane over.
pub(crate) fn kill_control(guest: &mut Guest) -> Result<()> {
    thread::sleep(Duration::from_millis(500));
    // One line: a shell whose child dies while it reads a line loses the beginning of that.
    guest.run("kill -9 $(cat /tmp/mcr.pid); wait $(cat /tmp/mcr.pid); start_mcr")?;
    mcr::wait_for(guest, " ready relays=")
}

/// Plays a case in which lanes are killed, then control, then a lane that another control took over. Each lane comes back
/// and relays, nothing is sent twice or wrong, no frame of memory leaks, and what is lost is counted.
pub(crate) fn play(guest: &mut Guest, case: &Case) -> Result<String> {
    let playing = begin(guest, case)?;
    let mut status = serde_json::Value::Null;
    for kill in 1..=KILLS {
        kills::kill_lane(guest, kill)?;
        status = well_again(guest)?;
        flows_again(guest, case)?;
    }
    ensure!(status["warnings"].to_string().contains("bound_rings"), "{status:#}");
    let played = playing.finish(guest)?;
    played.modes(case)?;
    played.memory()?;
    let report = &played.report;
    ensure!(report.restarts() == KILLS, "{} restarts after {KILLS} kills", report.restarts());
    let dropped: u64 = report.all_dropped(1).values().sum::<u64>() + report.lost_around_lanes();
    let counted = dropped + report.lanes("dropped_with_socket") + report.verdict("no_socket");
    let lost = played.lost();
    for ledger in &played.ledgers {
        lock(ledger).check(lost)?;
    }
    let said = format!("{lost} lost, {counted} counted: {}", report.0);
    ensure!(lost.abs_diff(counted) <= IN_WORK * KILLS, "{said}");
    ensure!(lost <= MOST_LOST * KILLS, "{said}");
    Ok(format!("{KILLS} kills: {lost} of {} lost, {counted} counted", played.sent()))
}

/// Waits until health is well again. A link's counter also moves for what the old sockets had handed to the card, so that it
/// says nothing of the new ones.
fn well_again(guest: &mut Guest) -> Result<serde_json::Value> {
    for _ in 0..200 {
        let status: serde_json::Value = serde_json::from_str(&guest.run("mcr status --json")?)?;
        // That a lane died is held against the node for a while.
        let is_well = |check: &serde_json::Value| {
            check["ok"] == true || check["verdict"] != "fault" || check["name"] == "hold_down"
        };
        if status["health"]["checks"].as_array().is_some_and(|checks| checks.iter().all(is_well)) {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("not well again after 10 s:\n{}\n{}", guest.run("mcr status --json")?, mcr::log(guest)?)
}

/// Waits until a lane that was started again sends.
fn flows_again(guest: &mut Guest, case: &Case) -> Result<()> {
    let output = case.links.last().map_or("", |(link, _)| link);
    let sent = format!("cat /sys/class/net/{output}/statistics/tx_packets");
    let before: u64 = guest.run(&sent)?.trim().parse()?;
    for _ in 0..200 {
        if guest.run(&sent)?.trim().parse::<u64>()? > before + 100 {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("nothing is sent any more:\n{}", mcr::log(guest)?)
}
