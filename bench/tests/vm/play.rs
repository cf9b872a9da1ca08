//! One case: mcr with a configuration in a guest, streams in, streams out, and every frame accounted for.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::ledger::{Ledger, SharedLedger, lock, wait_for_tail};
use bench::packet::{Headers, Vlan};
use bench::relay::Report;
use bench::sink::Flow;
use bench::source::{Load, Stream};
use bench::{Sink, Source};

use crate::calls::Calls;
use crate::guest::Guest;
use crate::mcr;

/// Frames of each case.
pub(crate) const FRAMES: u64 = 20_000;
/// Frames a second: what an emulated guest relays even when its machine is shared with other work.
pub(crate) const RATE: u64 = 5_000;
/// A case that goes on sends so many times its frames at most: minutes.
const MOST: u64 = 20;
/// Frames under way at once, over all streams: less than the smallest receive ring, of 256. A guest that stands still
/// while its machine does other work would lose what does not fit; igb drops it uncounted when one of its queues is full
/// and another is not.
const UNDER_WAY: u64 = 192;
/// Bytes of a payload: not much less than seven TS packets.
const LENGTH: usize = 1_200;
/// Frames of the last moment are under way for so long at most.
pub(crate) const TAIL: Duration = Duration::from_secs(15);
/// Where nothing has arrived for so long, nothing is under way.
const SILENCE: Duration = Duration::from_secs(2);

/// A stream: where it is sent, with which tags, and each link with the destination that it must leave by.
#[derive(Clone, Debug)]
pub(crate) struct Through {
    pub(crate) to: String,
    pub(crate) vlans: Vec<Vlan>,
    pub(crate) outputs: Vec<(&'static str, String)>,
}

impl Through {
    /// An untagged stream.
    pub(crate) fn new(to: &str, outputs: &[(&'static str, &str)]) -> Self {
        let outputs = outputs.iter().map(|(link, to)| (*link, (*to).to_owned())).collect();
        Self { to: to.to_owned(), vlans: Vec::new(), outputs }
    }

    fn stream(&self, number: u32) -> Result<Stream> {
        let to: SocketAddr = self.to.parse()?;
        let from = if to.is_ipv4() { IpAddr::V4(sender(number)) } else { "fd00:9::9".parse()? };
        let from = SocketAddr::new(from, 4_000);
        Ok(Stream::new(number, Headers::new(from, to).tagged(&self.vlans), LENGTH))
    }
}

/// The sender of a stream. A NIC spreads frames over its queues by a hash that is linear in the bits of addresses, with a
/// key that is drawn at boot: of groups that differ in four bits, one boot in sixteen puts all on one queue. Senders that
/// differ in all bits make that one in thousands.
fn sender(number: u32) -> Ipv4Addr {
    let [_, b, c, d] = (number + 1).wrapping_mul(0x9e37_79b1).to_be_bytes();
    Ipv4Addr::new(10, b, c, d)
}

/// What a case is, and what it must come to.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) config: String,
    pub(crate) input: &'static str,
    pub(crate) streams: Vec<Through>,
    /// The links in use, and whether their sockets must be zero-copy.
    pub(crate) links: Vec<(&'static str, bool)>,
    /// Frames a second, over all streams.
    pub(crate) rate: u64,
    /// Frames, over all streams.
    pub(crate) frames: u64,
    /// More than that, for as long as something else happens: a guest on a busy machine takes its time.
    pub(crate) goes_on: bool,
    /// Tags that every output must have.
    pub(crate) vlans: Vec<Vlan>,
    /// How many outputs, from the first, the source waits for when too much is under way.
    pub(crate) awaited: usize,
}

impl Case {
    /// An ordinary case.
    pub(crate) fn new(
        name: &'static str,
        config: &str,
        input: &'static str,
        streams: Vec<Through>,
        links: &[(&'static str, bool)],
    ) -> Self {
        let (config, links) = (config.to_owned(), links.to_vec());
        Self {
            name,
            config,
            input,
            streams,
            links,
            rate: RATE,
            frames: FRAMES,
            goes_on: false,
            vlans: Vec::new(),
            awaited: usize::MAX,
        }
    }
}

/// A case under way.
#[derive(Debug)]
pub(crate) struct Playing {
    before: Calls,
    source: Source,
    sinks: Vec<Sink>,
    /// One for each output of each stream, in their order.
    pub(crate) ledgers: Vec<SharedLedger>,
    awaited: usize,
    /// Frames of each stream, where more are sent until the case ends.
    at_least: Option<u64>,
}

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) report: Report,
    pub(crate) ledgers: Vec<SharedLedger>,
    pub(crate) calls: Calls,
}

/// Starts mcr and the streams of a case.
pub(crate) fn begin(guest: &mut Guest, case: &Case) -> Result<Playing> {
    let before = Calls::so_far(guest)?;
    mcr::start(guest, &case.config)?;
    let mut flows: BTreeMap<&str, Vec<Flow>> = BTreeMap::new();
    let mut ledgers = Vec::new();
    for (number, stream) in (0..).zip(&case.streams) {
        for (link, to) in &stream.outputs {
            let ledger = Ledger::shared(&format!("{}, stream {number} at {link}", case.name), number);
            flows.entry(link).or_default().push(Flow::new(to.parse()?, &ledger).vlans(&case.vlans));
            ledgers.push(ledger);
        }
    }
    let sinks = flows.into_iter().map(|(link, flows)| guest.wire(link)?.sink(flows)).collect::<Result<_>>()?;
    let streams = (0..).zip(&case.streams).map(|(number, stream)| stream.stream(number)).collect::<Result<Vec<_>>>()?;
    let each = streams.len() as u64;
    let awaited = case.awaited.min(ledgers.len());
    let frames = case.frames / each;
    let load = Load::new(streams).rate(case.rate / each).packets(if case.goes_on { MOST * frames } else { frames });
    let load = load.window(UNDER_WAY / each, &ledgers[..awaited]);
    let source = guest.wire(case.input)?.source(load)?;
    let at_least = case.goes_on.then_some(frames);
    Ok(Playing { before, source, sinks, ledgers, awaited, at_least })
}

/// Ends a source that has sent so many frames of its first stream, or waits until it has.
fn enough(source: Source, frames: u64) -> Result<bench::source::Report> {
    while source.sent(0) < frames && !source.is_finished() {
        thread::sleep(Duration::from_millis(10));
    }
    source.stop()
}

impl Playing {
    /// Waits until all was sent, ends mcr and adds up.
    pub(crate) fn finish(self, guest: &mut Guest) -> Result<Played> {
        let Self { before, source, sinks, ledgers, awaited, at_least } = self;
        match at_least {
            Some(frames) => enough(source, frames)?,
            None => source.finish()?,
        }
        .enter(&ledgers);
        // What is not awaited need not be complete.
        if !wait_for_tail(&ledgers[..awaited], TAIL) || awaited < ledgers.len() {
            for sink in &sinks {
                sink.settle(SILENCE, TAIL);
            }
        }
        let report = mcr::stop(guest)?;
        for sink in sinks {
            sink.stop()?.check()?;
        }
        guest.rest()?;
        let calls = Calls::so_far(guest)?.since(&before);
        Ok(Played { report, ledgers, calls })
    }
}

/// Plays an ordinary case: nothing is lost.
pub(crate) fn play(guest: &mut Guest, case: &Case) -> Result<Played> {
    play_with(guest, case, 0, |_| Ok(()))
}

/// Plays a case in which something is done while frames flow. So many frames may be lost, if mcr counts them.
pub(crate) fn play_with(
    guest: &mut Guest,
    case: &Case,
    most_drops: u64,
    meanwhile: impl FnOnce(&mut Guest) -> Result<()>,
) -> Result<Played> {
    let run = |guest: &mut Guest| {
        let playing = begin(guest, case)?;
        meanwhile(guest)?;
        let played = match playing.finish(guest) {
            Ok(played) => played,
            Err(error) => return Err(anyhow::anyhow!("{error:#}\n{}", mcr::seen(guest)).context(error)),
        };
        let judged = played.judge(case, most_drops);
        let log = if judged.is_err() { mcr::log(guest)? } else { String::new() };
        judged.with_context(|| format!("mcr counted: {}\nand said:\n{log}", played.report.0))?;
        Ok(played)
    };
    let played = run(guest);
    if played.is_err() {
        mcr::end(guest)?;
        guest.rest()?;
    }
    played
}

impl Played {
    /// Everything arrived once and right, but for at most so many frames that mcr itself counted as dropped; each link
    /// had its mode, and no frame of memory leaked.
    pub(crate) fn judge(&self, case: &Case, most_drops: u64) -> Result<()> {
        self.judge_but_for(case, most_drops, 0)
    }

    /// The same where so many of what was dropped were of no stream of this case.
    pub(crate) fn judge_but_for(&self, case: &Case, most_drops: u64, others: u64) -> Result<()> {
        self.modes(case)?;
        let dropped: u64 = self.report.all_dropped(1).values().sum::<u64>() + self.report.lost_around_lanes();
        let dropped = dropped.saturating_sub(others);
        ensure!(dropped <= most_drops, "{dropped} frames were dropped where at most {most_drops} may be");
        ensure!(self.lost() == dropped, "{} frames are missing where {dropped} drops are counted", self.lost());
        for ledger in &self.ledgers {
            let ledger = lock(ledger);
            ledger.check(ledger.lost())?;
        }
        self.memory()?;
        self.copies(case)
    }

    /// XDP_OPTIONS after the bind, as mcr reports it for each socket.
    pub(crate) fn modes(&self, case: &Case) -> Result<()> {
        let sockets = self.report.0["sockets"].as_array().context("no sockets in the counters")?;
        for (link, zero_copy) in &case.links {
            let mut of_link = sockets.iter().filter(|socket| socket["link"] == *link).peekable();
            ensure!(of_link.peek().is_some(), "no socket on {link}");
            let is_right = of_link.all(|socket| socket["zero_copy"] == *zero_copy);
            ensure!(is_right, "{link} must {}be zero-copy", if *zero_copy { "" } else { "not " });
        }
        Ok(())
    }

    /// Every frame of memory is somebody's: in the pool, or with the kernel for packets to come.
    pub(crate) fn memory(&self) -> Result<()> {
        let lanes = self.report.0["lanes"].as_array().context("no lanes in the counters")?;
        let frames: u64 = lanes.iter().filter_map(|lane| lane["frames"].as_u64()).sum();
        let [free, fill, transmit, lost] = ["free", "fill", "transmit", "lost"].map(|owner| self.report.frames(owner));
        let whole = frames > 0 && lost == 0 && transmit == 0 && free + fill == frames;
        ensure!(whole, "of {frames} frames {free} are free, {fill} filled, {transmit} under way, {lost} lost");
        Ok(())
    }

    /// Where the kernel tells: it copied nothing where all is zero-copy, and something where a link copies.
    pub(crate) fn copies(&self, case: &Case) -> Result<()> {
        let without = case.links.iter().all(|(_, zero_copy)| *zero_copy);
        let calls = &self.calls;
        ensure!(!calls.are_told() || (calls.copying() == 0) == without, "the kernel copied otherwise: {calls:?}");
        ensure!(!calls.are_told() || !without || calls.handing_over() > 0, "the kernel handed nothing over: {calls:?}");
        Ok(())
    }

    /// Each lane has relayed something, and they are two.
    pub(crate) fn both_lanes(&self) -> Result<()> {
        let lanes = self.report.0["lanes"].as_array().context("no lanes in the counters")?;
        let received: Vec<u64> = lanes.iter().filter_map(|lane| lane["counters"]["received"].as_u64()).collect();
        ensure!(received.len() == 2 && received.iter().all(|n| *n > 0), "the lanes received {received:?}");
        Ok(())
    }

    /// Frames that came in, counted once for each output.
    pub(crate) fn sent(&self) -> u64 {
        self.ledgers.iter().map(|ledger| lock(ledger).sent()).sum()
    }

    /// Frames that are missing.
    pub(crate) fn lost(&self) -> u64 {
        self.ledgers.iter().map(|ledger| lock(ledger).lost()).sum()
    }
}
