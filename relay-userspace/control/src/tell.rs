//! What control tells of what it did and saw: each thing is an event with a stable name.

use super::desk::{Applied, Refusal};
use super::differs::Differs;
use super::memo::Memo;
use super::node::Node;
use super::problem::{Problem, ProgramFault};
use super::stalls::Stall;
use crate::events::{Event, EventLog, Kind, Level};
use crate::link::event::LinkEvent;
use crate::link::neighbour::Learned;
use relay_common::facts::Facts;
use relay_common::health::Verdict;
use relay_common::table::{Pending, pending_changes};
use relay_common::written::Line;
use relay_config::model::{Check, Health};
use relay_config::{ConfigError, Errors};
use std::path::Path;
use std::sync::Arc;

/// Whether a notice of the kernel can change the table.
pub fn matters(node: &mut Node, event: &LinkEvent) -> bool {
    match event {
        LinkEvent::NeighbourChanged { .. } => node.learn(event) != Learned::Nothing,
        LinkEvent::LinkChanged { .. }
        | LinkEvent::AddressChanged { .. }
        | LinkEvent::RouteChanged
        | LinkEvent::Lost => {
            node.doubt_routes();
            true
        }
    }
}

/// Something cannot work yet.
#[must_use]
pub fn pending(pending: &Pending) -> Event {
    Event::new(Kind::PartPending, format!("pending: {pending}"))
        .with("relay", pending.relay.clone())
        .with("part", pending.part.to_string())
        .with("reason", pending.reason.name())
}

fn works(pending: &Pending) -> Event {
    let text = format!("relay \"{}\" {}: no longer pending", pending.relay, pending.part);
    Event::new(Kind::PartWorks, text).with("relay", pending.relay.clone()).with("part", pending.part.to_string())
}

/// What has become of links, inputs and outputs since they were looked at before.
pub fn links(log: &EventLog, (pending_before, facts_before): &(Arc<Vec<Pending>>, Facts), node: &Node) {
    let (new, again) = pending_changes(pending_before, &node.pending);
    for link in node.plan.links_in_use() {
        let is_well = |facts: &Facts| facts.link(link).is_some_and(|link| link.up && link.carrier);
        let event = match (is_well(facts_before), is_well(&node.facts)) {
            (true, false) => Event::new(Kind::LinkLost, format!("interface {link} is gone, down or without carrier")),
            (false, true) => Event::new(Kind::LinkReturned, format!("interface {link} is back")),
            _ => continue,
        };
        log.record(event.with("link", link));
    }
    new.into_iter().for_each(|one| log.record(pending(one)));
    again.into_iter().for_each(|one| log.record(works(one)));
}

/// The groups of a link are asked for anew.
#[must_use]
pub fn reported(link: &str, groups: usize) -> Event {
    let text = format!("interface {link}: the carrier has returned, {groups} groups are reported to the network");
    Event::new(Kind::LinkReported, text).with("link", link).with("groups", groups)
}

/// What has become of relays.
pub fn relays(log: &EventLog, applied: &Applied) {
    let tell = |kind: Kind, what: &str, names: &[String]| {
        for name in names {
            let event = Event::new(kind, format!("relay \"{name}\" {what}"));
            log.record(event.with("relay", name.clone()).with("generation", applied.generation));
        }
    };
    tell(Kind::RelayCreated, "is new", &applied.created);
    tell(Kind::RelayChanged, "has changed", &applied.changed);
    tell(Kind::RelayRemoved, "is gone", &applied.removed);
}

/// The configuration file is in force.
#[must_use]
pub fn applied(applied: &Applied) -> Event {
    let text = format!("applied, generation {}: {} changes", applied.generation, applied.changes.len());
    let event = Event::new(Kind::ConfigApplied, text).with("generation", applied.generation);
    let event = event.with("changes", applied.changes.len());
    // A file that is read again and again, and is as it was, is no news each time.
    if applied.is_nothing() { event.paced("the configuration file") } else { event }
}

/// The configuration file is not in force.
#[must_use]
pub fn refused(refusal: &Refusal) -> Event {
    let kind = if matches!(refusal, Refusal::Failed(_)) { Kind::ConfigFailed } else { Kind::ConfigRefused };
    let text = format!("the configuration file was not taken, what was in force stays: {refusal}");
    Event::new(kind, text).with("error", refusal.to_string()).paced("the configuration file")
}

/// The configuration file is another than what is in force, and nobody has asked for it.
#[must_use]
pub fn differs(differs: &Differs) -> Event {
    let Differs { relays, displaced, keys } = differs;
    let text = format!("the configuration file differs from what is in force: {}", differs.told());
    let event = Event::new(Kind::ConfigDiffers, text).with("added", relays.added.len());
    let event = event.with("changed", relays.changed.len()).with("removed", relays.removed.len());
    event.with("displaced", displaced.len()).with("keys", keys.clone())
}

/// The configuration file is another than what is in force, and wrong.
#[must_use]
pub fn differs_and_is_wrong(errors: &Errors) -> Event {
    let text = format!("the configuration file differs from what is in force, and would be refused: {errors}");
    Event::new(Kind::ConfigDiffers, text).with("error", errors.to_string())
}

/// The configuration file says what is in force.
#[must_use]
pub fn differs_no_more() -> Event {
    Event::new(Kind::ConfigDiffers, "the configuration file says what is in force again").at(Level::Info)
}

/// A configuration is on trial.
#[must_use]
pub fn on_trial(until: &str, length_ms: u64) -> Event {
    let text = format!("what runs is given up at {until} unless it is confirmed: mcr confirm keeps it");
    Event::new(Kind::ConfigOnTrial, text).with("until", until.to_owned()).with("seconds", length_ms / 1000)
}

/// What was on trial is kept.
#[must_use]
pub fn confirmed() -> Event {
    Event::new(Kind::ConfigConfirmed, "what was on trial is confirmed")
}

/// What ran before runs again.
#[must_use]
pub fn rolled_back(reason: &str) -> Event {
    let text = format!("what ran before the last reload runs again: {reason}; the configuration file is as it was");
    Event::new(Kind::ConfigRolledBack, text).with("reason", reason.to_owned())
}

/// Whatever comes through the API could not be kept.
#[must_use]
pub fn unwritable(file: &Path, why: &str) -> Event {
    let text = format!("{} cannot be written: {why}; changes through the API are refused until it can", file.display());
    Event::new(Kind::StateUnwritable, text).with("file", file.display().to_string()).with("error", why.to_owned())
}

/// It could be kept again.
#[must_use]
pub fn writable(file: &Path) -> Event {
    let text = format!("{} can be written again", file.display());
    Event::new(Kind::StateWritable, text).with("file", file.display().to_string())
}

/// A change is in force and not on disk.
#[must_use]
pub fn not_kept(file: &Path, problem: &str) -> Event {
    let text = format!("{} has not what is in force: {problem}; trying again", file.display());
    Event::new(Kind::StateNotKept, text).with("file", file.display().to_string()).with("error", problem.to_owned())
}

/// What was not on disk is.
#[must_use]
pub fn kept(file: &Path) -> Event {
    let text = format!("{} has what is in force again", file.display());
    Event::new(Kind::StateKept, text).with("file", file.display().to_string())
}

/// This control goes on where another stood.
#[must_use]
pub fn taken_over(noted: &Memo) -> Event {
    let (before, now) = (noted.version.clone(), env!("CARGO_PKG_VERSION"));
    if noted.binary == super::upgrade::own_binary() {
        return Event::new(Kind::NodeTakenOver, "took over the lanes of a control before this one");
    }
    let text = format!("took over the lanes of mcr {before} as mcr {now}; each is renewed at the edge of a batch");
    Event::new(Kind::NodeUpgraded, text).with("from", before).with("to", now)
}

/// A newer binary was not ready in this one's place, and this one came back.
#[must_use]
pub fn went_back(problem: &str) -> Event {
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("the newer mcr failed in its place ({problem}); mcr {version} came back and is in charge");
    Event::new(Kind::NodeWentBack, text).with("version", version).with("problem", problem.to_owned())
}

/// A lane was not taken over, because what it showed cannot be.
#[must_use]
pub fn lane_untrue(lane: u32, pid: u32, problem: &str) -> Event {
    let text = format!("lane {lane} (pid {pid}) was not taken over: {problem}; it was ended, and another was started");
    Event::new(Kind::LaneUntrue, text).with("lane", lane).with("pid", pid).with("problem", problem.to_owned())
}

/// A lane was not taken over, because it could not be.
#[must_use]
pub fn lane_replaced(lane: u32, pid: u32, problem: &str) -> Event {
    let text = format!("lane {lane} (pid {pid}) cannot be taken over: {problem}; it is ended, and another is started");
    Event::new(Kind::LaneReplaced, text).with("lane", lane).with("pid", pid).with("problem", problem.to_owned())
}

/// No lane could be taken over.
#[must_use]
pub fn begun_anew(lanes: usize) -> Event {
    let text = format!(
        "none of the lanes ({lanes}) that a control before this one left could be taken over: they were ended, \
         everything begins anew, and streams were interrupted"
    );
    Event::new(Kind::NodeBegunAnew, text).with("lanes", lanes)
}

/// The configuration file was refused at the start, and what ran before goes on, or runs again.
#[must_use]
pub fn refused_at_the_start(errors: &Errors, last_good: Option<&str>) -> Event {
    let runs = match last_good {
        Some(since) => format!("running the last good configuration of {since}"),
        None => "what ran before goes on".to_owned(),
    };
    let text = format!("the configuration file was not taken, {runs}: {errors}");
    Event::new(Kind::ConfigRefused, text).with("error", errors.to_string())
}

/// A relay of the API does not run beside those of the configuration file.
#[must_use]
pub fn shadowed(name: &str, why: &ConfigError) -> Event {
    let text = format!("relay \"{name}\" came through the API and does not run beside the configuration file: {why}");
    Event::new(Kind::RelayShadowed, text).with("relay", name.to_owned()).with("problem", why.to_string())
}

/// A verdict on the node is given, or not any more; as long as it is the same nothing is told.
pub fn health(log: &EventLog, before: &Health, now: &Health) {
    for verdict in Verdict::ALL {
        let is_given = |health: &Health| health.verdicts.iter().any(|name| name == verdict.name());
        if is_given(before) != is_given(now) {
            log.record(health_changed(now, verdict));
        }
    }
}

fn health_changed(health: &Health, verdict: Verdict) -> Event {
    let fails = |check: &&Check| !check.ok && check.verdict.as_deref() == Some(verdict.name());
    let failing: Vec<&str> = health.checks.iter().filter(fails).map(|check| check.text.as_str()).collect();
    let (well, wrong) = match verdict {
        Verdict::Fault => ("healthy: packets can flow", "not healthy"),
        Verdict::Drift => ("no drift any more: what was asked for is in force and kept", "drift, packets flow"),
        Verdict::Partial => ("all that is wanted works", "partial"),
    };
    let event = match failing.as_slice() {
        [] => Event::new(Kind::HealthChanged, well).at(Level::Info),
        failing => Event::new(Kind::HealthChanged, format!("{wrong}: {}", failing.join("; "))),
    };
    event.with("verdict", verdict.name()).with("ok", failing.is_empty())
}

/// A lane's process ended.
#[must_use]
pub fn lane_died(lane: u32, pid: u32, ending: &str) -> Event {
    let text = format!("lane died: it is started again (lane {lane}, {ending})");
    Event::new(Kind::LaneDied, text).with("lane", lane).with("pid", pid).with("ending", ending)
}

/// A lane wrote something: a panic, or why it does not start.
pub fn lane_wrote(lane: u32, Line { text, left_out }: &Line) {
    match (text.as_str(), left_out) {
        ("", left_out) => tracing::warn!(lane, left_out, "lane {lane} wrote more: {left_out} lines were left out"),
        (text, 0) => tracing::warn!(lane, "lane {lane} wrote: {text}"),
        (text, left_out) => {
            tracing::warn!(lane, left_out, "lane {lane} wrote, after {left_out} lines that were left out: {text}")
        }
    }
}

/// A lane that kept dying was started again.
#[must_use]
pub fn lane_started(lane: u32) -> Event {
    Event::new(Kind::LaneStarted, format!("lane {lane} started again")).with("lane", lane)
}

/// A lane does not come round, or does again.
#[must_use]
pub fn stall(lane: u32, stall: Stall) -> Event {
    let event = match stall {
        Stall::Began => {
            Event::new(Kind::LaneStalled, format!("lane {lane} stalled: it has not come round for a second"))
        }
        Stall::Hopeless => {
            Event::new(Kind::LaneStalled, format!("lane {lane} hangs: it is ended, and another goes on where it stood"))
        }
        Stall::Ended => Event::new(Kind::LaneResumed, format!("lane {lane} comes round again")),
    };
    event.with("lane", lane)
}

/// The kernel did not hold what it should, or could not be asked.
#[must_use]
pub fn problem(problem: &Problem) -> Event {
    match problem {
        Problem::Program { link, fault } => {
            let event = Event::new(Kind::ProgramDetached, problem.to_string()).with("link", link.clone());
            match fault {
                ProgramFault::Replaced { program } => event.with("program", *program),
                _ => event,
            }
        }
        Problem::Maps(_) | Problem::Socket { .. } | Problem::Reports(_) => {
            Event::new(Kind::KernelDiffers, problem.to_string()).with("check", problem.check())
        }
    }
}
