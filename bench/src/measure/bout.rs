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
use super::search::{MOST_LOST, Search};
use super::stage::Stage;
use crate::clock::monotonic_ns;

/// How often it is looked whether all packets have arrived.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Links that show no packet for so many looks have none under way.
const QUIET_LOOKS: u32 = 10;
/// What a relay may hold back at the end of a trial: more, and it only buffers what it cannot relay.
const MOST_BEHIND: Duration = Duration::from_millis(10);
/// Packets that are under way at any rate: a batch at each of the places where packets are batched.
const UNDER_WAY: u64 = 256;
/// From here to there in a run the flow is steady: rates and core time are taken in between.
const STEADY: (f64, f64) = (0.2, 0.9);
/// A generator less busy than this says too little of what receiving takes.
const BUSY_ENOUGH: f64 = 0.2;
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
    /// Packets per second that the generator made and its link took.
    offered: f64,
    /// Packets per second that came out in the steady part.
    out: f64,
    /// Time that the relay's core was busy in the steady part, per packet in.
    core_ns: f64,
    /// The share that was lost, that of the generator's own link not counted.
    lost: f64,
    /// Whether more was held back near the end than a moment's packets.
    is_behind: bool,
}

impl Sent {
    fn held(&self) -> bool {
        self.lost <= MOST_LOST && !self.is_behind
    }
}

/// What was true at a moment of a run.
struct Moment {
    at_ns: u64,
    made: u64,
    arrived: u64,
    core: Duration,
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
        outcome.overload = flood.out;
        ensure!(flood.out > 0.0, "not one packet came through: {} does not relay this scenario", contestant.name);
        let most = outcome.overload / self.outputs(&running) as f64 * HEADROOM;
        let rate = self.search(&running, &mut account, most.min(flood.offered * HEADROOM), lengths.trial)?;
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
            search.tried(rate, sent.offered, sent.held());
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
        let sent = self.send(running, account, Some(highest * f64::from(percent) / 100.0), duration)?;
        let (latency, jitter) = self.gauge.times()?.since(&before)?;
        let Sent { made, offered, core_ns, .. } = sent;
        let busy_ns = made.busy() * made.elapsed.as_nanos() as f64 / made.packets.max(1) as f64;
        let receive_ns = (made.busy() > BUSY_ENOUGH).then(|| busy_ns - self.generator.packet_ns());
        Ok(Load { percent, rate: offered, latency, jitter, core_ns, receive_ns })
    }

    fn send(
        &mut self,
        running: &Running,
        account: &mut Account<'_>,
        rate: Option<f64>,
        duration: Duration,
    ) -> Result<Sent> {
        let before = self.arrived(running)?.packets;
        let refused_before = account.refused_by_link()?;
        let sending = self.generator.start(rate, duration)?;
        sleep(duration.mul_f64(STEADY.0));
        let early = self.moment(running)?;
        sleep(duration.mul_f64(STEADY.1 - STEADY.0));
        let late = self.moment(running)?;
        let made = self.generator.finish(sending)?;
        let refused = account.refused_by_link()? - refused_before;
        account.offered(made.packets);
        let (taken, outputs) = (made.packets.saturating_sub(refused), self.outputs(running));
        let arrived = self.settled(running, before + taken * outputs)? - before;
        let seconds = Duration::from_nanos(late.at_ns - early.at_ns).as_secs_f64();
        let core_ns = (late.core - early.core).as_nanos() as f64 / (late.made - early.made).max(1) as f64;
        let offered = taken as f64 / made.elapsed.as_secs_f64();
        // What the generator's link refused may have been refused later than that moment.
        let through = (late.arrived - before) / outputs;
        let due = taken * outputs;
        Ok(Sent {
            made,
            offered,
            out: (late.arrived - early.arrived) as f64 / seconds,
            core_ns,
            lost: due.saturating_sub(arrived) as f64 / due.max(1) as f64,
            is_behind: is_behind(late.made.saturating_sub(refused), through, offered),
        })
    }

    fn moment(&self, running: &Running) -> Result<Moment> {
        let (at_ns, made) = (monotonic_ns(), self.generator.made()?);
        Ok(Moment { at_ns, made, arrived: self.arrived(running)?.packets, core: super::account::core_time()? })
    }

    /// How many packets have arrived when all have, or when no more come.
    fn settled(&self, running: &Running, expected: u64) -> Result<u64> {
        let (mut last, mut quiet) = (self.arrived(running)?.packets, 0);
        for _ in 0..1000 {
            if last >= expected || quiet >= QUIET_LOOKS {
                return Ok(last);
            }
            sleep(LOOK_EVERY);
            let now = self.arrived(running)?.packets;
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
        anyhow::bail!("packets still arrive twenty seconds after the generator has stopped")
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

/// Whether a relay to which so many packets have come holds back more than a moment's packets at that rate.
fn is_behind(came: u64, through: u64, rate: f64) -> bool {
    came.saturating_sub(through) as f64 > UNDER_WAY as f64 + rate * MOST_BEHIND.as_secs_f64()
}

/// Processor time of processes that have nothing to do, in per cent of a core.
fn idle(pids: &[u32], duration: Duration) -> Result<f64> {
    let (before, from) = (processor_time(pids)?, monotonic_ns());
    sleep(duration);
    let used = processor_time(pids)?.checked_sub(before).context("a process has ended")?;
    let elapsed = Duration::from_nanos(monotonic_ns() - from);
    Ok(used.as_secs_f64() / elapsed.as_secs_f64() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::is_behind;

    #[test]
    fn what_fills_a_buffer_has_not_got_through() {
        // 400 ms at 300 kpps: a relay of 280 kpps puts 8000 packets aside, and would send them later.
        assert!(is_behind(120_000, 112_000, 300e3));
        assert!(!is_behind(120_000, 119_000, 300e3), "a few milliseconds' packets are under way");
        assert!(!is_behind(1_000, 800, 2e3), "and a few batches at any rate");
        assert!(!is_behind(1_000, 1_010, 2e3), "counters are not read at one instant");
    }
}
