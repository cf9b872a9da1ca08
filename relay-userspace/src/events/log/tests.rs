//! Numbers, replay and what is held back.

use super::{EventLog, KEPT, Logged};
use crate::api::model;
use crate::events::{Event, Kind};
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
const START_MS: u64 = 1_764_000_000_000;

fn log() -> EventLog {
    EventLog::begin(START_MS)
}

fn interrupted(relay: &str) -> Event {
    Event::new(Kind::StreamInterrupted, format!("relay \"{relay}\": silent")).with("relay", relay)
}

fn restored(relay: &str) -> Event {
    Event::new(Kind::StreamRestored, format!("relay \"{relay}\": back")).with("relay", relay)
}

impl EventLog {
    /// How many requests of clients are still held back, with those that each stands for.
    fn rest_of_clients(&self) -> u64 {
        self.state().clients.rest().iter().map(|said| 1 + said.held_back).sum()
    }
}

fn texts(logged: &[Arc<Logged>]) -> Vec<(&'static str, String, u64)> {
    let one = |logged: &Arc<Logged>| {
        let held_back = logged.event.fields.get("held_back").and_then(serde_json::Value::as_u64).unwrap_or(0);
        (logged.event.kind.name(), logged.event.subject(), held_back)
    };
    logged.iter().map(one).collect()
}

#[test]
fn whoever_follows_misses_nothing_and_sees_nothing_twice() {
    let log = log();
    for lane in 0..3 {
        log.record(Event::new(Kind::LaneDied, "x").with("lane", lane));
    }
    let (all, mut coming) = log.follow(0);
    let ids: Vec<u64> = all.iter().map(|logged| logged.id).collect();
    let first = (START_MS / 1000) << 20;
    assert_eq!(ids, [first + 1, first + 2, first + 3]);
    log.record(Event::new(Kind::LaneStarted, "y").with("lane", 9));
    assert_eq!(coming.try_recv().unwrap().id, first + 4);
    let (since, _) = log.follow(ids[1]);
    assert_eq!(since.iter().map(|logged| logged.id - first).collect::<Vec<_>>(), [3, 4]);
    assert!(log.follow(first + 4).0.is_empty());
}

#[test]
fn a_follower_of_another_run_gets_everything() {
    let (before, now) = (log(), EventLog::begin(START_MS + 5000));
    before.record(Event::new(Kind::NodeReady, "before"));
    now.record(Event::new(Kind::NodeReady, "now"));
    let last = before.follow(0).0[0].id;
    assert_eq!(now.follow(last).0.len(), 1);
    // The clock was set back between the two.
    let last = now.follow(0).0[0].id;
    assert_eq!(before.follow(last).0.len(), 1);
}

#[test]
fn the_last_thousand_are_kept() {
    let log = log();
    for n in 0..KEPT + 10 {
        log.record(Event::new(Kind::Audit, n.to_string()));
    }
    let (all, _) = log.follow(0);
    assert_eq!(all.len(), KEPT);
    assert_eq!(all[0].event.text, "10");
}

#[test]
fn a_flapping_stream_is_told_of_at_a_bounded_rate_and_truly() {
    let log = log();
    let start = 1000 * SECOND;
    for second in 0..60 {
        let now = start + second * SECOND;
        let event = if second % 2 == 0 { interrupted("one") } else { restored("one") };
        log.record_at(event, now, START_MS);
        log.tick_at(now, START_MS);
    }
    log.tick_at(start + 120 * SECOND, START_MS);
    let said = texts(&log.follow(0).0);
    assert!(said.len() <= 8 + 12 + 1, "{said:?}");
    assert_eq!(said.last().unwrap().0, "stream.restored", "what was said last happened last");
    let held_back: u64 = said.iter().map(|(_, _, held_back)| held_back).sum();
    assert_eq!(said.len() as u64 + held_back, 60, "none is lost");
    let counts = log.counts();
    let [down, up] = [Kind::StreamInterrupted, Kind::StreamRestored].map(|kind| counts[kind.index()]);
    assert_eq!(down.said + up.said, said.len() as u64);
    assert_eq!(down.held_back + up.held_back, held_back);
    assert_eq!((down.said + down.held_back, up.said + up.held_back), (30, 30));
}

#[test]
fn many_relays_at_once_are_all_told_of_in_the_end() {
    let log = log();
    let mut now = 1000 * SECOND;
    for n in 0..900 {
        log.record_at(interrupted(&format!("r{n}")), now, START_MS);
    }
    assert_eq!(log.follow(0).0.len(), 200);
    for _ in 0..70 {
        now += SECOND;
        log.tick_at(now, START_MS);
    }
    let said = texts(&log.follow(0).0);
    assert_eq!(said.len(), 900);
    assert!(said.iter().all(|(.., held_back)| *held_back == 0));
}

#[test]
fn what_people_did_is_always_said() {
    let log = log();
    for kind in [Kind::Audit, Kind::ConfigApplied, Kind::ConfigRefused] {
        for _ in 0..100 {
            log.record_at(Event::new(kind, "x"), SECOND, START_MS);
        }
    }
    assert_eq!(log.follow(0).0.len(), 300);
}

#[test]
fn requests_that_change_nothing_do_not_push_the_rest_out() {
    let log = log();
    let start = 1000 * SECOND;
    for kind in [Kind::Audit, Kind::NodeReady, Kind::HealthChanged] {
        log.record_at(Event::new(kind, "what matters"), start, START_MS);
    }
    for n in 0..20_000_u64 {
        let now = start + n * SECOND / 100;
        let client = format!("10.0.0.{}", n % 8);
        log.record_at(Event::new(Kind::Audit, client.clone()).paced(client), now, START_MS);
        log.record_at(Event::new(Kind::ConfigRefused, "refused").paced("uid 7"), now, START_MS);
        log.tick_at(now, START_MS);
    }
    let said = texts(&log.follow(0).0);
    assert_eq!(said[0].0, "audit.change");
    assert!(said.len() < 300, "{}", said.len());
    let counts = log.counts();
    let told = |kind: Kind| (counts[kind.index()].said, counts[kind.index()].held_back);
    assert_eq!(told(Kind::HealthChanged), (1, 0));
    let (refused, left_out) = told(Kind::Audit);
    let (rest, held_back) = (log.rest_of_clients(), said.iter().map(|(_, _, held_back)| held_back).sum::<u64>());
    assert_eq!(said.len() as u64 - 3 + held_back + rest, 40_000, "all are counted");
    assert!(refused < 210 && left_out > 19_000, "{refused} {left_out}");
    // Each client is told of.
    for client in 0..8 {
        let of = |logged: &&Arc<Logged>| logged.event.text == format!("10.0.0.{client}");
        assert!(log.follow(0).0.iter().filter(of).count() > 2, "10.0.0.{client}");
    }
}

#[test]
fn the_end_says_what_is_left() {
    let log = log();
    for _ in 0..20 {
        log.record_at(interrupted("one"), 1000 * SECOND, START_MS);
    }
    log.finish();
    assert_eq!(texts(&log.follow(0).0).last().unwrap(), &("stream.interrupted", "one".to_owned(), 11));
}

#[test]
fn an_event_goes_over_the_wire_as_it_is() {
    let log = log();
    log.record_at(interrupted("one"), SECOND, START_MS + 7);
    let event = model::Event::from(&*log.follow(0).0[0]);
    assert_eq!(event.id, ((START_MS / 1000) << 20) + 1);
    assert_eq!((event.time.as_str(), event.level.as_str()), ("2025-11-24T16:00:00.007Z", "warn"));
    assert_eq!((event.event.as_str(), &event.fields["relay"]), ("stream.interrupted", &"one".into()));
}

#[test]
fn what_was_held_back_has_the_time_at_which_it_happened() {
    let log = log();
    let start = 1000 * SECOND;
    for n in 0..400 {
        log.record_at(interrupted(&format!("r{n}")), start, START_MS);
    }
    for second in 1..30 {
        log.tick_at(start + second * SECOND, START_MS + second * 1000);
    }
    let told = log.follow(0).0;
    assert_eq!(told.len(), 400);
    assert!(told.iter().all(|logged| logged.unix_ms == START_MS), "the wave was at one moment");
}

#[test]
fn a_removal_is_told_whatever_follows_it() {
    let log = log();
    let start = 1000 * SECOND;
    let of_relay = |kind: Kind| Event::new(kind, "x").with("relay", "one");
    for _ in 0..8 {
        log.record_at(of_relay(Kind::RelayChanged), start, START_MS);
    }
    for kind in [Kind::RelayChanged, Kind::RelayRemoved, Kind::RelayCreated, Kind::RelayChanged] {
        log.record_at(of_relay(kind), start, START_MS);
    }
    for second in 1..30 {
        log.tick_at(start + second * SECOND, START_MS);
    }
    let said = texts(&log.follow(0).0);
    let last: Vec<(&str, u64)> = said[8..].iter().map(|(name, _, held_back)| (*name, *held_back)).collect();
    assert_eq!(last, [("relay.removed", 1), ("relay.changed", 1)]);
}

#[test]
fn many_that_flap_do_not_keep_the_others_from_being_told() {
    let log = log();
    let start = 1000 * SECOND;
    let (mut told_after, mut now) = (None, start);
    for second in 0..120 {
        now = start + second * SECOND;
        for n in 0..300 {
            let name = format!("a{n}");
            log.record_at(if second % 2 == 0 { interrupted(&name) } else { restored(&name) }, now, START_MS);
        }
        if second == 40 {
            log.record_at(interrupted("sport-1"), now, START_MS);
        }
        log.tick_at(now, START_MS);
        let is_told = log.follow(0).0.iter().any(|logged| logged.event.subject() == "sport-1");
        told_after = told_after.or_else(|| is_told.then_some(second));
    }
    // 300 wait, and twenty a second are told.
    let told_after = told_after.unwrap_or_else(|| panic!("not told within {} s", (now - start) / SECOND - 40));
    assert!(told_after <= 40 + 300 / 20 + 1, "{}", told_after - 40);
}
