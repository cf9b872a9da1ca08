//! Each thing that is wrong fails its own check and no other, gives its verdict, and says what to do.

use super::{
    CHECKS, Check, Demand, Evidence, HoldDown, Judgement, Lane, STALE_NS, STALLED_NS, Share, Sum, Verdict, Waiting,
    Work, judge, live,
};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

const S: u64 = 1_000_000_000;
const HOLD: u64 = 10 * S;
const NOW: u64 = 1000 * S;
const READY: Demand = Demand { min: Some(Share::ALL), role: true };

fn lane(number: u32) -> Lane {
    Lane { number, alive: true, heartbeat_age: STALLED_NS, generation: 7 }
}

fn well() -> Evidence<'static> {
    Evidence {
        turned_age: Some(STALE_NS),
        work: None,
        looked_age: Some(STALE_NS),
        found: Vec::new(),
        generation: 7,
        lanes: vec![lane(0), lane(1)],
        file: "/etc/mcr/relay.toml",
        ..Evidence::default()
    }
}

/// What is said of it by who has not seen it before.
fn said(evidence: &Evidence<'_>, demand: Demand) -> Judgement {
    judge(evidence, demand, &mut HoldDown::default(), HOLD, NOW)
}

fn health(evidence: &Evidence<'_>) -> Judgement {
    said(evidence, Demand::default())
}

/// The verdicts that are given.
fn given(judgement: &Judgement) -> Vec<Verdict> {
    Verdict::ALL.into_iter().filter(|verdict| judgement.gives(*verdict)).collect()
}

/// The checks that fail, with their texts; they come first.
fn failing(checks: &[Check]) -> Vec<(String, String)> {
    let failing: Vec<_> = checks
        .iter()
        .take_while(|check| !check.is_ok())
        .map(|check| (check.name.clone(), check.text.clone()))
        .collect();
    assert!(checks[failing.len()..].iter().all(Check::is_ok), "failing ones come first: {checks:?}");
    failing
}

/// The one check that fails, which gives that verdict.
fn one(evidence: &Evidence<'_>, verdict: Verdict) -> (String, String) {
    let judgement = health(evidence);
    assert_eq!((given(&judgement), judgement.is_ok), (vec![verdict], verdict != Verdict::Fault), "{judgement:?}");
    let failing = failing(&judgement.checks);
    assert_eq!(failing.len(), 1, "{failing:?}");
    failing.into_iter().next().unwrap()
}

fn fault(evidence: &Evidence<'_>) -> (String, String) {
    one(evidence, Verdict::Fault)
}

/// So much of these relays waits.
fn waiting(shares: &[Share], first: &[&str], n: usize) -> Waiting {
    let relays: Sum = shares.iter().copied().collect();
    Waiting { relays, first: first.iter().map(ToString::to_string).collect(), n, ..Waiting::default() }
}

#[test]
fn a_node_at_its_limits_is_well() {
    let judgement = said(&well(), READY);
    assert!(judgement.is_ok && given(&judgement).is_empty());
    let names: Vec<&str> = judgement.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names[..CHECKS.len()], CHECKS.map(|(name, _)| name));
    assert_eq!(names[CHECKS.len()..], ["role"]);
    assert!(live(&well()).is_ok);
}

#[test]
fn a_control_that_hangs() {
    let evidence = Evidence { turned_age: Some(STALE_NS + 100_000_000), ..well() };
    let (name, text) = fault(&evidence);
    assert_eq!(name, "control");
    assert!(text.starts_with("control has not come round for 5.1 s: it hangs: see the log; "), "{text}");
    assert!(!live(&evidence).is_ok);
    // It did not look either: that is no second fault.
    let evidence = Evidence { looked_age: Some(u64::MAX), ..evidence };
    assert_eq!(fault(&evidence).1, text);
}

#[test]
fn a_worker_is_stuck_when_it_makes_no_progress_and_not_when_it_takes_long() {
    let work =
        |silent| Some(Work { what: "change 12: joining groups 2 of 4096 since 60.0 s", silent, patience: STALE_NS });
    assert!(health(&Evidence { work: work(STALE_NS), ..well() }).is_ok);
    let evidence = Evidence { work: work(STALE_NS + 100_000_000), ..well() };
    let (name, text) = fault(&evidence);
    assert_eq!(name, "control");
    let told = "control makes no progress for 5.1 s: change 12: joining groups 2 of 4096 since 60.0 s: see the log; another control";
    assert!(text.starts_with(told), "{text}");
    assert!(!live(&evidence).is_ok);
}

#[test]
fn a_control_that_has_just_begun_is_not_believed_yet() {
    assert_eq!(fault(&Evidence { turned_age: None, ..well() }).0, "control");
    let (name, text) = fault(&Evidence { looked_age: None, ..well() });
    assert_eq!(name, "control");
    assert!(text.contains("not looked at yet"), "{text}");
    assert!(live(&Evidence { looked_age: None, ..well() }).is_ok, "it lives");
}

#[test]
fn findings_that_are_old_say_nothing() {
    let (name, text) = fault(&Evidence { looked_age: Some(STALE_NS + 1), ..well() });
    assert_eq!(name, "control");
    assert!(text.contains("last looked at 5.0 s ago"), "{text}");
}

#[test]
fn a_lane_that_hangs_is_named_with_its_time() {
    let mut evidence = well();
    evidence.lanes[1].heartbeat_age = STALLED_NS + 1;
    let (name, text) = fault(&evidence);
    assert_eq!(name, "lanes");
    assert!(text.starts_with("lane 1 has not come round for 1.0 s"), "{text}");
}

#[test]
fn a_lane_that_died_is_missed_when_none_has_followed_it_in_time() {
    let mut evidence = well();
    evidence.lanes[0].alive = false;
    let mut hold_down = HoldDown::default();
    let judgement = judge(&evidence, READY, &mut hold_down, HOLD, NOW);
    assert!(judgement.is_ok && given(&judgement).is_empty(), "another follows at once: {judgement:?}");
    assert_eq!(hold_down.held(HOLD, NOW), None);
    evidence.lanes[0].heartbeat_age = STALLED_NS + 100_000_000;
    let (name, text) = fault(&evidence);
    assert_eq!(name, "lanes");
    assert!(text.starts_with("lane 0 is dead for 1.1 s"), "{text}");
}

#[test]
fn a_lane_may_be_ahead_but_not_behind() {
    let mut evidence = well();
    evidence.lanes[0].generation = 8;
    assert!(health(&evidence).is_ok);
    evidence.lanes[0].generation = 6;
    let (name, text) = fault(&evidence);
    assert_eq!(name, "lanes");
    assert!(text.starts_with("lane 0 runs generation 6 where 7 is in force"), "{text}");
}

#[test]
fn a_node_without_lanes_relays_nothing() {
    assert_eq!(fault(&Evidence { lanes: Vec::new(), ..well() }).0, "lanes");
}

#[test]
fn many_faults_are_counted_behind_the_first() {
    let lanes = (0..6).map(|number| Lane { alive: false, heartbeat_age: u64::MAX, ..lane(number) }).collect();
    let (_, text) = fault(&Evidence { lanes, ..well() });
    assert_eq!(text.matches("is dead").count(), 4);
    assert!(text.ends_with("; and 2 more"), "{text}");
}

#[test]
fn what_control_found_fails_the_check_it_names() {
    for name in ["program", "maps", "sockets", "lanes", "something"] {
        let evidence = Evidence { found: vec![(name, "in0: gone: put it back")], ..well() };
        assert_eq!(fault(&evidence), (name.to_string(), "in0: gone: put it back".to_string()));
    }
    let found = vec![("maps", "one"), ("program", "two"), ("maps", "three")];
    let failing = failing(&health(&Evidence { found, ..well() }).checks);
    let expected = [("program", "two"), ("maps", "one; three")];
    assert_eq!(failing, expected.map(|(name, text)| (name.to_string(), text.to_string())));
}

#[test]
fn what_is_not_as_it_should_be_is_drift_and_fails_nobody_over() {
    let drift = |evidence: &Evidence<'_>| one(evidence, Verdict::Drift);
    let (name, text) = drift(&Evidence { refused: Some("line 3: correct it"), ..well() });
    assert_eq!(name, "config");
    assert_eq!(text, "/etc/mcr/relay.toml as it is now is not in force: line 3: correct it");
    let (name, text) = drift(&Evidence { torn: Some("lane 0 hangs"), ..well() });
    assert_eq!((name.as_str(), text.as_str()), ("change", "the last change is in force by half: lane 0 hangs"));
    let (name, text) = drift(&Evidence { damaged: Some("it cannot be read"), ..well() });
    assert_eq!((name.as_str(), text.as_str()), ("state", "it cannot be read"));
    let (name, text) = drift(&Evidence { http: vec!["http.listen: it is taken", "http.tls: no key"], ..well() });
    assert_eq!((name.as_str(), text.as_str()), ("http", "http.listen: it is taken; http.tls: no key"));
    let all = Evidence { refused: Some("a"), torn: Some("b"), damaged: Some("c"), http: vec!["d"], ..well() };
    assert!(said(&all, READY).is_ok, "nor makes it somebody not ready");
}

#[test]
fn what_waits_is_partial_and_counts_where_a_minimum_is_demanded() {
    let three_of_four = [Share::ALL, Share::ALL, Share::ALL, Share::NONE];
    let evidence = Evidence { waiting: waiting(&three_of_four, &["relay \"d\" input: down"], 1), ..well() };
    let (name, text) = one(&evidence, Verdict::Partial);
    assert_eq!((name.as_str(), text.as_str()), ("pending", "75% of 4 relays work: relay \"d\" input: down"));
    let is_ok = |percent: &str| said(&evidence, Demand { min: Share::parse(percent), role: false }).is_ok;
    assert_eq!([is_ok("0"), is_ok("75%"), is_ok("75.0001%"), is_ok("100%")], [true, true, false, false]);
    assert!(!said(&evidence, READY).is_ok);
    let (_, text) =
        one(&Evidence { waiting: waiting(&three_of_four, &["a", "b", "c", "d"], 262_144), ..well() }, Verdict::Partial);
    assert_eq!(text, "75% of 4 relays work: a; b; c; d; and 262140 more");
}

#[test]
fn a_name_that_no_relay_has_is_not_all_of_nothing() {
    let evidence =
        Evidence { waiting: Waiting { unknown: vec!["called \"sprot-*\"".into()], ..Waiting::default() }, ..well() };
    let judgement = said(&evidence, Demand { min: Share::parse("0"), role: false });
    assert!(!judgement.is_ok);
    assert_eq!(failing(&judgement.checks)[0].1, "no relay is called \"sprot-*\": see mcr relay ls --labels");
}

#[test]
fn a_node_that_may_not_send_is_well_but_not_ready() {
    let evidence = Evidence { passive: Some("this node is a standby"), ..well() };
    assert!(health(&evidence).is_ok);
    assert!(said(&evidence, Demand { min: Some(Share::ALL), role: false }).is_ok, "or it could never be chosen");
    let judgement = said(&evidence, READY);
    assert_eq!((judgement.is_ok, given(&judgement)), (false, Vec::new()));
    assert_eq!(failing(&judgement.checks), [("role".into(), "this node is a standby".to_string())]);
}

#[test]
fn all_faults_at_once_are_all_told() {
    let evidence = Evidence {
        turned_age: None,
        lanes: Vec::new(),
        found: vec![("program", "a"), ("maps", "b"), ("sockets", "c"), ("reports", "j")],
        refused: Some("d"),
        torn: Some("e"),
        damaged: Some("f"),
        http: vec!["i"],
        waiting: waiting(&[Share::NONE], &["g"], 1),
        passive: Some("h"),
        ..well()
    };
    // A node with a fault is not also held down.
    assert_eq!(failing(&said(&evidence, READY).checks).len(), CHECKS.len() - 1 + 1);
}

/// Looks at a node again and again.
struct Watch {
    hold_down: HoldDown,
    hold_ns: u64,
}

impl Watch {
    fn look(&mut self, evidence: &Evidence<'_>, at: u64) -> (bool, String) {
        let judgement = judge(evidence, Demand::default(), &mut self.hold_down, self.hold_ns, at);
        let check = judgement.checks.iter().find(|check| check.name == "hold_down").unwrap();
        (judgement.is_ok, check.text.clone())
    }
}

#[test]
fn after_a_fault_a_node_is_held_down_and_a_fault_is_told_at_once() {
    let dead = Evidence { lanes: vec![Lane { alive: false, heartbeat_age: u64::MAX, ..lane(0) }], ..well() };
    let mut watch = Watch { hold_down: HoldDown::default(), hold_ns: HOLD };
    assert_eq!(watch.look(&well(), 0), (true, String::new()));
    assert_eq!(watch.look(&dead, S), (false, String::new()));
    assert_eq!(watch.look(&dead, 2 * S), (false, String::new()));
    let told = "held down for 8 s more: lanes failed until 2.5 s ago; packets can flow";
    assert_eq!(watch.look(&well(), 2 * S + 5 * S / 2), (false, told.to_string()));
    // It comes again: the time begins anew.
    assert!(!watch.look(&dead, 8 * S).0);
    assert!(!watch.look(&well(), 18 * S - 1).0);
    assert_eq!(watch.look(&well(), 18 * S), (true, String::new()));
    assert!(!watch.look(&dead, 18 * S).0);
}

#[test]
fn no_hold_down_is_none() {
    let dead = Evidence { lanes: Vec::new(), ..well() };
    let mut watch = Watch { hold_down: HoldDown::default(), hold_ns: 0 };
    assert!(!watch.look(&dead, S).0);
    assert!(watch.look(&well(), S).0);
}

#[test]
fn neither_drift_nor_a_beginning_holds_a_node_down() {
    let mut watch = Watch { hold_down: HoldDown::default(), hold_ns: HOLD };
    assert!(watch.look(&Evidence { refused: Some("x"), torn: Some("y"), ..well() }, S).0);
    assert!(!watch.look(&Evidence { turned_age: None, looked_age: None, ..well() }, S).0);
    assert!(!watch.look(&Evidence { looked_age: None, ..well() }, S).0);
    assert_eq!(watch.look(&well(), S), (true, String::new()));
}
