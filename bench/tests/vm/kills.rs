//! Lanes that are killed under traffic, and taken up again with the same sockets.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::guest::Guest;
use crate::play::{Case, Played, play_with};

const KILLS: u64 = 10;
/// A lane that lives shorter than a second is started again later and later.
const LIFE: Duration = Duration::from_millis(1_300);
/// The receive ring holds what comes in a second at this rate, and a guest's lane needs a part of one to come back.
const RATE: u64 = 1_500;
/// So many frames at least: they flow until after the last kill.
const FRAMES: u64 = 24_000;

/// The same case, with the rate and the frames that killing wants.
pub(crate) fn case(name: &'static str, like: &Case) -> Case {
    Case { name, rate: RATE, frames: FRAMES, goes_on: true, ..like.clone() }
}

/// Plays a case while its lane is killed again and again. A kill may cost one frame, if mcr counts it.
pub(crate) fn play(guest: &mut Guest, case: &Case) -> Result<Played> {
    let played = play_with(guest, case, KILLS, |guest| (1..=KILLS).try_for_each(|kill| kill_lane(guest, kill)))?;
    ensure!(played.report.restarts() == KILLS, "{} restarts after {KILLS} kills", played.report.restarts());
    Ok(played)
}

/// Kills the lane and waits until another has followed, for the so many-th time.
pub(crate) fn kill_lane(guest: &mut Guest, kill: u64) -> Result<()> {
    thread::sleep(LIFE);
    let before = lane(guest)?;
    guest.run(&format!("kill -9 {before} && wait_for_deaths {kill}"))?;
    let after = lane(guest)?;
    ensure!(after != before, "lane {before} was not followed by another");
    Ok(())
}

/// The process of the only lane.
fn lane(guest: &mut Guest) -> Result<u32> {
    let printed = guest.run("lane_of_mcr")?;
    printed.trim().parse().with_context(|| format!("one lane was expected: {printed:?}"))
}
