//! Health as others see it: the evidence is gathered from what control shows and what lanes count, and judged by
//! [`relay_common::health`]. Answered without control, so also when control or a lane hangs.

use crate::api::model;
use crate::config::Errors;
use crate::control::desk::{Desk, Findings};
use crate::control::view::View;
use relay_common::counters::LaneCounter;
use relay_common::health::{self as judge, Check, Evidence, Lane, Standing};
use std::sync::atomic::Ordering::Relaxed;

/// Whether packets can flow: the body of `/healthz`.
#[must_use]
pub fn health(desk: &Desk, now: u64) -> model::Health {
    document(of(desk, &desk.view(), now, judge::health))
}

/// Whether control comes round: the body of `/livez`.
#[must_use]
pub fn live(desk: &Desk, now: u64) -> model::Health {
    document(of(desk, &desk.view(), now, judge::live))
}

/// Whether packets can flow, this node may send, and nothing is pending: the body of `/readyz`.
#[must_use]
pub fn ready(desk: &Desk, now: u64) -> model::Health {
    document(ready_checks(desk, &desk.view(), now))
}

/// Every check of `/readyz`, which are those of `/healthz` and two more.
pub(super) fn ready_checks(desk: &Desk, view: &View, now: u64) -> Vec<Check> {
    let standing = Standing {
        // Every node is standalone yet, and so always active.
        passive: None,
        pending: view.pending.iter().map(ToString::to_string).collect(),
    };
    of(desk, view, now, |evidence| judge::ready(evidence, &standing))
}

/// What one of the judgements says of the node.
fn of(desk: &Desk, view: &View, now: u64, judge: impl FnOnce(&Evidence<'_>) -> Vec<Check>) -> Vec<Check> {
    let age = |at: u64| (at != 0).then(|| now.saturating_sub(at));
    let found: &Findings = &desk.pulse.found.load();
    let lane = |lane: &std::sync::Arc<crate::control::view::LaneView>| Lane {
        number: lane.number,
        alive: lane.pid.is_some(),
        heartbeat_age: now.saturating_sub(lane.counters.get(LaneCounter::Heartbeat)),
        generation: lane.counters.get(LaneCounter::Generation),
    };
    let file = view.config.path.display().to_string();
    let last_good = view.config.last_good.as_ref();
    let runs = last_good.map_or_else(String::new, |since| format!("; running the last good configuration of {since}"));
    let refused = view.config.refused.as_ref().map(|errors| first_of(errors) + &runs);
    let texts: Vec<(&str, String)> =
        found.problems.iter().map(|problem| (problem.check(), problem.to_string())).collect();
    judge(&Evidence {
        turned_age: age(desk.pulse.turned.load(Relaxed)),
        looked_age: age(found.at),
        found: texts.iter().map(|(check, text)| (*check, text.as_str())).collect(),
        generation: view.table.generation,
        lanes: view.lanes.iter().map(lane).collect(),
        file: &file,
        refused: refused.as_deref(),
        failed: view.config.trouble(),
    })
}

/// The first of all errors, and how many there are.
fn first_of(errors: &Errors) -> String {
    let Some(first) = errors.errors.first() else { return "it was refused".to_owned() };
    let line = first.line.map_or_else(String::new, |line| format!("line {line}: "));
    let more = match errors.errors.len() - 1 {
        0 => String::new(),
        // What only this node knows, as that a name is taken by a relay of the API, is of no file.
        more if errors.file.is_empty() => format!(" ({more} more: mcr reload)"),
        more => format!(" ({more} more: mcr check {})", errors.file),
    };
    format!("{line}{first}{more}")
}

/// The checks as they go over the wire.
pub(super) fn document(checks: Vec<Check>) -> model::Health {
    let status = if judge::is_ok(&checks) { "ok" } else { "failing" };
    let check = |check: Check| model::Check { ok: check.is_ok(), name: check.name, text: check.text };
    model::Health { status: status.to_owned(), checks: checks.into_iter().map(check).collect() }
}

#[cfg(test)]
mod tests {
    use super::{health, live, ready};
    use crate::api::model::Health;
    use crate::config::parse;
    use crate::control::desk::Findings;
    use crate::control::problem::{MapFault, Problem, ProgramFault};
    use crate::observe::fixtures::{NOW, Node};
    use relay_common::counters::LaneCounter;
    use std::sync::Arc;

    const S: u64 = 1_000_000_000;

    fn failing(health: &Health) -> Vec<&str> {
        health.checks.iter().filter(|check| !check.ok).map(|check| check.name.as_str()).collect()
    }

    #[test]
    fn a_node_whose_streams_are_silent_is_well_but_not_ready_with_something_pending() {
        let desk = Node::new(&["one"]).desk();
        assert_eq!((health(&desk, NOW).status.as_str(), live(&desk, NOW).status.as_str()), ("ok", "ok"));
        let ready = ready(&desk, NOW);
        assert_eq!((ready.status.as_str(), failing(&ready)), ("failing", vec!["pending"]));
        assert!(ready.checks[0].text.contains("relay \"one\" outputs[1]: interface \"gone0\""), "{ready:?}");
    }

    #[test]
    fn a_stopped_lane_is_told_of_and_its_return_too() {
        let desk = Node::new(&["one"]).desk();
        desk.view().lanes[0].counters.set(LaneCounter::Heartbeat, NOW + S);
        let stopped = health(&desk, NOW + S);
        assert_eq!(failing(&stopped), ["lanes"]);
        assert!(stopped.checks[0].text.starts_with("lane 1 has not come round for 1.0 s"), "{stopped:?}");
        desk.view().lanes[1].counters.set(LaneCounter::Heartbeat, NOW + S);
        assert_eq!(health(&desk, NOW + S).status, "ok");
    }

    #[test]
    fn what_control_found_is_told_and_forgotten_when_mended() {
        let desk = Node::new(&["one"]).desk();
        let found = |problems| desk.pulse.found.store(Arc::new(Findings { at: NOW, problems }));
        let detached = Problem::Program { link: "in0".to_owned(), fault: ProgramFault::Detached };
        found(vec![detached, Problem::Maps(MapFault::Missing { map: "INPUTS", n: 1 })]);
        assert_eq!(failing(&health(&desk, NOW)), ["program", "maps"]);
        found(Vec::new());
        assert_eq!(health(&desk, NOW).status, "ok");
        assert_eq!(failing(&health(&desk, NOW + 6 * S)), ["control", "lanes"]);
        assert_eq!(failing(&live(&desk, NOW + 6 * S)), ["control"]);
    }

    #[test]
    fn a_refused_file_is_told_with_its_first_error() {
        let mut node = Node::new(&["one"]);
        let text = "[[relay]]\nname = \"a\"\n[[relay]]\nname = \"b\"\n";
        node.view.config.refused = Some(parse("relay.toml", text).unwrap_err());
        let desk = node.desk();
        let health = health(&desk, NOW);
        assert_eq!(failing(&health), ["config"]);
        let said = &health.checks[0].text;
        assert!(said.starts_with("/etc/mcr/relay.toml as it is now is not in force: line 1: "), "{said}");
        assert!(said.ends_with("more: mcr check relay.toml)"), "{said}");
    }
}
