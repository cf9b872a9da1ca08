//! Health as others see it: the evidence is gathered from what control shows and what lanes count, and judged by
//! [`relay_common::health`]. Answered without control, so also when control or a lane hangs.

use crate::away::Seen;
use crate::desk::{Desk, Findings};
use crate::problem::Problem;
use crate::view::{Unkept, Unnoted, View};
use relay_common::counters::LaneCounter;
use relay_common::health::{
    self as judge, Check, Demand, Evidence, Judgement, Lane, Share, Sum, Verdict, Waiting, Work,
};
use relay_common::selector::Selector;
use relay_config::Errors;
use relay_config::model;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// What is asked beyond whether there is a fault: how much of some relays must work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minimum {
    /// The relays that count.
    pub relays: Selector,
    /// How much of them must work; as much as the configuration says where this does not.
    pub min: Option<Share>,
}

/// Whether packets can flow: the body of `/healthz`. With a minimum, also whether so much of these relays works.
#[must_use]
pub fn health(desk: &Desk, minimum: Option<&Minimum>, now: u64) -> model::Health {
    of(desk, &desk.view(), minimum, false, now).document()
}

/// Whether control comes round: the body of `/livez`.
#[must_use]
pub fn live(desk: &Desk, now: u64) -> model::Health {
    let doing = desk.pulse.progress.doing(now);
    let what = doing.as_ref().map_or_else(String::new, ToString::to_string);
    let work = doing.map(|doing| Work { what: &what, silent: doing.silent, patience: doing.patience });
    let turned_age = age(desk.pulse.turned.load(Relaxed), now);
    document(judge::live(&Evidence { turned_age, work, ..Evidence::default() }))
}

/// Whether packets can flow, this node may send, and enough of its relays works: the body of `/readyz`.
#[must_use]
pub fn ready(desk: &Desk, minimum: Option<&Minimum>, now: u64) -> model::Health {
    let of_file = Minimum::default();
    of(desk, &desk.view(), Some(minimum.unwrap_or(&of_file)), true, now).document()
}

/// What is said of a node, and of how much of it works.
pub(super) struct Said {
    pub(super) judgement: Judgement,
    pub(super) relays: Sum,
    pub(super) links: Sum,
    min: Option<Share>,
}

/// What is said of the whole node, where `ready` is asked for, with the minimum of the configuration.
pub(super) fn of_node(desk: &Desk, view: &View, ready: bool, now: u64) -> Said {
    of(desk, view, ready.then(Minimum::default).as_ref(), ready, now)
}

fn of(desk: &Desk, view: &View, minimum: Option<&Minimum>, role: bool, now: u64) -> Said {
    let settings = **desk.health.load();
    let all = Selector::default();
    let waiting = view.works().waiting(view, minimum.map_or(&all, |minimum| &minimum.relays));
    let min = minimum.map(|minimum| minimum.min.unwrap_or(settings.ready_min));
    let (relays, links) = (waiting.relays, waiting.links);
    let hold_ns = u64::from(settings.hold_down_ms) * 1_000_000;
    let judgement = with_evidence(desk, view, waiting, now, |evidence| {
        // What is remembered is two words, which nobody can leave half written.
        let mut hold_down = desk.pulse.hold_down.lock().unwrap_or_else(PoisonError::into_inner);
        judge::judge(evidence, Demand { min, role }, &mut hold_down, hold_ns, now)
    });
    Said { judgement, relays, links, min }
}

fn age(at: u64, now: u64) -> Option<u64> {
    (at != 0).then(|| now.saturating_sub(at))
}

fn with_evidence<T>(desk: &Desk, view: &View, waiting: Waiting, now: u64, judge: impl FnOnce(&Evidence<'_>) -> T) -> T {
    let found: &Findings = &desk.pulse.found.load();
    let lane = |lane: &std::sync::Arc<crate::view::LaneView>| Lane {
        number: lane.number,
        alive: lane.pid.is_some(),
        heartbeat_age: now.saturating_sub(lane.counters.get(LaneCounter::Heartbeat)),
        generation: lane.counters.get(LaneCounter::Generation),
    };
    let file = view.config.path.display().to_string();
    let last_good = view.config.last_good.as_ref();
    let runs = last_good.map_or_else(String::new, |since| format!("; running the last good configuration of {since}"));
    let refused = view.config.refused.as_ref().map(|errors| first_of(errors) + &runs);
    let refused = refused.or_else(|| view.config.failed.clone());
    let refused = refused.or_else(|| view.config.differs.as_ref().map(|differs| differs.told()));
    // A link that another program has is pending, and its relays are counted as such.
    let counts = |problem: &&Problem| !problem.link().is_some_and(|link| view.facts.unusable.contains_key(link));
    let texts: Vec<(&str, String)> =
        found.problems.iter().filter(counts).map(|problem| (problem.check(), problem.to_string())).collect();
    let lacks = desk.http.lacks();
    let doing = desk.pulse.progress.doing(now);
    let what = doing.as_ref().map_or_else(String::new, ToString::to_string);
    // What its worker did since then kept it from looking; whether that gets on is another question.
    let busy = desk.pulse.progress.worked(now).saturating_sub(found.worked);
    let unnoted = view.config.unnoted.as_ref().map(Unnoted::told);
    let unkept = unnoted.or_else(|| view.config.unkept.as_ref().map(Unkept::told)).or_else(|| unwritable(view));
    judge(&Evidence {
        turned_age: age(desk.pulse.turned.load(Relaxed), now),
        work: doing.map(|doing| Work { what: &what, silent: doing.silent, patience: doing.patience }),
        looked_age: age(found.at, now).map(|age| age.saturating_sub(busy)),
        found: texts.iter().map(|(check, text)| (*check, text.as_str())).collect(),
        generation: view.table.generation,
        lanes: view.lanes.iter().map(lane).collect(),
        file: &file,
        refused: refused.as_deref(),
        torn: view.config.torn.as_deref(),
        damaged: view.config.damaged.as_deref().or(unkept.as_deref()),
        http: lacks.values().map(String::as_str).collect(),
        waiting,
        // Every node is standalone yet, and so always active.
        passive: None,
    })
}

/// How a node is whose control is away, as its lanes tell it.
#[must_use]
pub fn while_away(seen: &Seen, relays: &Selector, min: Option<Share>, limit: Option<Duration>) -> model::Health {
    let evidence = seen.evidence(relays, limit);
    let judgement = judge::away::judge(&evidence, Demand { min, role: false });
    let (relays, links) = (evidence.waiting.relays, evidence.waiting.links);
    let away_s = evidence.for_ns().map(|age| age as f64 / 1e9);
    model::Health { away_s, ..Said { judgement, relays, links, min }.document() }
}

/// That what comes through the API could not be kept, and why.
pub(super) fn unwritable(view: &View) -> Option<String> {
    let why = view.config.unwritable.as_ref()?;
    Some(format!("the state file cannot be written: {why}; changes through the API are refused until it can"))
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

impl Said {
    /// As it goes over the wire.
    pub(super) fn document(self) -> model::Health {
        let of = |sum: Sum| model::Share { percent: sum.share.percent(), whole: sum.whole, of: sum.of };
        let partial = model::Partial {
            relays: of(self.relays),
            links: of(self.links),
            min: self.min.map(Share::percent),
            missing: self.relays.share.missing(),
        };
        model::Health { partial: Some(partial), ..document(self.judgement) }
    }
}

fn verdicts(judgement: &Judgement) -> Vec<String> {
    Verdict::ALL.iter().filter(|verdict| judgement.gives(**verdict)).map(|verdict| verdict.name().to_owned()).collect()
}

fn document(judgement: Judgement) -> model::Health {
    let status = if judgement.is_ok { "ok" } else { "failing" };
    let verdicts = verdicts(&judgement);
    let check = |check: Check| model::Check {
        ok: check.is_ok(),
        verdict: check.verdict.map(|verdict| verdict.name().to_owned()),
        name: check.name,
        text: check.text,
    };
    let checks = judgement.checks.into_iter().map(check).collect();
    model::Health { status: status.to_owned(), verdicts, partial: None, away_s: None, checks }
}

#[cfg(test)]
mod tests {
    use super::{Minimum, Selector, Share};
    use crate::desk::{Desk, Findings};
    use crate::observe::fixtures::{NOW, Node};
    use crate::problem::{MapFault, Problem, ProgramFault};
    use relay_common::counters::LaneCounter;
    use relay_config as config;
    use relay_config::model::Health;
    use relay_config::parse;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    const S: u64 = 1_000_000_000;

    fn health(desk: &Desk, now: u64) -> Health {
        super::health(desk, None, now)
    }

    fn ready(desk: &Desk, now: u64) -> Health {
        super::ready(desk, None, now)
    }

    /// A desk that holds nothing down, of one relay with one output of two that waits.
    fn desk(node: Node) -> Desk {
        let desk = node.desk();
        desk.health.store(Arc::new(config::Health { hold_down_ms: 0, ..config::Health::default() }));
        desk
    }

    fn failing(health: &Health) -> Vec<&str> {
        health.checks.iter().filter(|check| !check.ok).map(|check| check.name.as_str()).collect()
    }

    #[test]
    fn a_node_whose_streams_are_silent_is_well_but_not_ready_with_something_pending() {
        let desk = desk(Node::new(&["one"]));
        let healthy = health(&desk, NOW);
        assert_eq!((healthy.status.as_str(), failing(&healthy)), ("ok", vec!["pending"]));
        let live = super::live(&desk, NOW);
        assert_eq!((live.status.as_str(), live.checks.len(), live.partial), ("ok", 1, None));
        let ready = ready(&desk, NOW);
        assert_eq!((ready.status.as_str(), ready.verdicts.as_slice()), ("failing", &["partial".to_owned()][..]));
        assert!(
            ready.checks[0].text.starts_with("50% of 1 relay work: relay \"one\" outputs[1]: interface \"gone0\""),
            "{ready:?}"
        );
    }

    #[test]
    fn a_minimum_is_what_is_asked_for_or_what_the_file_says() {
        let desk = desk(Node::new(&["news-1", "sport-1"]));
        let asked = |relays: &[&str], min: Option<&str>| Minimum {
            relays: Selector::parse(relays, &[]).unwrap(),
            min: min.map(|min| Share::parse(min).unwrap()),
        };
        let ready = |asked: &Minimum| super::ready(&desk, Some(asked), NOW).status;
        assert_eq!(ready(&asked(&["sport-*"], Some("50"))), "ok");
        assert_eq!(ready(&asked(&["sport-*"], Some("51"))), "failing");
        assert_eq!(ready(&asked(&["sprot-*"], Some("0"))), "failing", "that is no relay");
        assert_eq!(ready(&asked(&["sport-*"], None)), "failing");
        let settings = config::Health { ready_min: Share::parse("50").unwrap(), hold_down_ms: 0 };
        desk.health.store(Arc::new(settings));
        assert_eq!(
            (ready(&asked(&["sport-*"], None)), super::ready(&desk, None, NOW).status),
            ("ok".into(), "ok".into())
        );
        // Who chooses between nodes asks so: a fault, or too little.
        let healthy = super::health(&desk, Some(&asked(&[], Some("50.1"))), NOW);
        assert_eq!((healthy.status.as_str(), healthy.partial.unwrap().min), ("failing", Some(50.1)));
        assert_eq!(super::health(&desk, None, NOW).status, "ok");
    }

    #[test]
    fn a_stopped_lane_is_told_of_and_its_return_too() {
        let desk = desk(Node::new(&["one"]));
        desk.view().lanes[0].counters.set(LaneCounter::Heartbeat, NOW + S);
        let stopped = health(&desk, NOW + S);
        assert_eq!((stopped.status.as_str(), failing(&stopped)), ("failing", vec!["lanes", "pending"]));
        assert!(stopped.checks[0].text.starts_with("lane 1 has not come round for 1.0 s"), "{stopped:?}");
        desk.view().lanes[1].counters.set(LaneCounter::Heartbeat, NOW + S);
        assert_eq!(health(&desk, NOW + S).status, "ok");
    }

    #[test]
    fn after_a_fault_that_anybody_saw_the_node_is_held_down() {
        let desk = Node::new(&["one"]).desk();
        let found = |at, problems| desk.pulse.found.store(Arc::new(Findings { at, worked: 0, problems }));
        found(NOW, vec![Problem::Maps(MapFault::Missing { map: "INPUTS", n: 1 })]);
        assert_eq!(ready(&desk, NOW).status, "failing");
        for at in [NOW + S, NOW + 9 * S] {
            found(at, Vec::new());
            desk.pulse.turned.store(at, Relaxed);
            desk.view().lanes.iter().for_each(|lane| lane.counters.set(LaneCounter::Heartbeat, at));
            let held = health(&desk, at);
            assert_eq!((held.status.as_str(), failing(&held)), ("failing", vec!["hold_down", "pending"]));
            let left = (NOW + 10 * S - at) / S;
            let text = format!("held down for {left} s more: maps failed until ");
            assert!(held.checks[0].text.starts_with(&text), "{held:?}");
            assert_eq!(super::live(&desk, at).status, "ok", "a supervisor has nothing to do");
        }
        assert_eq!(health(&desk, NOW + 10 * S).status, "ok");
    }

    #[test]
    fn what_control_found_is_told_and_forgotten_when_mended() {
        let desk = desk(Node::new(&["one"]));
        let found = |problems| desk.pulse.found.store(Arc::new(Findings { at: NOW, worked: 0, problems }));
        let detached = || Problem::Program { link: "in0".to_owned(), fault: ProgramFault::Detached };
        found(vec![detached(), Problem::Maps(MapFault::Missing { map: "INPUTS", n: 1 })]);
        assert_eq!(failing(&health(&desk, NOW)), ["program", "maps", "pending"]);
        found(Vec::new());
        assert_eq!(health(&desk, NOW).status, "ok");
        assert_eq!(failing(&health(&desk, NOW + 6 * S)), ["control", "lanes", "pending"]);
        assert_eq!(failing(&super::live(&desk, NOW + 6 * S)), ["control"]);
    }

    /// Another program has it: its relays wait, and what the others do is no worse for it.
    #[test]
    fn a_link_that_cannot_be_used_is_partial_and_no_fault() {
        let mut node = Node::new(&["one"]);
        Arc::make_mut(&mut node.view.facts)
            .unusable
            .insert("out0".to_owned(), "somebody else has its queue".to_owned());
        let desk = desk(node);
        let fault = crate::problem::SocketFault::Missing("somebody else has its queue".to_owned());
        let problems = vec![Problem::Socket { link: "out0".to_owned(), queue: 0, fault }];
        desk.pulse.found.store(Arc::new(Findings { at: NOW, worked: 0, problems }));
        let healthy = health(&desk, NOW);
        assert_eq!((healthy.status.as_str(), failing(&healthy)), ("ok", vec!["pending"]));
        let links = healthy.partial.unwrap().links;
        assert_eq!((links.whole, links.of), (1, 3));
    }

    #[test]
    fn a_refused_file_is_told_with_its_first_error_and_is_no_fault() {
        let mut node = Node::new(&["one"]);
        let text = "[[relay]]\nname = \"a\"\n[[relay]]\nname = \"b\"\n";
        node.view.config.refused = Some(parse("relay.toml", text).unwrap_err());
        node.view.config.damaged = Some("the state file cannot be read".to_owned());
        let desk = desk(node);
        let health = health(&desk, NOW);
        assert_eq!((health.status.as_str(), failing(&health)), ("ok", vec!["config", "state", "pending"]));
        assert_eq!(health.verdicts, ["drift", "partial"]);
        let said = &health.checks[0].text;
        assert!(said.starts_with("/etc/mcr/relay.toml as it is now is not in force: line 1: "), "{said}");
        assert!(said.ends_with("more: mcr check relay.toml)"), "{said}");
    }
}
