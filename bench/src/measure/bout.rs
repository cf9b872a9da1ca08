//! One contestant's turn: started, measured, ended.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::account::{Account, processor_time};
use super::contestant::{Contestant, Drive, Programs, Running};
use super::gauge::{Arrived, Gauge};
use super::generator::{Generator, Made};
use super::results::{Load, Loss};
use super::scenario::Scenario;
use super::search::Search;
use super::stage::Stage;
use crate::clock::monotonic_ns;

/// A link that shows no packet for this long has none under way.
const QUIET: Duration = Duration::from_millis(40);
/// Far above what any relay reaches over its rate under overload.
const HEADROOM: f64 = 1.25;

/// How long things are measured.
#[derive(Clone, Debug)]
pub struct Lengths {
    /// More than a relay can take.
    pub overload: Duration,
    /// A trial of the search.
    pub trial: Duration,
    /// A load.
    pub load: Duration,
    /// Nothing.
    pub idle: Duration,
    /// Which loads, in per cent of the highest rate.
    pub loads: Vec<u8>,
}

/// What came of a turn.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The highest rate at which next to nothing is lost, packets per second in.
    pub rate: Option<f64>,
    /// Packets per second out under overload.
    pub overload: f64,
    /// At each load.
    pub loads: Vec<Load>,
    /// Its memory.
    pub memory_kib: Option<u64>,
    /// Its processor time when nothing comes, in per cent of a core.
    pub idle_percent: Option<f64>,
    /// What was lost, by counters.
    pub losses: Vec<Loss>,
}

/// Stage, generator and gauge of a scenario.
#[derive(Debug)]
pub struct Arena<'a> {
    scenario: &'a Scenario,
    stage: &'a Stage,
    generator: Generator<'a>,
    gauge: Gauge,
}

/// A run of packets and what became of them.
struct Sent {
    made: Made,
    /// Packets at the sinks while the generator ran.
    in_time: u64,
    /// The share that was lost, that of the generator's own link not counted.
    lost: f64,
}

impl<'a> Arena<'a> {
    /// Gets everything ready on a stage.
    pub fn new(stage: &'a Stage, scenario: &'a Scenario) -> Result<Self> {
        Ok(Self { scenario, stage, generator: Generator::new(stage, scenario)?, gauge: Gauge::new(stage)? })
    }

    /// Bytes of a frame on the way in, without the Ethernet checksum.
    pub fn frame_bytes(&self) -> usize {
        self.generator.frame_bytes()
    }

    /// A contestant's turn.
    pub fn turn(&mut self, contestant: &Contestant, programs: &Programs, lengths: &Lengths) -> Result<Outcome> {
        let running = contestant.start(programs, self.stage, self.scenario)?;
        let mut outcome = Outcome::default();
        if !running.pids.is_empty() {
            // What the start left to do is done by then.
            sleep(Duration::from_millis(300));
            outcome.memory_kib = Some(super::account::memory_kib(&running.pids)?);
            outcome.idle_percent = Some(idle(&running.pids, lengths.idle)?);
        }
        if running.drive == Drive::Sends {
            outcome.overload = self.listen(lengths.overload)?;
            outcome.losses = (running.end)()?;
            return Ok(outcome);
        }
        let mut account = Account::open(self.stage, self.outputs(&running))?;
        let before = self.arrived(&running)?;
        let flood = self.send(&running, &mut account, None, lengths.overload)?;
        outcome.overload = flood.in_time as f64 / flood.made.elapsed.as_secs_f64();
        ensure!(flood.in_time > 0, "not one packet came through: {} does not relay this scenario", contestant.name);
        let most = outcome.overload / self.outputs(&running) as f64 * HEADROOM;
        let rate = self.search(&running, &mut account, most.min(flood.made.rate() * HEADROOM), lengths.trial)?;
        outcome.rate = Some(rate);
        if running.drive == Drive::Relays && rate > 0.0 {
            for percent in &lengths.loads {
                outcome.loads.push(self.load(&running, &mut account, *percent, rate, lengths.load)?);
            }
        }
        let arrived = self.arrived(&running)?.since(before);
        let counted = (running.end)()?;
        outcome.losses = account.close(arrived.packets, counted)?;
        ensure!(arrived.late == 0, "{} packets came twice or out of order from {}", arrived.late, contestant.name);
        Ok(outcome)
    }

    /// How many packets should come of one.
    fn outputs(&self, running: &Running) -> u64 {
        if running.drive == Drive::Relays { self.scenario.outputs.into() } else { 1 }
    }

    fn search(&mut self, running: &Running, account: &mut Account<'_>, most: f64, trial: Duration) -> Result<f64> {
        let mut search = Search::about(most);
        while let Some(rate) = search.next_rate() {
            let sent = self.send(running, account, Some(rate), trial)?;
            search.tried(rate, sent.made.rate(), sent.lost);
        }
        Ok(search.found())
    }

    /// A stream at a share of the highest rate.
    fn load(
        &mut self,
        running: &Running,
        account: &mut Account<'_>,
        percent: u8,
        highest: f64,
        duration: Duration,
    ) -> Result<Load> {
        let before = self.gauge.times()?;
        let core_before = super::account::core_time()?;
        let sent = self.send(running, account, Some(highest * f64::from(percent) / 100.0), duration)?;
        let core = super::account::core_time()? - core_before;
        let (latency, jitter) = self.gauge.times()?.since(&before)?;
        let Made { packets, elapsed, spare } = sent.made;
        let per_packet = |time: Duration| time.as_nanos() as f64 / packets.max(1) as f64;
        let receive_ns = (per_packet(elapsed.saturating_sub(spare)) - self.generator.packet_ns()).max(0.0);
        Ok(Load { percent, rate: sent.made.rate(), latency, jitter, core_ns: per_packet(core), receive_ns })
    }

    fn send(
        &mut self,
        running: &Running,
        account: &mut Account<'_>,
        rate: Option<f64>,
        duration: Duration,
    ) -> Result<Sent> {
        let before = self.arrived(running)?;
        let refused_before = account.refused_by_link()?;
        let made = self.generator.send(rate, duration)?;
        let in_time = self.arrived(running)?.since(before).packets;
        let arrived = self.settled(running)?.since(before).packets;
        let refused = account.refused_by_link()? - refused_before;
        account.offered(made.packets);
        let due = (made.packets - refused.min(made.packets)) * self.outputs(running);
        Ok(Sent { made, in_time, lost: due.saturating_sub(arrived) as f64 / due.max(1) as f64 })
    }

    /// What has arrived when no packet is under way any more.
    fn settled(&self, running: &Running) -> Result<Arrived> {
        let mut last = self.arrived(running)?;
        for _ in 0..250 {
            sleep(QUIET);
            let now = self.arrived(running)?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
        anyhow::bail!("packets still arrive ten seconds after the generator has stopped")
    }

    /// What has arrived: at the sinks, or as the contestant itself counts.
    fn arrived(&self, running: &Running) -> Result<Arrived> {
        match &running.received {
            Some(received) => Ok(Arrived { packets: received(), ..Arrived::default() }),
            None => self.gauge.arrived(),
        }
    }

    /// Packets per second from a contestant that makes its own.
    fn listen(&self, duration: Duration) -> Result<f64> {
        sleep(Duration::from_millis(50));
        let (before, from) = (self.gauge.arrived()?, monotonic_ns());
        sleep(duration);
        let (arrived, to) = (self.gauge.arrived()?.since(before), monotonic_ns());
        Ok(arrived.strangers as f64 / Duration::from_nanos(to - from).as_secs_f64())
    }
}

/// Processor time of processes that have nothing to do, in per cent of a core.
fn idle(pids: &[u32], duration: Duration) -> Result<f64> {
    let (before, from) = (processor_time(pids)?, monotonic_ns());
    sleep(duration);
    let used = processor_time(pids)?.checked_sub(before).context("a process has ended")?;
    let elapsed = Duration::from_nanos(monotonic_ns() - from);
    Ok(used.as_secs_f64() / elapsed.as_secs_f64() * 100.0)
}
