//! Numbers, replay and what is held back.

use super::{EventLog, Followed, KEPT, KEPT_BYTES, Logged};
use crate::events::{After, Event, Id, Kind};
use relay_config::model;
use serde_json::Value;
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
const START_MS: u64 = 1_764_000_000_000;

fn log() -> EventLog {
    EventLog::default()
}

/// Everything that is kept.
fn all(log: &EventLog) -> Vec<Arc<Logged>> {
    log.follow(None).since
}

/// What is kept after an event.
fn after(log: &EventLog, id: Id) -> Vec<Arc<Logged>> {
    log.follow(Some(After::Id(id))).since
}

fn document(logged: &Logged) -> model::Event {
    serde_json::from_str(&logged.json).unwrap()
}

fn numbers(logged: &[Arc<Logged>]) -> Vec<u64> {
    logged.iter().map(|logged| logged.id.number).collect()
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
        let held_back = document(logged).fields.get("held_back").and_then(Value::as_u64).unwrap_or(0);
        let kind = Kind::ALL.iter().find(|kind| kind.name() == logged.kind).unwrap();
        (kind.name(), logged.relay.clone().unwrap_or_default(), held_back)
    };
    logged.iter().map(one).collect()
}

#[test]
fn whoever_follows_misses_nothing_and_sees_nothing_twice() {
    let log = log();
    for lane in 0..3 {
        log.record(Event::new(Kind::LaneDied, "x").with("lane", lane));
    }
    let Followed { since, mut coming } = log.follow(None);
    assert_eq!(numbers(&since), [1, 2, 3]);
    log.record(Event::new(Kind::LaneStarted, "y").with("lane", 9));
    let came = coming.try_recv().unwrap();
    assert_eq!((came.id.number, came.id.history), (4, since[0].id.history));
    assert_eq!(numbers(&after(&log, since[1].id)), [3, 4]);
    assert_eq!(numbers(&log.follow(Some(After::Number(2))).since), [3, 4]);
    assert!(after(&log, came.id).is_empty());
}

/// What is said to be missing: from, to, and how many.
fn lost(logged: &Logged) -> (String, String, Option<u64>) {
    assert!(logged.is_for_everybody());
    let fields = document(logged).fields;
    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
    (text("from"), text("to"), fields.get("count").and_then(Value::as_u64))
}

#[test]
fn what_was_pushed_out_is_told_to_who_has_not_seen_it() {
    let log = log();
    log.record(Event::new(Kind::NodeReady, "first"));
    let first = all(&log)[0].id;
    for n in 0..KEPT + 10 {
        log.record(Event::new(Kind::Audit, n.to_string()));
    }
    let since = after(&log, first);
    assert_eq!(since.len(), 1 + KEPT);
    let history = first.history;
    let (from, to) = (format!("{history}-2"), format!("{history}-11"));
    assert_eq!(lost(&since[0]), (from, to.clone(), Some(10)));
    assert_eq!(since[0].id.to_string(), to, "who goes on after it is not told again");
    assert_eq!(numbers(&after(&log, since[0].id)), numbers(&since[1..]));
    assert_eq!(all(&log).len(), KEPT, "who has seen nothing has missed nothing");
    assert_eq!(log.counts()[Kind::EventsLost.index()].said, 1);
}

#[test]
fn who_saw_another_history_is_told_that_its_rest_is_missing() {
    let (before, now) = (log(), log());
    before.record(Event::new(Kind::NodeReady, "before"));
    let seen = all(&before)[0].id;
    let since = after(&now, seen);
    assert_eq!(since.len(), 1, "nothing has happened yet, and something is missing");
    now.record(Event::new(Kind::NodeReady, "now"));
    let since = after(&now, seen);
    let history = since[1].id.history;
    assert_eq!(lost(&since[0]), (format!("{}-2", seen.history), format!("{history}-0"), None));
    assert_eq!(numbers(&since), [0, 1]);
    // What this history has not reached cannot have been seen in it.
    let ahead = Id { number: 7, ..since[1].id };
    assert_eq!(lost(&after(&now, ahead)[0]).2, None);
    assert_eq!(numbers(&after(&now, ahead)[1..]), [1]);
}

#[test]
fn what_is_kept_is_bounded_by_its_bytes_too() {
    let log = log();
    let long = "x".repeat(7000);
    for _ in 0..1000 {
        log.record(Event::new(Kind::Audit, long.as_str()));
    }
    let kept: usize = all(&log).iter().map(|logged| logged.json.len()).sum();
    assert!(kept <= KEPT_BYTES && kept > KEPT_BYTES / 2, "{kept}");
    // An event is kept whatever somebody put into it, and what is too long is cut.
    let many: serde_json::Map<String, Value> =
        (0..20_000).map(|n| (format!("relay-{n}"), "x".repeat(20).into())).collect();
    let event = Event::new(Kind::Audit, "é".repeat(100_000))
        .with("before", many.clone())
        .with("after", many)
        .with("relay", "one");
    log.record(event);
    let last = all(&log).pop().unwrap();
    assert!(last.json.len() < 20_000, "{}", last.json.len());
    assert_eq!(last.relay.as_deref(), Some("one"));
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
    let said = texts(&all(&log));
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
    assert_eq!(all(&log).len(), 200);
    for _ in 0..70 {
        now += SECOND;
        log.tick_at(now, START_MS);
    }
    let said = texts(&all(&log));
    assert_eq!(said.len(), 900);
    assert!(said.iter().all(|(.., held_back)| *held_back == 0));
}

#[test]
fn what_people_did_and_how_the_node_is_is_always_said() {
    let log = log();
    let kinds = [Kind::Audit, Kind::ConfigApplied, Kind::ConfigRefused, Kind::HealthChanged, Kind::NodeReady];
    for kind in kinds {
        for _ in 0..100 {
            log.record_at(Event::new(kind, "x"), SECOND, START_MS);
        }
    }
    let counts = log.counts();
    let told = kinds.map(|kind| (counts[kind.index()].said, counts[kind.index()].held_back));
    assert_eq!((all(&log).len(), told), (500, [(100, 0); 5]));
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
    let said = texts(&all(&log));
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
        let of = |logged: &&Arc<Logged>| document(logged).text == format!("10.0.0.{client}");
        assert!(all(&log).iter().filter(of).count() > 2, "10.0.0.{client}");
    }
}

#[test]
fn the_end_says_what_is_left() {
    let log = log();
    for _ in 0..20 {
        log.record_at(interrupted("one"), 1000 * SECOND, START_MS);
    }
    log.finish();
    assert_eq!(texts(&all(&log)).last().unwrap(), &("stream.interrupted", "one".to_owned(), 11));
}

#[test]
fn an_event_goes_over_the_wire_as_it_is() {
    let log = log();
    log.record_at(interrupted("one"), SECOND, START_MS + 7);
    let logged = Arc::clone(&all(&log)[0]);
    let event = document(&logged);
    assert_eq!((event.id, logged.id.number), (logged.id.to_string(), 1));
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
    let told = all(&log);
    assert_eq!(told.len(), 400);
    let at = document(&told[0]).time;
    assert!(told.iter().all(|logged| document(logged).time == at), "the wave was at one moment");
    assert!(document(&told[399]).told_at > at && told[399].told_ms > START_MS);
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
    let said = texts(&all(&log));
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
        let is_told = all(&log).iter().any(|logged| logged.relay.as_deref() == Some("sport-1"));
        told_after = told_after.or_else(|| is_told.then_some(second));
    }
    // 300 wait, and twenty a second are told.
    let told_after = told_after.unwrap_or_else(|| panic!("not told within {} s", (now - start) / SECOND - 40));
    assert!(told_after <= 40 + 300 / 20 + 1, "{}", told_after - 40);
}
