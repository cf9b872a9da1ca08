//! Whether packets can flow, from plain evidence. Each check has a stable name and says what is wrong and what to do.
//!
//! An input without packets and a store that is away fail nothing: they are no fault of this node.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

/// A heartbeat older than this is a stalled lane: a lane sleeps a tenth of a second at most.
pub const STALLED_NS: u64 = 1_000_000_000;
/// Control comes round several times a second. When its last turn, or its last look at what the kernel holds, is older
/// than this, what it says of the node is not to be believed.
pub const STALE_NS: u64 = 5_000_000_000;
/// Ends control and nothing else: systemd starts another, which takes the lanes over, and no packet is lost. Without
/// `--kill-whom=main` the lanes would be killed too.
pub const RENEW_CONTROL: &str = "systemctl kill --kill-whom=main -s KILL mcr";
/// So many things that are wrong are named; the rest is counted.
const NAMED: usize = 4;

/// The names of the checks of health, in the order in which a fault of one explains the next.
pub const CHECKS: [&str; 6] = ["control", "lanes", "program", "maps", "sockets", "config"];
/// The names of the checks that a node must pass besides to be ready.
pub const READY_CHECKS: [&str; 2] = ["role", "pending"];

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

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// How long ago control's loop last came round, in nanoseconds; `None` before the first time.
    pub turned_age: Option<u64>,
    /// How long ago control last looked whether the kernel holds what it should; `None` before the first time.
    pub looked_age: Option<u64>,
    /// What it found wrong then: the name of a check, and the text.
    pub found: Vec<(&'a str, &'a str)>,
    /// The generation in force.
    pub generation: u64,
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// The configuration file.
    pub file: &'a str,
    /// Why the configuration file as it is now is not in force.
    pub refused: Option<&'a str>,
    /// Why the last change could not be carried out.
    pub failed: Option<&'a str>,
}

/// What is known besides of a node that would be ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why this node may not send: it is not the active one.
    pub passive: Option<&'static str>,
    /// What cannot work yet.
    pub pending: Vec<String>,
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its stable name.
    pub name: String,
    /// What is wrong and what to do; empty when all is well.
    pub text: String,
}

impl Check {
    /// Whether all is well.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.text.is_empty()
    }

    fn of(name: &str, wrong: &[String]) -> Self {
        let named = wrong.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
        let text = match wrong.len().saturating_sub(NAMED) {
            0 => named,
            more => format!("{named}; and {more} more"),
        };
        Self { name: name.to_string(), text }
    }
}

/// Whether every one of these checks is passed.
#[must_use]
pub fn is_ok(checks: &[Check]) -> bool {
    checks.iter().all(Check::is_ok)
}

/// Whether packets can flow: every check, failing ones first.
#[must_use]
pub fn health(evidence: &Evidence<'_>) -> Vec<Check> {
    let wrong = |name: &str| match name {
        "control" => control(evidence),
        "lanes" => lanes(evidence),
        "config" => config(evidence),
        _ => Vec::new(),
    };
    let found = |name: &str| {
        evidence
            .found
            .iter()
            .filter(move |(of, _)| *of == name)
            .map(|(_, text)| (*text).to_string())
            .collect::<Vec<_>>()
    };
    let mut checks: Vec<Check> =
        CHECKS.iter().map(|name| Check::of(name, &[wrong(name), found(name)].concat())).collect();
    for (name, _) in &evidence.found {
        // A finding of a check that is not listed is told all the same.
        if !checks.iter().any(|check| check.name == *name) {
            checks.push(Check::of(name, &found(name)));
        }
    }
    failing_first(checks)
}

/// Whether control comes round: all that a supervisor needs to know before it starts a new one.
#[must_use]
pub fn live(evidence: &Evidence<'_>) -> Vec<Check> {
    vec![Check::of("control", &turned(evidence).into_iter().collect::<Vec<_>>())]
}

/// Whether this node is healthy, may send, and has nothing pending: every check, failing ones first.
#[must_use]
pub fn ready(evidence: &Evidence<'_>, standing: &Standing) -> Vec<Check> {
    let mut checks = health(evidence);
    let passive: Vec<String> = standing.passive.iter().map(ToString::to_string).collect();
    checks.push(Check::of("role", &passive));
    checks.push(Check::of("pending", &standing.pending));
    failing_first(checks)
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
        Some(_) => None,
    }
}

fn lanes(evidence: &Evidence<'_>) -> Vec<String> {
    if evidence.lanes.is_empty() {
        return vec!["there is no lane: see the log".to_string()];
    }
    evidence.lanes.iter().filter_map(|lane| lane_fault(lane, evidence.generation)).collect()
}

fn lane_fault(lane: &Lane, in_force: u64) -> Option<String> {
    let Lane { number, alive, heartbeat_age, generation } = lane;
    if !alive {
        return Some(format!("lane {number} is dead and is being started again: see the log for why it ended"));
    }
    if *heartbeat_age > STALLED_NS {
        let age = seconds(*heartbeat_age);
        return Some(format!(
            "lane {number} has not come round for {age}: it is stopped, or its core is taken by something else"
        ));
    }
    // A lane is ahead while a change is on its way: it is in force when every lane has confirmed it.
    (*generation < in_force).then(|| {
        format!("lane {number} runs generation {generation} where {in_force} is in force: {}", renew())
    })
}

fn config(evidence: &Evidence<'_>) -> Vec<String> {
    let file = evidence.file;
    let refused = evidence.refused.map(|why| format!("{file} as it is now is not in force: {why}"));
    let failed = evidence.failed.map(|why| format!("the last change was not applied: {why}"));
    refused.into_iter().chain(failed).collect()
}

fn renew() -> String {
    format!("see the log; another control takes the lanes over without a loss: {RENEW_CONTROL}")
}

fn seconds(ns: u64) -> String {
    format!("{}.{} s", ns / 1_000_000_000, ns / 100_000_000 % 10)
}

#[cfg(test)]
mod tests;
