//! A link that is unplugged under traffic and plugged in again.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::ledger::lock;

use crate::guest::Guest;
use crate::mcr;
use crate::nic::Nic;
use crate::play::{Case, Played, RATE, begin, play};

/// Whether mcr takes up a link that was made again by itself, without being started again. When it does, this becomes
/// true, and what is asserted below changes with it.
const TAKES_UP_BY_ITSELF: bool = true;

/// Frames flow for this long after the link has come back.
const AFTER: Duration = Duration::from_secs(1);

/// Plays a case of two streams, of which the second goes to a link that is unplugged while both flow: the first loses
/// nothing, and what the second loses is counted.
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
    thread::sleep(AFTER);
    let log = mcr::log(guest)?;
    let played = playing.finish(guest)?;
    let counted = || format!("mcr counted: {}\nand said:\n{log}", played.report.0);
    lock(&played.ledgers[0]).check(0).with_context(counted)?;
    let told = log.contains("pending") && log.contains(name);
    ensure!(told, "nothing was said of the link that went:\n{log}");
    ensure!(played.report.frames("lost") == 0, "{} frames leaked", played.report.frames("lost"));
    let lost = lock(&played.ledgers[1]).lost();
    ensure!(lost > 0 || TAKES_UP_BY_ITSELF, "nothing was lost on a link that was not there");
    let again = log.contains("restart mcr to use it");
    ensure!(again != TAKES_UP_BY_ITSELF, "what was said of the link that came back is not as it must be:\n{log}");
    Ok(lost)
}

/// The same streams on the link that was plugged in again, after mcr was started again: all is as before.
pub(crate) fn play_after(guest: &mut Guest, case: &Case) -> Result<Played> {
    play(guest, &Case { rate: RATE, ..case.clone() })
}
