//! A lane that could not run finds a backlog in its receive ring: on a link that sends, nothing of it is lost, however many
//! outputs it has there and however few packets one call of the kernel takes.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::ledger::{Ledger, lock, wait_for_tail};
use bench::packet::Headers;
use bench::sink::Flow;
use bench::source::{Load, Stream};

use crate::guest::Guest;
use crate::mcr;

/// Outputs on one link.
const OUTPUTS: usize = 8;
/// The receive ring holds 2048; all outputs together make six times what the transmit ring does.
const BACKLOG: u64 = 1_500;
/// Frames a second into the guest: nobody is in a hurry.
const RATE: u64 = 4_000;
/// An emulated link on a busy machine sends a few hundred packets a second.
const TAIL: Duration = Duration::from_secs(60);

/// Stops lane and control, lets a backlog come in by `from`, and has them go on; all outputs are on `to`. A kernel that
/// copies ends its calls before it has sent all.
pub(crate) fn play(guest: &mut Guest, from: &'static str, to: &'static str, copies: bool) -> Result<String> {
    let played = stopped(guest, from, to, copies);
    if played.is_err() {
        mcr::end(guest)?;
        guest.rest()?;
    }
    played
}

fn stopped(guest: &mut Guest, from: &'static str, to: &'static str, copies: bool) -> Result<String> {
    let outputs = (1..=OUTPUTS).fold(String::new(), |mut outputs, n| {
        // Writing to a string cannot fail.
        let _ = writeln!(outputs, "{{ interface = \"{to}\", group = \"239.2.1.{n}\", port = 5001 }},");
        outputs
    });
    let config = format!(
        "[[relay]]\nname = \"wide\"\ninput = {{ interface = \"{from}\", group = \"239.1.1.1\", port = 5000 }}\n\
         outputs = [{outputs}]\n"
    );
    let demanded: &[&str] = if copies { &[] } else { &[from, to] };
    mcr::start(guest, &mcr::demanding_zero_copy(demanded, &config))?;
    let ledgers: Vec<_> = (1..=OUTPUTS).map(|n| Ledger::shared(&format!("output {n}"), 0)).collect();
    let flow = |(n, ledger)| -> Result<Flow> { Ok(Flow::new(format!("239.2.1.{n}:5001").parse()?, ledger)) };
    let sink = guest.wire(to)?.sink((1..).zip(&ledgers).map(flow).collect::<Result<_>>()?)?;
    let came = format!("cat /sys/class/net/{from}/statistics/rx_packets");
    let before: u64 = guest.run(&came)?.trim().parse()?;
    // Control too, or it would end a lane that stands still, and start another.
    guest.run("lane_of_mcr >/tmp/lane.pid && kill -STOP $(cat /tmp/mcr.pid) && kill -STOP $(cat /tmp/lane.pid)")?;
    let headers = Headers::new("10.9.0.9:4000".parse()?, "239.1.1.1:5000".parse()?);
    let load = Load::new(vec![Stream::new(0, headers, 1_200)]).rate(RATE).packets(BACKLOG);
    let sent = guest.wire(from)?.source(load)?.finish()?;
    while guest.run(&came)?.trim().parse::<u64>()? < before + BACKLOG {
        thread::sleep(Duration::from_millis(20));
    }
    guest.run("kill -CONT $(cat /tmp/lane.pid) && kill -CONT $(cat /tmp/mcr.pid)")?;
    sent.enter(&ledgers);
    wait_for_tail(&ledgers, TAIL);
    let report = mcr::stop(guest)?;
    sink.stop()?.check()?;
    guest.rest()?;
    let said = || format!("mcr counted: {}", report.0);
    let dropped = report.all_dropped(1).values().sum::<u64>() + report.lost_around_lanes();
    ensure!(dropped == 0, "{dropped} dropped; {}", said());
    for ledger in &ledgers {
        lock(ledger).check(0).with_context(said)?;
    }
    let (calls, again) = (report.lanes("kicks"), report.lanes("kick_again"));
    ensure!(again > 0 || !copies, "no call ended early: {}", said());
    let sockets = report.0["sockets"].as_array().context("no sockets in the counters")?;
    ensure!(sockets.iter().all(|socket| socket["zero_copy"] == !copies), "not in the mode that was wanted: {}", said());
    Ok(format!("{BACKLOG} packets to {OUTPUTS} outputs: none lost, {calls} calls, {again} of them ended early"))
}
