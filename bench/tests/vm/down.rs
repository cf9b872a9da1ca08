//! Links that are down for a while under traffic: when they are back nothing is sent that waited for them. One of them is
//! an input too, and receives again at once.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bench::ledger::{Ledger, SharedLedger, lock, wait_for_tail};
use bench::packet::Headers;
use bench::sink::Flow;
use bench::source::{Load, Stream};

use crate::guest::Guest;
use crate::mcr;
use crate::play::{Case, TAIL, Through, begin};

/// How a link goes down.
#[derive(Clone, Copy, Debug)]
enum How {
    /// Somebody says so.
    Admin,
    /// Its cable is pulled.
    Carrier,
}

/// How long they are down.
const DOWN: Duration = Duration::from_secs(8);
/// What is as old as this has waited. A guest on a busy machine takes long, but not so long.
const OLD: Duration = Duration::from_secs(4);
/// Frames a second.
const RATE: u64 = 4_000;
/// So many frames at least: they flow until the links are back and have been looked at.
const FRAMES: u64 = 44_000;
/// What a card has sent and not told of when its link goes down counts as stale, though it was sent.
const NOT_TOLD: u64 = 600;

/// The links that go down, both at the same time.
const LINKS: [(&str, How); 2] = [("out2", How::Admin), ("out3", How::Carrier)];

/// Frames a second of the stream that comes in by a link that goes down: few, for a guest that stands still for two seconds
/// must hold them in its ring.
const BACK_RATE: u64 = 100;
/// What it may lose before its link is ready again.
const BACK_LOST: u64 = 20 * BACK_RATE;

/// The case, like one with a relay from `in0` to `out1`, which stays up.
pub(crate) fn case(one: &str) -> Case {
    let out1 = "{ interface = \"out1\", group = \"239.2.1.1\", port = 5001 }";
    let all = ["out1", "out2", "out3"];
    let outputs = all.map(|link| out1.replace("out1", link)).join(", ");
    let stream = Through::new("239.1.1.1:5000", &all.map(|link| (link, "239.2.1.1:5001")));
    let links = [("in0", true), ("out1", true), ("out2", true), ("out3", true)];
    let back = "[[relay]]\nname = \"back\"\ninput = { interface = \"out3\", group = \"239.5.1.1\", port = 5000 }\n\
                outputs = [{ interface = \"in0\", group = \"239.6.1.1\", port = 5001 }]\n";
    let config = format!("{}{back}", one.replace(out1, &outputs));
    let case = Case::new("down for 8 s", &config, "in0", vec![stream], &links);
    Case { rate: RATE, frames: FRAMES, goes_on: true, awaited: 1, ..case }
}

/// Plays it.
pub(crate) fn play(guest: &mut Guest, case: &Case) -> Result<String> {
    let played = under_traffic(guest, case);
    if played.is_err() {
        mcr::end(guest)?;
        for (link, how) in LINKS {
            set(guest, link, how, true)?;
        }
        guest.rest()?;
    }
    played
}

fn under_traffic(guest: &mut Guest, case: &Case) -> Result<String> {
    let playing = begin(guest, case)?;
    flow(&playing.ledgers)?;
    let before = flows_back(guest, 8)?;
    LINKS.into_iter().try_for_each(|(link, how)| set(guest, link, how, false))?;
    thread::sleep(DOWN);
    LINKS.into_iter().try_for_each(|(link, how)| set(guest, link, how, true))?;
    let after = flow(&playing.ledgers[1..]).and_then(|()| flows_back(guest, 9));
    let log = mcr::log(guest)?;
    let after = after.with_context(|| log.clone())?;
    let played = playing.finish(guest)?;
    let report = &played.report;
    let said = || format!("mcr counted: {}\nand said:\n{log}", report.0);
    lock(&played.ledgers[0]).check(0).with_context(said)?;
    judge_back(&lock(&before), &lock(&after)).with_context(said)?;
    let mut lost = 0;
    for ledger in &played.ledgers[1..] {
        let ledger = lock(ledger);
        let oldest = Duration::from_nanos(ledger.latencies().max());
        ensure!(oldest < OLD, "{} was sent a packet of {oldest:?} before\n{}", ledger.name(), said());
        ledger.check(ledger.lost()).with_context(said)?;
        lost += ledger.lost();
    }
    played.modes(case).with_context(said)?;
    played.memory().with_context(said)?;
    let dropped = report.all_dropped(1);
    let counted: u64 = dropped.values().sum();
    let [pending, stale, full] =
        ["pending", "stale", "tx_full"].map(|reason| dropped.get(reason).copied().unwrap_or(0));
    // The kernel may tell of a carrier that is lost a second late, and a ring is full after half of one.
    let are_named = counted == pending + stale + full && full < pending;
    ensure!(are_named && counted <= lost + NOT_TOLD, "{lost} lost, {dropped:?} counted: {}", said());
    // What is sent to a pulled cable is lost, and the card counts it as sent.
    ensure!(lost <= counted + RATE, "{lost} lost, {counted} counted: {}", said());
    ensure!(stale > 0, "nothing had waited: {}", said());
    Ok(format!("{lost} lost: {pending} pending, {stale} stale, {full} tx_full; none old was sent"))
}

/// Has a stream come in by the link whose cable is pulled, until it has flowed for a while. Not while the link is down: an
/// emulated cable may keep what is sent then, and hand it over later.
fn flows_back(guest: &Guest, stream: u32) -> Result<SharedLedger> {
    let ledgers = [Ledger::shared("what comes in by out3", stream)];
    let sink = guest.wire("in0")?.sink(vec![Flow::new("239.6.1.1:5001".parse()?, &ledgers[0])])?;
    let headers = Headers::new("10.9.0.9:4000".parse()?, "239.5.1.1:5000".parse()?);
    let load = Load::new(vec![Stream::new(stream, headers, 1_200)]).rate(BACK_RATE);
    let source = guest.wire("out3")?.source(load)?;
    flow(&ledgers)?;
    source.stop()?.enter(&ledgers);
    wait_for_tail(&ledgers, TAIL);
    sink.stop()?.check()?;
    guest.wire("in0")?.rest()?;
    let [ledger] = ledgers;
    Ok(ledger)
}

/// What came in by a link before it was down arrived; of what came afterwards at most the first is missing.
fn judge_back(before: &Ledger, after: &Ledger) -> Result<()> {
    let gaps = after.gaps(5);
    ensure!(gaps.is_empty() || gaps.len() == 1 && gaps[0].0 == 0, "{} was interrupted: {gaps:?}", after.name());
    ensure!(after.lost() < BACK_LOST, "{} lost {}", after.name(), after.lost());
    before.check(0).and_then(|()| after.check(after.lost()))
}

/// Waits until packets flow on these outputs.
fn flow(ledgers: &[SharedLedger]) -> Result<()> {
    let received = || ledgers.iter().map(|ledger| lock(ledger).received()).collect::<Vec<_>>();
    let before = received();
    for _ in 0..1_000 {
        if received().iter().zip(&before).all(|(now, before)| now - before > BACK_RATE / 2) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("nothing is sent (any more): {before:?} were received, and now {:?}", received())
}

fn set(guest: &mut Guest, link: &str, how: How, up: bool) -> Result<()> {
    match (how, up) {
        (How::Admin, true) => guest.run(&format!("ip link set {link} up")).map(drop),
        (How::Admin, false) => guest.run(&format!("ip link set {link} down")).map(drop),
        (How::Carrier, up) => guest.monitor(&format!("set_link nic-{link} {}", if up { "on" } else { "off" })),
    }
}
