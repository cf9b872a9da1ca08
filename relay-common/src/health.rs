//! How a node is, from plain evidence. Each check has a stable name, says what is wrong and what to do, and gives one of
//! three verdicts. Only a fault is a reason to let another node send.
//!
//! An input without packets fails nothing: the other node would not have them either.

pub mod away; // while control is away
mod hold_down; // healthy again only after a while
mod share; // how much of it works

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

pub use hold_down::{Held, HoldDown};
pub use share::{Share, Sum, of_relay};

/// A heartbeat older than this is a stalled lane: a lane sleeps a tenth of a second at most. One that died is followed by
/// another within milliseconds, and is missed only when that has not come round by then either.
pub const STALLED_NS: u64 = 1_000_000_000;
/// Control comes round several times a second. When its last turn, or its last look at what the kernel holds, is older
/// than this, what it says of the node is not to be believed.
pub const STALE_NS: u64 = 5_000_000_000;
/// Puts another control in the place of the one that runs, also where that hangs, and no packet is lost.
pub const RENEW_CONTROL: &str = "mcr restart";
/// So many things that are wrong are named; the rest is counted.
pub const NAMED: usize = 4;

/// What a check that fails says of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It cannot carry packets, or nobody knows whether it can: another node is to send.
    Fault,
    /// It carries packets, but is not what it should be: what was asked of it is not in force, or not kept. Another node
    /// has the same file and the same store, and would be no better.
    Drift,
    /// A part of what it should carry waits for a link, a neighbour, an address: how much is left is a share.
    Partial,
}

impl Verdict {
    /// All verdicts, the worst first.
    pub const ALL: [Self; 3] = [Self::Fault, Self::Drift, Self::Partial];

    /// The word in the API, in metrics and in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Drift => "drift",
            Self::Partial => "partial",
        }
    }
}

/// The checks and what each gives when it fails, in the order in which a fault of one explains the next.
pub const CHECKS: [(&str, Verdict); 12] = [
    ("control", Verdict::Fault),
    ("lanes", Verdict::Fault),
    ("program", Verdict::Fault),
    ("maps", Verdict::Fault),
    ("sockets", Verdict::Fault),
    ("hold_down", Verdict::Fault),
    ("config", Verdict::Drift),
    ("change", Verdict::Drift),
    ("state", Verdict::Drift),
    ("http", Verdict::Drift),
    ("reports", Verdict::Drift),
    ("pending", Verdict::Partial),
];
/// The check that a node must pass besides to be ready: whether it is the one to send. It gives none of the verdicts.
pub const ROLE: &str = "role";

/// What is known of one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its number.
    pub number: u32,
    /// Whether its process lives.
    pub alive: bool,
    /// How long ago it last came round, in nanoseconds.
    pub heartbeat_age: u64,
    /// The generation that it runs.
    pub generation: u64,
}

/// What control's worker is at. However long that takes, nothing is wrong while it makes progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work<'a> {
    /// Its job and the step of it.
    pub what: &'a str,
    /// How long ago it last showed a sign of progress, in nanoseconds.
    pub silent: u64,
    /// How long that may be.
    pub patience: u64,
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// How long ago control's loop last came round, in nanoseconds; `None` before the first time.
    pub turned_age: Option<u64>,
    /// What control's worker is at, unless it waits for something to do.
    pub work: Option<Work<'a>>,
    /// How long ago control last looked whether the kernel holds what it should, when its worker had time to look; `None`
    /// before the first time.
    pub looked_age: Option<u64>,
    /// What it found wrong then: the name of a check, and the text.
    pub found: Vec<(&'a str, &'a str)>,
    /// The generation in force.
    pub generation: u64,
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// The configuration file.
    pub file: &'a str,
    /// Why the configuration file as it is now is not in force, though it can be read or not.
    pub refused: Option<&'a str>,
    /// Why what is in force is not what should be: a change failed, and could not be taken back.
    pub torn: Option<&'a str>,
    /// Why the relays of the state file are not in force, or not kept.
    pub damaged: Option<&'a str>,
    /// What of the file's `[http]` cannot be had: nobody is answered there.
    pub http: Vec<&'a str>,
    /// What of it waits.
    pub waiting: Waiting,
    /// Why this node may not send: it is not the active one.
    pub passive: Option<&'static str>,
}

/// What waits for a link, a neighbour or an address, and how much does not: of the whole node, or of the relays that
/// were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How much of the relays works.
    pub relays: Sum,
    /// How much of the links does that they use.
    pub links: Sum,
    /// The first parts that wait.
    pub first: Vec<String>,
    /// How many parts wait.
    pub n: usize,
    /// What was asked for and is no relay: `called "ch1"`, `meant by group=news`.
    pub unknown: Vec<String>,
}

/// What is demanded of a node beyond that it has no fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// How much of its relays must work.
    pub min: Option<Share>,
    /// Whether it must be the one to send.
    pub role: bool,
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its stable name.
    pub name: String,
    /// The verdict that it gives when it fails.
    pub verdict: Option<Verdict>,
    /// What is wrong and what to do; empty when all is well.
    pub text: String,
}

impl Check {
    /// Whether all is well.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.text.is_empty()
    }

    fn of(name: &str, verdict: Option<Verdict>, wrong: &[String], n: usize) -> Self {
        let named = wrong.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
        let text = match n.saturating_sub(NAMED) {
            0 => named,
            more => format!("{named}; and {more} more"),
        };
        Self { name: name.to_string(), verdict, text }
    }

    fn all(name: &str, verdict: Verdict, wrong: &[String]) -> Self {
        Self::of(name, Some(verdict), wrong, wrong.len())
    }
}

/// What came of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Whether the node is what was demanded.
    pub is_ok: bool,
    /// Every check, failing ones first.
    pub checks: Vec<Check>,
}

impl Judgement {
    /// Whether a check that gives this verdict fails.
    #[must_use]
    pub fn gives(&self, verdict: Verdict) -> bool {
        self.checks.iter().any(|check| check.verdict == Some(verdict) && !check.is_ok())
    }
}

/// How a node is that is held down for `hold_ns` after a fault: see [`HoldDown`]. A fault is told at once.
#[must_use]
pub fn judge(evidence: &Evidence<'_>, demand: Demand, hold_down: &mut HoldDown, hold_ns: u64, now: u64) -> Judgement {
    let mut checks: Vec<Check> = CHECKS.iter().map(|(name, verdict)| check(name, *verdict, evidence)).collect();
    for (name, _) in &evidence.found {
        // A finding of a check that is not listed is told all the same.
        if !checks.iter().any(|check| check.name == *name) {
            checks.push(check(name, Verdict::Fault, evidence));
        }
    }
    let faults: Vec<&str> = checks
        .iter()
        .filter(|check| check.verdict == Some(Verdict::Fault) && !check.is_ok())
        .map(|check| check.name.as_str())
        .collect();
    // That a control has just begun is no fault that was there.
    if !faults.is_empty() && evidence.turned_age.is_some() && evidence.looked_age.is_some() {
        hold_down.fault(faults.join(", "), now);
    } else if faults.is_empty()
        && let Some(held) = hold_down.held(hold_ns, now)
        && let Some(check) = checks.iter_mut().find(|check| check.name == "hold_down")
    {
        check.text = held_down(&held);
    }
    if demand.role {
        let passive: Vec<String> = evidence.passive.iter().map(ToString::to_string).collect();
        checks.push(Check::of(ROLE, None, &passive, passive.len()));
    }
    let enough =
        demand.min.is_none_or(|min| evidence.waiting.relays.share >= min && evidence.waiting.unknown.is_empty());
    let mut judgement = Judgement { is_ok: enough, checks: failing_first(checks) };
    let may_send = !demand.role || evidence.passive.is_none();
    judgement.is_ok &= may_send && !judgement.gives(Verdict::Fault);
    judgement
}

/// Whether control comes round and makes progress: all that a supervisor needs to know before it starts a new one.
#[must_use]
pub fn live(evidence: &Evidence<'_>) -> Judgement {
    let turned: Vec<String> = turned(evidence).into_iter().collect();
    Judgement { is_ok: turned.is_empty(), checks: vec![Check::all("control", Verdict::Fault, &turned)] }
}

fn check(name: &str, verdict: Verdict, evidence: &Evidence<'_>) -> Check {
    let mut wrong = match name {
        "control" => control(evidence),
        "lanes" => lanes(evidence),
        "config" => evidence
            .refused
            .map(|why| format!("{} as it is now is not in force: {why}", evidence.file))
            .into_iter()
            .collect(),
        "change" => {
            evidence.torn.map(|why| format!("the last change is in force by half: {why}")).into_iter().collect()
        }
        "state" => evidence.damaged.map(ToString::to_string).into_iter().collect(),
        "http" => evidence.http.iter().map(ToString::to_string).collect(),
        "pending" => return pending(&evidence.waiting),
        _ => Vec::new(),
    };
    let found = evidence.found.iter().filter(|(of, _)| *of == name);
    wrong.extend(found.map(|(_, text)| (*text).to_string()));
    Check::all(name, verdict, &wrong)
}

fn pending(waiting: &Waiting) -> Check {
    let unknown = waiting.unknown.iter().map(|wanted| format!("no relay is {wanted}: see mcr relay ls --labels"));
    let mut wrong: Vec<String> = unknown.chain(waiting.first.iter().cloned()).collect();
    let n = waiting.n + waiting.unknown.len();
    let Sum { share, of, .. } = waiting.relays;
    if share < Share::ALL {
        // Who reads no further knows how bad it is.
        let relays = if of == 1 { "relay" } else { "relays" };
        if let Some(first) = wrong.first_mut() {
            *first = format!("{share} of {of} {relays} work: {first}");
        }
    }
    Check::of("pending", Some(Verdict::Partial), &wrong, n)
}

fn held_down(held: &Held) -> String {
    let Held { for_ns, age_ns, what } = held;
    // What is left of a second is still to come.
    let rest = for_ns.div_ceil(1_000_000_000);
    format!("held down for {rest} s more: {what} failed until {} ago; packets can flow", seconds(*age_ns))
}

fn failing_first(mut checks: Vec<Check>) -> Vec<Check> {
    checks.sort_by_key(Check::is_ok);
    checks
}

fn control(evidence: &Evidence<'_>) -> Vec<String> {
    let looked = match evidence.looked_age {
        None => Some("what the kernel holds was not looked at yet: ask again in a second".to_string()),
        Some(age) if age > STALE_NS => {
            Some(format!("what the kernel holds was last looked at {} ago: {}", seconds(age), renew()))
        }
        Some(_) => None,
    };
    // A loop that hangs looks at nothing either: one fault, told once.
    turned(evidence).or(looked).into_iter().collect()
}

fn turned(evidence: &Evidence<'_>) -> Option<String> {
    match evidence.turned_age {
        None => Some("control has not come round yet: ask again in a second".to_string()),
        Some(age) if age > STALE_NS => {
            Some(format!("control has not come round for {}: it hangs: {}", seconds(age), renew()))
        }
        Some(_) => stuck(evidence.work?),
    }
}

fn stuck(Work { what, silent, patience }: Work<'_>) -> Option<String> {
    (silent > patience).then(|| {
        let silent = seconds(silent);
        format!("control makes no progress for {silent}: {what}: {}", renew())
    })
}

fn lanes(evidence: &Evidence<'_>) -> Vec<String> {
    if evidence.lanes.is_empty() {
        return vec!["there is no lane: see the log".to_string()];
    }
    evidence.lanes.iter().filter_map(|lane| lane_fault(lane, evidence.generation)).collect()
}

fn lane_fault(lane: &Lane, in_force: u64) -> Option<String> {
    let Lane { number, alive, heartbeat_age, generation } = lane;
    let age = seconds(*heartbeat_age);
    match (alive, *heartbeat_age > STALLED_NS) {
        (false, true) => {
            return Some(format!(
                "lane {number} is dead for {age}, and none follows it yet: see the log for why it ended"
            ));
        }
        (true, true) => {
            return Some(format!(
                "lane {number} has not come round for {age}: it is stopped, or its core is taken by something else"
            ));
        }
        (false, false) => return None,
        (true, false) => {}
    }
    // A lane is ahead while a change is on its way: it is in force when every lane has confirmed it.
    (*generation < in_force)
        .then(|| format!("lane {number} runs generation {generation} where {in_force} is in force: {}", renew()))
}

fn renew() -> String {
    format!("see the log; another control takes the lanes over without a loss: {RENEW_CONTROL}")
}

fn seconds(ns: u64) -> String {
    format!("{}.{} s", ns / 1_000_000_000, ns / 100_000_000 % 10)
}

#[cfg(test)]
mod tests;
