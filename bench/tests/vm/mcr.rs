//! mcr in a guest: started, waited for, ended, and what it counted.

use anyhow::{Context, Result, ensure};
use bench::relay::Report;

use crate::guest::Guest;

/// mcr is ready within this, in tenths of a second: igb loses its carrier for seconds when a program is attached.
const READY: u32 = 600;

/// Starts mcr with this configuration and waits until packets flow.
pub(crate) fn start(guest: &mut Guest, config: &str) -> Result<()> {
    guest.write("/tmp/relay.toml", config)?;
    guest.run("start_mcr")?;
    wait_for(guest, " ready relays=").context("mcr does not become ready")
}

/// The same configuration, with zero-copy demanded on these links.
pub(crate) fn demanding_zero_copy(links: &[&str], config: &str) -> String {
    let demand = |link: &&str| format!("[[interface]]\nname = \"{link}\"\nzero_copy = \"always\"\n");
    links.iter().map(demand).chain([config.to_owned()]).collect()
}

/// Waits until mcr's log has this text.
pub(crate) fn wait_for(guest: &mut Guest, text: &str) -> Result<()> {
    guest.run(&format!("wait_for_log {READY} '{text}'")).map(drop)
}

/// Starts mcr with a configuration that it must refuse, and returns what it said.
pub(crate) fn refusal(guest: &mut Guest, config: &str) -> Result<String> {
    guest.write("/tmp/relay.toml", config)?;
    let (said, status) = guest.attempt("mcr run --config /tmp/relay.toml")?;
    ensure!(status == 1, "mcr ended with {status} where it must refuse: {said}");
    Ok(said)
}

/// What a command of mcr answers to programs.
pub(crate) fn json(guest: &mut Guest, command: &str) -> Result<serde_json::Value> {
    let printed = guest.run(command)?;
    serde_json::from_str(&printed).with_context(|| format!("{command}: {printed}"))
}

/// What mcr has logged so far.
pub(crate) fn log(guest: &mut Guest) -> Result<String> {
    guest.run("cat /tmp/mcr.log")
}

/// Ends mcr and returns what it counted.
pub(crate) fn stop(guest: &mut Guest) -> Result<Report> {
    let printed = guest.run("stop_mcr")?;
    let line = printed.lines().find(|line| line.starts_with('{')).context("mcr printed no counters")?;
    Ok(Report(serde_json::from_str(line).context("mcr's counters are no JSON")?))
}

/// What mcr counted and said so far, for a case that fails while it runs.
pub(crate) fn seen(guest: &mut Guest) -> String {
    let looks =
        ["mcr status", "wget -qO- http://127.0.0.1:9280/metrics | grep -v '^#' | grep -v ' 0$'", "cat /tmp/mcr.log"];
    looks.map(|look| guest.attempt(look).map_or_else(|error| format!("{look}: {error:#}"), |(said, _)| said)).join("\n")
}

/// Ends mcr and its lanes after a case that failed: the next one begins as if this one had not been.
pub(crate) fn end(guest: &mut Guest) -> Result<()> {
    guest.run("kill -9 $(cat /tmp/mcr.pid) 2>/dev/null; mcr stop >/dev/null 2>&1; true").map(drop)
}

/// Has mcr probe a link that must be found to be zero-copy, or not, and to send.
pub(crate) fn probe(guest: &mut Guest, link: &str, zero_copy: bool, words: &[&str]) -> Result<String> {
    let found = guest.run(&format!("mcr probe {link}"))?;
    let bound = if zero_copy { "queue 0            zero-copy" } else { "queue 0            copy" };
    for words in words.iter().chain(&["attached native", "sends              yes", bound]) {
        ensure!(found.contains(words), "no \"{words}\":\n{found}");
    }
    let after = guest.run(&format!("mcr links --json {link}"))?;
    ensure!(after.contains("\"attached\": []"), "a program is left attached:\n{after}");
    Ok(format!("{link}: native, {}", if zero_copy { "zero-copy" } else { "copy" }))
}
