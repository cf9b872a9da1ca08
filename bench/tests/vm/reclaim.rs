//! A zero-copy socket is dropped while something holds the kernel's lock of all network settings: the card goes on writing
//! into the frames of that socket, and none may be used for anything else before the kernel has taken it off the card.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::packet::Headers;
use bench::source::{Load, Stream};

use crate::guest::Guest;
use crate::mcr;
use crate::play::{Case, Played, begin};

/// How long the lock is held at least, in seconds; then until the look has been.
const HELD: u64 = 3;
/// Within that time, and after the second that the kernel was given once.
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// Frames of the second relay's stream a second.
const RATE: u64 = 2_000;
/// Entries of a ring; the sockets of the second relay have two full ones.
const RING: u64 = 2_048;
/// Frames under way at a moment.
const UNDER_WAY: u64 = 512;

/// Plays a case while a second relay, from one link to another, comes and goes.
pub(crate) fn play(guest: &mut Guest, case: &Case, from: &str, to: &str) -> Result<Played> {
    let played = under_traffic(guest, case, from, to);
    if played.is_err() {
        guest.run("kill -9 $(pidof hold-rtnl) 2>/dev/null; true")?;
        mcr::end(guest)?;
        guest.rest()?;
    }
    played
}

fn under_traffic(guest: &mut Guest, case: &Case, from: &str, to: &str) -> Result<Played> {
    let playing = begin(guest, case)?;
    // The card takes in what the relay does not want any more, too.
    guest.run(&format!("ip link set {from} promisc on"))?;
    guest.run(&format!("mcr relay add second --in {from}/239.5.1.1:5000 --out {to}/239.6.1.1:5001"))?;
    let headers = Headers::new("10.9.0.9:4000".parse()?, "239.5.1.1:5000".parse()?);
    let second = Load::new(vec![Stream::new(9, headers, 1_200)]).rate(RATE);
    let second = guest.wire(from)?.source(second)?;
    let with_it = free_frames(guest)?;
    guest.run(&format!("rm -f /tmp/looked; hold-rtnl {HELD} xp_release_deferred /tmp/looked >/tmp/rtnl.log 2>&1 &"))?;
    guest.run("wait_for_text 100 /tmp/rtnl.log holding")?;
    guest.run("mcr relay rm second")?;
    guest.run("wait_for_text 600 /tmp/rtnl.log waits")?;
    thread::sleep(LOOK_AFTER);
    let while_held = free_frames(guest)?;
    guest.run("touch /tmp/looked")?;
    guest.run("wait_for_text 600 /tmp/rtnl.log has.waited").context("the kernel did not wait for the lock")?;
    let free = |guest: &mut Guest| -> Result<u64> {
        for _ in 0..200 {
            let free = free_frames(guest)?;
            if free + UNDER_WAY > with_it + 2 * RING {
                return Ok(free);
            }
            thread::sleep(Duration::from_millis(50));
        }
        anyhow::bail!("frames did not come back: {with_it} were free before, {} now", free_frames(guest)?)
    };
    let back = free(guest)?;
    second.stop()?;
    let played = playing.finish(guest)?;
    let log = mcr::log(guest)?;
    let said = || format!("mcr counted: {}\nand said:\n{log}", played.report.0);
    ensure!(
        while_held < with_it + UNDER_WAY,
        "{while_held} frames were free while the kernel had the socket on the card, {with_it} before, {back} after\n{}",
        said()
    );
    // What had come for the second relay and waited for the lane when that was removed.
    let waited = played.report.all_dropped(1).get("no_relay").copied().unwrap_or(0);
    ensure!(waited <= RING, "{waited} frames of the second relay waited\n{}", said());
    played.judge_but_for(case, 0, waited).with_context(said)?;
    guest.run(&format!("ip link set {from} promisc off"))?;
    Ok(played)
}

fn free_frames(guest: &mut Guest) -> Result<u64> {
    let status: serde_json::Value = serde_json::from_str(&guest.run("mcr status --json")?)?;
    let lanes = status["lanes"].as_array().context("no lanes in the status")?;
    Ok(lanes.iter().filter_map(|lane| lane["free_frames"].as_u64()).sum())
}
