//! A link that is unplugged under traffic and plugged in again.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::ledger::{SharedLedger, lock};

use crate::guest::Guest;
use crate::mcr;
use crate::nic::Nic;
use crate::play::{Case, Played, RATE, begin, play};

/// What must be told of the link and of its relay, which have the same name: each event, and the field that names them.
const TOLD: [(&str, &str); 4] =
    [("link.lost", "link"), ("relay.pending", "relay"), ("link.returned", "link"), ("relay.works", "relay")];

/// Plays a case of two streams, of which the second goes to a link that is unplugged while both flow: the first loses
/// nothing, what the second loses is counted, and it flows again by itself once the link is back.
pub(crate) fn play_through(guest: &mut Guest, case: &Case, nic: &Nic, number: usize) -> Result<String> {
    let played = through(guest, case, nic, number);
    if played.is_err() {
        mcr::end(guest)?;
        guest.rest()?;
    }
    played.map(|lost| format!("the other relay lost none; this one {lost}, all told"))
}

fn through(guest: &mut Guest, case: &Case, nic: &Nic, number: usize) -> Result<u64> {
    let name = nic.name;
    let playing = begin(guest, case)?;
    thread::sleep(Duration::from_millis(500));
    guest.monitor(&format!("device_del nic-{name}"))?;
    guest.run(&format!("wait_for_link {name} gone"))?;
    thread::sleep(Duration::from_millis(500));
    guest.monitor(&format!("device_add {}", nic.device(number)))?;
    guest.run(&format!("wait_for_link {name} there"))?;
    guest.run(&format!("ip address add 10.{}.0.1/24 dev {name}; ip link set {name} up", number + 1))?;
    let again = flows_again(&playing.ledgers[1]).and_then(|()| told(guest, name));
    let log = mcr::log(guest)?;
    again.with_context(|| log.clone())?;
    let played = playing.finish(guest)?;
    let counted = || format!("mcr counted: {}\nand said:\n{log}", played.report.0);
    lock(&played.ledgers[0]).check(0).with_context(counted)?;
    ensure!(played.report.frames("lost") == 0, "{} frames leaked", played.report.frames("lost"));
    let lost = lock(&played.ledgers[1]).lost();
    ensure!(lost > 0, "nothing was lost on a link that was not there");
    Ok(lost)
}

/// Waits until a stream arrives.
fn flows_again(ledger: &SharedLedger) -> Result<()> {
    let before = lock(ledger).received();
    for _ in 0..1_000 {
        if lock(ledger).received() > before + RATE / 10 {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("nothing arrives on the link that came back")
}

/// Waits until everything is told.
fn told(guest: &mut Guest, name: &str) -> Result<()> {
    let mut printed = String::new();
    for _ in 0..100 {
        printed = guest.run("mcr events --json")?;
        let events = printed.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
        let is_told = |(event, field): &(&str, &str)| {
            events.iter().any(|one| one["event"] == *event && one["fields"][*field] == name)
        };
        if TOLD.iter().all(is_told) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("not all of {TOLD:?} was told of {name}:\n{printed}")
}

/// The same streams on the link that was plugged in again, after mcr was started again: all is as before.
pub(crate) fn play_after(guest: &mut Guest, case: &Case) -> Result<Played> {
    play(guest, &Case { rate: RATE, ..case.clone() })
}
