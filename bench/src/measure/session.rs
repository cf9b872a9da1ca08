//! A whole run of the bench: every scenario, every contestant in turn, several rounds.

use std::time::Duration;

use anyhow::{Context, Result};

use super::account::{COUNTED_TWICE, UNCOUNTED};
use super::bout::{Arena, Lengths, Outcome};
use super::contestant::{Contestant, Programs};
use super::results::{ContestantResult, Kind, Load, Loss, Percentiles, ScenarioResult, Spread};
use super::scenario::Scenario;
use super::stage::Stage;
use crate::clock::monotonic_ns;

/// What is to be done.
#[derive(Debug)]
pub struct Session {
    /// Scenarios, each with who takes part.
    pub scenarios: Vec<(Scenario, Vec<Contestant>)>,
    /// How often each contestant has its turn.
    pub rounds: usize,
    /// How long things are measured.
    pub lengths: Lengths,
    /// Their programs.
    pub programs: Programs,
}

/// Trials that a search takes, about.
const TRIALS: u32 = 10;
/// Starting, ending, and waiting until links are quiet.
const AROUND: Duration = Duration::from_millis(900);

impl Session {
    /// How long it will take, about.
    pub fn estimate(&self) -> Duration {
        let Lengths { overload, trial, load, idle, loads } = &self.lengths;
        let pause = Duration::from_millis(100);
        let loads = u32::try_from(loads.len()).unwrap_or(0);
        let turn = AROUND + *idle + *overload + TRIALS * (*trial + pause) + loads * (*load + pause);
        turn * u32::try_from(self.turns()).unwrap_or(u32::MAX)
    }

    fn turns(&self) -> usize {
        self.scenarios.iter().map(|(_, contestants)| contestants.len()).sum::<usize>() * self.rounds
    }

    /// Runs it; `tell` hears a line for each turn. Returns the results, and what went wrong that should not have.
    pub fn run(&self, tell: &mut dyn FnMut(&str)) -> Result<(Vec<ScenarioResult>, Vec<String>)> {
        let (mut results, mut faults) = (Vec::new(), Vec::new());
        let mut progress = Progress { done: 0, turns: self.turns(), started_ns: monotonic_ns(), tell };
        for (scenario, contestants) in &self.scenarios {
            let result = self.scenario(scenario, contestants, &mut progress, &mut faults);
            results.push(result.with_context(|| format!("scenario {}", scenario.name))?);
        }
        Ok((results, faults))
    }

    fn scenario(
        &self,
        scenario: &Scenario,
        contestants: &[Contestant],
        progress: &mut Progress<'_>,
        faults: &mut Vec<String>,
    ) -> Result<ScenarioResult> {
        let stage = Stage::new(scenario)?;
        let mut arena = Arena::new(&stage, scenario)?;
        let mut turns: Vec<Turns> = contestants.iter().map(|_| Ok(Vec::new())).collect();
        // In turn, so that whatever else the machine does meets all of them.
        for round in 0..self.rounds {
            for at in 0..contestants.len() {
                // Nobody is always the first, or always behind the same one.
                let at = (at + round) % contestants.len();
                let (contestant, turns) = (&contestants[at], &mut turns[at]);
                let Ok(outcomes) = turns else {
                    progress.skip();
                    continue;
                };
                let mut turn = || arena.turn(contestant, &self.programs, &self.lengths);
                // Once more: a machine that stumbles is no reason to leave somebody out.
                match turn().or_else(|_| turn()) {
                    Ok(outcome) => {
                        progress.tell(&scenario.name, &contestant.name, &told(&outcome));
                        outcomes.push(outcome);
                    }
                    Err(error) => {
                        progress.tell(&scenario.name, &contestant.name, &format!("has no figure: {error:#}"));
                        if contestant.kind == Kind::Mcr {
                            faults.push(format!("{}: {} failed: {error:#}", scenario.name, contestant.name));
                        }
                        // What it did in earlier rounds counts.
                        if outcomes.is_empty() {
                            *turns = Err(format!("{error:#}"));
                        }
                    }
                }
            }
        }
        let results: Vec<_> =
            contestants.iter().zip(turns).map(|(contestant, turns)| summed(contestant, turns)).collect();
        faults.extend(results.iter().filter_map(|result| fault(scenario, result)));
        Ok(ScenarioResult {
            name: scenario.name.clone(),
            about: scenario.about.clone(),
            relays: scenario.relays,
            outputs: scenario.outputs,
            links: scenario.links,
            payload: scenario.payload,
            frame: u16::try_from(arena.frame_bytes())?,
            contestants: results,
        })
    }
}

/// What came of a contestant's turns, or why it takes part no longer.
type Turns = Result<Vec<Outcome>, String>;

/// What must not happen to MCR: to lose a packet without a counter, or to count one twice.
fn fault(scenario: &Scenario, result: &ContestantResult) -> Option<String> {
    let (scenario, name) = (&scenario.name, &result.name);
    if result.kind != Kind::Mcr {
        return None;
    }
    let of = |name: &str| result.losses.iter().find(|loss| loss.name == name).map(|loss| loss.packets);
    if let Some(packets) = of(COUNTED_TWICE) {
        return Some(format!("{scenario}: {packets} packets more are counted as lost by {name} than are missing"));
    }
    let packets = of(UNCOUNTED)?;
    Some(format!("{scenario}: of {packets} packets that {name} lost no counter says what became"))
}

/// A turn in a few words.
fn told(outcome: &Outcome) -> String {
    let mega = |rate: f64| format!("{:.3} Mpps", rate / 1e6);
    let rate = outcome.rate.map_or_else(String::new, |rate| format!("{} in, ", mega(rate)));
    let latency = outcome.loads.iter().find(|load| load.percent == 50);
    let latency =
        latency.map_or_else(String::new, |load| format!(", p99 {:.0} µs at half of it", load.latency.p99 / 1e3));
    format!("{rate}{} out when flooded{latency}", mega(outcome.overload))
}

/// A contestant's rounds as one result.
fn summed(contestant: &Contestant, turns: Turns) -> ContestantResult {
    let Contestant { name, about, kind, .. } = contestant;
    let (turns, skipped) = match turns {
        Ok(turns) => (turns, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let spread = |value: fn(&Outcome) -> Option<f64>| {
        let values: Vec<f64> = turns.iter().filter_map(value).collect();
        (!values.is_empty()).then_some(Spread { values })
    };
    let memory = spread(|turn| turn.memory_kib.map(|kib| kib as f64));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "was a whole number before")]
    let memory_kib = memory.map(|kib| kib.median() as u64);
    ContestantResult {
        name: name.clone(),
        about: about.clone(),
        kind: *kind,
        skipped,
        rate: spread(|turn| turn.rate),
        overload: spread(|turn| Some(turn.overload)),
        loads: loads(&turns),
        memory_kib,
        idle_percent: spread(|turn| turn.idle_percent).map(|idle| idle.median()),
        losses: losses(&turns),
    }
}

/// Of each load the median of each figure.
fn loads(turns: &[Outcome]) -> Vec<Load> {
    let Some(first) = turns.first() else { return Vec::new() };
    let of = |percent: u8| turns.iter().flat_map(|turn| &turn.loads).filter(move |load| load.percent == percent);
    let median =
        |percent: u8, value: &dyn Fn(&Load) -> f64| Spread { values: of(percent).map(value).collect() }.median();
    let percentiles = |percent: u8, which: fn(&Load) -> &Percentiles| Percentiles {
        p50: median(percent, &|load| which(load).p50),
        p90: median(percent, &|load| which(load).p90),
        p99: median(percent, &|load| which(load).p99),
        p999: median(percent, &|load| which(load).p999),
        max: median(percent, &|load| which(load).max),
    };
    let load = |percent: u8| Load {
        percent,
        rate: median(percent, &|load| load.rate),
        latency: percentiles(percent, |load| &load.latency),
        jitter: percentiles(percent, |load| &load.jitter),
        core_ns: median(percent, &|load| load.core_ns),
        receive_ns: median_of(of(percent).filter_map(|load| load.receive_ns)),
    };
    first.loads.iter().map(|first| load(first.percent)).collect()
}

fn median_of(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| Spread { values }.median())
}

fn losses(turns: &[Outcome]) -> Vec<Loss> {
    let mut sums: Vec<Loss> = Vec::new();
    for loss in turns.iter().flat_map(|turn| &turn.losses) {
        match sums.iter_mut().find(|sum| sum.name == loss.name) {
            Some(sum) => sum.packets += loss.packets,
            None => sums.push(loss.clone()),
        }
    }
    sums
}

/// How far it is.
struct Progress<'a> {
    done: usize,
    turns: usize,
    started_ns: u64,
    tell: &'a mut dyn FnMut(&str),
}

impl Progress<'_> {
    fn skip(&mut self) {
        self.done += 1;
    }

    fn tell(&mut self, scenario: &str, contestant: &str, text: &str) {
        self.done += 1;
        let elapsed = Duration::from_nanos(monotonic_ns() - self.started_ns);
        let left = elapsed.mul_f64((self.turns - self.done) as f64 / self.done as f64);
        let (done, turns, minutes) = (self.done, self.turns, left.as_secs().div_ceil(60));
        (self.tell)(&format!("[{done}/{turns}, {minutes} min left] {scenario:<14} {contestant:<13} {text}"));
    }
}
