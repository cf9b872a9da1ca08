//! Each fault fails its own check and no other, and says what to do.

use super::{CHECKS, Check, Evidence, Lane, STALE_NS, STALLED_NS, Standing, health, is_ok, live, ready};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

fn lane(number: u32) -> Lane {
    Lane { number, alive: true, heartbeat_age: STALLED_NS, generation: 7 }
}

fn well() -> Evidence<'static> {
    Evidence {
        turned_age: Some(STALE_NS),
        looked_age: Some(STALE_NS),
        found: Vec::new(),
        generation: 7,
        lanes: vec![lane(0), lane(1)],
        file: "/etc/mcr/relay.toml",
        refused: None,
        failed: None,
    }
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

/// The one check that fails.
fn fault(evidence: &Evidence<'_>) -> (String, String) {
    let checks = health(evidence);
    assert!(!is_ok(&checks));
    let failing = failing(&checks);
    assert_eq!(failing.len(), 1, "{failing:?}");
    failing.into_iter().next().unwrap()
}

#[test]
fn a_node_at_its_limits_is_well() {
    let checks = health(&well());
    assert!(is_ok(&checks));
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, CHECKS);
    assert!(is_ok(&live(&well())));
    assert!(is_ok(&ready(&well(), &Standing::default())));
}

#[test]
fn a_control_that_hangs() {
    let evidence = Evidence { turned_age: Some(STALE_NS + 100_000_000), ..well() };
    let (name, text) = fault(&evidence);
    assert_eq!(name, "control");
    assert!(text.starts_with("control has not come round for 5.1 s: it hangs: see the log; "), "{text}");
    assert!(!is_ok(&live(&evidence)));
    // It did not look either: that is no second fault.
    let evidence = Evidence { looked_age: Some(u64::MAX), ..evidence };
    assert_eq!(fault(&evidence).1, text);
}

#[test]
fn a_control_that_has_just_begun_is_not_believed_yet() {
    assert_eq!(fault(&Evidence { turned_age: None, ..well() }).0, "control");
    let (name, text) = fault(&Evidence { looked_age: None, ..well() });
    assert_eq!(name, "control");
    assert!(text.contains("not looked at yet"), "{text}");
    assert!(is_ok(&live(&Evidence { looked_age: None, ..well() })), "it lives");
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
fn a_dead_lane_is_dead_whatever_its_heartbeat() {
    let mut evidence = well();
    evidence.lanes[0].alive = false;
    evidence.lanes[0].heartbeat_age = u64::MAX;
    let (name, text) = fault(&evidence);
    assert_eq!(name, "lanes");
    assert_eq!(text, "lane 0 is dead and is being started again: see the log for why it ended");
}

#[test]
fn a_lane_may_be_ahead_but_not_behind() {
    let mut evidence = well();
    evidence.lanes[0].generation = 8;
    assert!(is_ok(&health(&evidence)));
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
    let lanes = (0..6).map(|number| Lane { alive: false, ..lane(number) }).collect();
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
    let failing = failing(&health(&Evidence { found, ..well() }));
    let expected = [("program", "two"), ("maps", "one; three")];
    assert_eq!(failing, expected.map(|(name, text)| (name.to_string(), text.to_string())));
}

#[test]
fn a_configuration_that_is_not_in_force() {
    let (name, text) = fault(&Evidence { refused: Some("line 3: correct it"), ..well() });
    assert_eq!(name, "config");
    assert_eq!(text, "/etc/mcr/relay.toml as it is now is not in force: line 3: correct it");
    let (name, text) = fault(&Evidence { failed: Some("lane 0 hangs"), ..well() });
    assert_eq!((name.as_str(), text.as_str()), ("config", "the last change was not applied: lane 0 hangs"));
}

#[test]
fn a_node_that_may_not_send_is_well_but_not_ready() {
    let standing = Standing { passive: Some("this node is a standby"), pending: Vec::new() };
    assert!(is_ok(&health(&well())));
    assert_eq!(failing(&ready(&well(), &standing)), [("role".into(), "this node is a standby".to_string())]);
}

#[test]
fn what_is_pending_hinders_readiness_only() {
    let pending = (0..3).map(|n| format!("relay \"r{n}\" input: down")).collect();
    let failing = failing(&ready(&well(), &Standing { passive: None, pending }));
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0].0, "pending");
    assert!(failing[0].1.starts_with("relay \"r0\" input: down; relay \"r1\""));
}

#[test]
fn all_faults_at_once_are_all_told() {
    let evidence = Evidence {
        turned_age: None,
        lanes: Vec::new(),
        found: vec![("program", "a"), ("maps", "b"), ("sockets", "c")],
        refused: Some("d"),
        failed: Some("e"),
        ..well()
    };
    let standing = Standing { passive: Some("f"), pending: vec!["g".to_string()] };
    let checks = ready(&evidence, &standing);
    assert_eq!(failing(&checks).len(), CHECKS.len() + 2);
}
