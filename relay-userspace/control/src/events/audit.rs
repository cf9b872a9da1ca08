//! The audit line: who asked for what, what was before and after, and what became of it.

use super::{Event, Kind, Level};
use crate::desk::{Applied, Ask, Refusal, Switch, Who};
use crate::history::Record;
use crate::tag;
use relay_common::plan::Relay;
use relay_config::relay_to_json;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// So many relays are written out whole. A change of more names them with their tags, so that a line stays one that a
/// log store takes.
const WHOLE: usize = 32;
/// So many are named; of more it is told how many they are.
const NAMED: usize = 1000;

/// The event of a change that was asked for. `before` and `after` are the relays that it touches, as they were and as
/// they are now: of a change that was refused, as they would be. Dry runs change nothing and need no audit. What changes
/// nothing can be asked for without end: it is told at the rate of whoever asks.
#[must_use]
pub fn audit(who: &Who, ask: &Ask, before: &[Relay], after: &[Relay], outcome: &Result<Applied, Refusal>) -> Event {
    let (what, relay) = what(ask);
    let object = relay.map_or_else(|| "all relays".to_owned(), |name| format!("relay \"{name}\""));
    let object = match ask {
        Ask::Restart | Ask::Upgrade { .. } => "mcr".to_owned(),
        Ask::Many { selector, names, .. } => format!("{} relays ({selector})", names.len()),
        _ => object,
    };
    let became = match outcome {
        Ok(applied) if applied.not_kept.is_some() => format!("applied, not kept, generation {}", applied.generation),
        Ok(applied) => format!("applied, generation {}", applied.generation),
        Err(refusal) => format!("refused: {refusal}"),
    };
    let mut event = by(who, Kind::Audit, |name| format!("{name}: {what} {object}: {became}"))
        .with("what", what)
        .with("before", definitions(relay.is_some(), before, after))
        .with("after", definitions(relay.is_some(), after, before));
    if let Some(relay) = relay {
        event = event.with("relay", relay);
    }
    let changes_nothing = match outcome {
        Ok(applied) => applied.is_nothing(),
        Err(_) => true,
    };
    if changes_nothing {
        event = event.paced(describe(who).0);
    }
    match outcome {
        Ok(applied) => event.with("outcome", "applied").with("generation", applied.generation),
        Err(refusal) => event.with("outcome", "refused").with("error", refusal.to_string()).at(Level::Warn),
    }
}

/// The event of a change that is not over and of which nobody will hear any more: control hangs, and another is put in its
/// place. Another restart is what it was to be.
#[must_use]
pub fn cut_off(record: &Record) -> Option<Event> {
    let Record { id, who, what, relay, dry, begun, over, .. } = record;
    if *dry || over.is_some() || *what == self::what(&Ask::Restart).0 {
        return None;
    }
    let (outcome, error) = match begun {
        Some(_) => ("unknown", "control hung in the middle of it and was started anew: see what is in force"),
        None => ("refused", "control hung before it was begun and was started anew: ask again"),
    };
    let object = relay.as_ref().map_or_else(|| "all relays".to_owned(), |name| format!("relay \"{name}\""));
    let event = Event::new(Kind::Audit, format!("{who}: {what} {object}: {outcome}: {error}")).at(Level::Warn);
    let event = event.with("who", who.as_str()).with("what", *what).with("change", *id);
    let event = event.with("outcome", outcome).with("error", error);
    Some(match relay {
        Some(relay) => event.with("relay", relay.as_str()),
        None => event,
    })
}

/// The event of another level of the log. It is told before the level counts.
#[must_use]
pub fn log_level(who: &Who, before: &str, after: &str) -> Event {
    let event = by(who, Kind::Audit, |name| format!("{name}: set the log's level from {before} to {after}: applied"));
    event.with("what", "log").with("before", before).with("after", after).with("outcome", "applied")
}

/// An event of what somebody asked for.
fn by(who: &Who, kind: Kind, text: impl FnOnce(&str) -> String) -> Event {
    let (name, fields) = describe(who);
    let event = Event::new(kind, text(&name)).with("who", name);
    fields.into_iter().fold(event, |event, (field, value)| event.with(field, value))
}

/// A change in a few words: what was asked for, and by whom.
#[must_use]
pub fn title(who: &Who, ask: &Ask) -> String {
    let ((what, relay), (name, _)) = (what(ask), describe(who));
    match (relay, ask) {
        (Some(relay), _) => format!("{what} relay \"{relay}\" by {name}"),
        (None, Ask::Many { names, .. }) => format!("{what} {} relays by {name}", names.len()),
        (None, Ask::PutAll { .. }) => format!("{what} all relays by {name}"),
        (None, _) => format!("{what} by {name}"),
    }
}

/// Who, for people, and its parts for programs.
#[must_use]
pub fn describe(who: &Who) -> (String, Vec<(&'static str, Value)>) {
    match who {
        Who::User { uid, pid } => (format!("uid {uid}"), vec![("uid", (*uid).into()), ("pid", (*pid).into())]),
        Who::Token { name, .. } => (format!("token \"{name}\""), vec![("token", name.as_str().into())]),
        Who::File => ("the configuration file".to_owned(), Vec::new()),
    }
}

/// What was asked for, and of which relay if it was one.
#[must_use]
pub fn what(ask: &Ask) -> (&'static str, Option<&str>) {
    match ask {
        Ask::Create(relay) => ("create", Some(&relay.name)),
        Ask::Put { relay, .. } => ("set", Some(&relay.name)),
        Ask::Remove { name, .. } => ("remove", Some(name)),
        Ask::Switch { name, switch } => {
            let what = match switch {
                Switch::Enabled(true) => "enable",
                Switch::Enabled(false) => "disable",
                Switch::Muted(true) => "mute",
                Switch::Muted(false) => "unmute",
            };
            (what, Some(name))
        }
        Ask::Many { edit, .. } => (edit.name(), None),
        Ask::PutAll { .. } => ("replace", None),
        Ask::Adopt { name } => ("adopt", Some(name)),
        Ask::Import { .. } => ("import", None),
        Ask::Reload => ("reload", None),
        Ask::Try { .. } => ("reload on trial", None),
        Ask::Confirm => ("confirm", None),
        Ask::Rollback => ("roll back", None),
        Ask::Restart => ("restart", None),
        Ask::Upgrade { .. } => ("upgrade", None),
    }
}

/// One relay as it is written, or by their names those of a set that the others do not have.
fn definitions(is_one: bool, relays: &[Relay], others: &[Relay]) -> Value {
    if is_one {
        return relays.first().map_or(Value::Null, relay_to_json);
    }
    let others: BTreeMap<&str, &Relay> = others.iter().map(|relay| (relay.name.as_str(), relay)).collect();
    let differs = |relay: &&Relay| others.get(relay.name.as_str()).is_none_or(|other| other != relay);
    let relays: Vec<&Relay> = relays.iter().filter(differs).collect();
    if relays.len() > NAMED {
        return relays.len().into();
    }
    let is_short = relays.len() <= WHOLE;
    let definition = |relay: &Relay| if is_short { relay_to_json(relay) } else { tag::of_relay(relay).into() };
    relays.into_iter().map(|relay| (relay.name.clone(), definition(relay))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::{audit, cut_off, log_level};
    use crate::desk::{Applied, Ask, Expected, Refusal, Switch, Who};
    use crate::edit::{Change, Edit};
    use crate::events::{Event, Level};
    use crate::history::Changes;
    use relay_common::plan::Relay;
    use relay_common::selector::Selector;
    use relay_config::parse;
    use serde_json::Value;
    use std::fmt::Write as _;

    fn relays(n: usize) -> Vec<Relay> {
        let text = (0..n).fold(String::new(), |mut text, i| {
            let (high, low) = (i / 250, i % 250 + 1);
            write!(
                text,
                "[[relay]]\nname = \"r{i}\"\ninput = {{ interface = \"in0\", group = \"239.1.{high}.{low}\", port = 5000 }}\n\
                 outputs = [{{ interface = \"out0\", group = \"239.2.{high}.{low}\", port = 5001 }}]\n"
            )
            .unwrap();
            text
        });
        parse("test", &text).unwrap().plan.relays
    }

    fn applied() -> Result<Applied, Refusal> {
        let none = Vec::new;
        Ok(Applied {
            generation: 9,
            changes: none(),
            created: none(),
            changed: none(),
            removed: none(),
            keys: vec![],
            not_in_effect: vec![],
            not_kept: None,
        })
    }

    fn put_all(n: usize) -> Event {
        let (before, after) = (relays(1), relays(n));
        let ask = Ask::PutAll { relays: after.clone(), expected: Expected::Anything };
        audit(&Who::Token { name: "ops".into(), relays: Vec::new() }, &ask, &before, &after, &applied())
    }

    #[test]
    fn a_change_tells_who_and_what_and_how_it_was() {
        let before = relays(1);
        let mut after = before.clone();
        after[0].enabled = false;
        let ask = Ask::Switch { name: "r0".into(), switch: Switch::Enabled(false) };
        let event = audit(&Who::User { uid: 1000, pid: 7 }, &ask, &before, &after, &applied());
        assert_eq!(event.text, "uid 1000: disable relay \"r0\": applied, generation 9");
        let fields = &event.fields;
        assert_eq!((&fields["uid"], &fields["pid"], &fields["relay"]), (&1000.into(), &7.into(), &"r0".into()));
        assert_eq!((&fields["what"], &fields["outcome"]), (&"disable".into(), &"applied".into()));
        assert_eq!((&fields["before"]["enabled"], &fields["after"]["enabled"]), (&true.into(), &false.into()));
        assert_eq!(fields["after"]["outputs"][0]["group"], "239.2.0.1");
        assert_eq!((fields["generation"].as_u64(), event.level), (Some(9), Level::Info));
    }

    #[test]
    fn a_change_of_many_tells_which_were_meant_and_how_each_was() {
        let before = relays(3);
        let mut after = before.clone();
        after.iter_mut().take(2).for_each(|relay| relay.muted = true);
        let ask = Ask::Many {
            selector: Selector::parse(&["r*"], &["group=news"]).unwrap(),
            names: before.iter().map(|relay| relay.name.clone()).collect(),
            edit: Edit::Change(Change { muted: Some(true), ..Change::default() }),
        };
        let event = audit(&Who::User { uid: 7, pid: 1 }, &ask, &before, &after, &applied());
        assert_eq!(event.text, "uid 7: mute 3 relays (\"r*\" with group=news): applied, generation 9");
        let changed = |when: &str| event.fields[when].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!((changed("before"), changed("after")), (changed("after"), vec!["r0".to_owned(), "r1".to_owned()]));
        assert_eq!(event.fields["after"]["r1"]["muted"], true);
    }

    #[test]
    fn a_new_relay_was_nothing_before() {
        let after = relays(1);
        let event = audit(&Who::File, &Ask::Create(after[0].clone()), &[], &after, &applied());
        assert_eq!(event.fields["before"], Value::Null);
        assert_eq!(event.fields["after"]["name"], "r0");
        assert_eq!(event.fields["who"], "the configuration file");
    }

    #[test]
    fn a_refused_change_tells_why() {
        let ask = Ask::Remove { name: "r7".into(), expected: Expected::Anything };
        let refused = Err(Refusal::NotFound("r7".into()));
        let event = audit(&Who::User { uid: 0, pid: 1 }, &ask, &[], &[], &refused);
        assert_eq!(event.fields["outcome"], "refused");
        assert_eq!(event.fields["error"], "there is no relay \"r7\": see mcr relay ls");
        assert_eq!(event.level, Level::Warn);
    }

    #[test]
    fn what_changes_nothing_is_told_at_the_rate_of_whoever_asks() {
        let ask = Ask::Reload;
        let with = |outcome: Result<Applied, Refusal>| audit(&Who::User { uid: 7, pid: 1 }, &ask, &[], &[], &outcome);
        assert_eq!(with(Err(Refusal::NotFound("r7".into()))).client.as_deref(), Some("uid 7"));
        assert_eq!(with(applied()).client.as_deref(), Some("uid 7"));
        let changes = vec!["add relay \"r1\"".to_owned()];
        assert_eq!(with(applied().map(|applied| Applied { changes, ..applied })).client, None);
    }

    #[test]
    fn what_a_control_that_hangs_was_asked_for_is_told() {
        let changes = Changes::default();
        let who = Who::User { uid: 7, pid: 1 };
        let begun = changes.ask(&who, &Ask::Remove { name: "r7".into(), expected: Expected::Anything }, false);
        changes.begun(begun);
        let waits = changes.ask(&who, &Ask::Reload, false);
        let over = changes.ask(&who, &Ask::Reload, false);
        changes.over(over, &applied());
        let _dry = changes.ask(&who, &Ask::Reload, true);
        let _restart = changes.ask(&who, &Ask::Restart, false);
        let told: Vec<Event> = changes.list().iter().filter_map(cut_off).collect();
        let fields =
            told.iter().map(|event| ["change", "outcome", "relay"].map(|name| event.fields.get(name).cloned()));
        let expected = [
            [Some(waits.into()), Some("refused".into()), None],
            [Some(begun.into()), Some("unknown".into()), Some("r7".into())],
        ];
        assert_eq!(fields.collect::<Vec<_>>(), expected);
        assert!(told.iter().all(|event| event.kind.is_audit() && event.fields["who"] == "uid 7"));
    }

    #[test]
    fn another_level_of_the_log_is_an_audit_event() {
        let event = log_level(&Who::User { uid: 0, pid: 1 }, "info", "off");
        assert_eq!(event.text, "uid 0: set the log's level from info to off: applied");
        assert_eq!((&event.fields["what"], &event.fields["uid"]), (&"log".into(), &0.into()));
        assert!(event.kind.is_audit() && event.client.is_none());
    }

    #[test]
    fn a_whole_set_is_told_by_names_and_stays_a_line() {
        let event = put_all(3);
        assert_eq!(event.text, "token \"ops\": replace all relays: applied, generation 9");
        assert_eq!(
            (event.fields["before"].as_object().unwrap().len(), event.fields["after"]["r0"].as_str()),
            (0, None)
        );
        assert_eq!(event.fields["after"].as_object().unwrap().len(), 2, "what stays as it was is left out");
        assert_eq!(event.fields["after"]["r2"]["input"]["group"], "239.1.0.3");
        assert_eq!(put_all(4000).fields["after"], 3999);
        let event = put_all(1000);
        assert_eq!(event.fields["after"].as_object().unwrap().len(), 999);
        assert!(event.fields["after"]["r999"].is_string(), "a tag");
        let line = serde_json::to_string(&event.fields).unwrap().len();
        assert!(line < 200_000, "{line}");
    }
}
