//! What may be asked of whom, and what comes of it.

use super::{Book, differences};
use crate::desk::{Ask, Expected, Refusal, Switch};
use crate::edit::{Change, Edit};
use crate::tag;
use crate::view::Origin;
use relay_common::plan::{Definition, Plan, Relay};
use relay_common::selector::Selector;
use relay_config::parse;
use std::path::PathBuf;

fn relay(name: &str, last: u8) -> Relay {
    let text = format!(
        "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{last}\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.2.1.{last}\", port = 5000 }}]"
    );
    parse("test", &text).unwrap().plan.relays.remove(0)
}

fn book() -> Book {
    let mut of_file = parse("test", "").unwrap().plan;
    of_file.relays = vec![relay("fixed", 1)];
    Book::new(PathBuf::from("relay.toml"), of_file, [relay("made", 2)])
}

fn put(relay: Relay, expected: Expected) -> Ask {
    Ask::Put { relay, expected }
}

fn remove(name: &str) -> Ask {
    Ask::Remove { name: name.to_owned(), expected: Expected::Anything }
}

#[test]
fn relays_come_from_two_places() {
    let book = book();
    let origins = ["fixed", "made", "no"].map(|name| book.origins().get(name));
    assert_eq!(origins, [Some(Origin::File), Some(Origin::Api), None]);
    assert_eq!(book.plan().relays, [relay("fixed", 1), relay("made", 2)]);
}

#[test]
fn a_new_relay_must_be_new_and_fit_the_others() {
    let after = book().after(&Ask::Create(relay("new", 3))).unwrap();
    assert_eq!(after.of_api.keys().collect::<Vec<_>>(), ["made", "new"]);
    for taken in ["made", "fixed"] {
        assert!(matches!(book().after(&Ask::Create(relay(taken, 9))), Err(Refusal::Exists(name)) if name == taken));
    }
    let Err(Refusal::Invalid(errors)) = book().after(&Ask::Create(relay("same-input", 1))) else { panic!("accepted") };
    assert!(errors.to_string().contains("239.1.1.1 port 5000 is the input of relay \"fixed\" already"), "{errors}");
}

#[test]
fn what_the_file_says_only_the_file_changes() {
    let mute = Ask::Switch { name: "fixed".to_owned(), switch: Switch::Muted(true) };
    let all = Ask::PutAll { relays: vec![relay("fixed", 7)], expected: Expected::Anything };
    for ask in [put(relay("fixed", 7), Expected::Anything), remove("fixed"), mute, all] {
        let refused = book().after(&ask).unwrap_err();
        assert!(matches!(refused, Refusal::OfFile { .. }), "{ask:?}: {refused}");
        assert!(refused.to_string().contains("stands in relay.toml"), "{refused}");
    }
}

#[test]
fn a_lost_race_changes_nothing() {
    let seen = tag::of_relay(&relay("made", 2));
    let expected = |tag: &str| Expected::Tags(vec![tag.to_owned()]);
    let after = book().after(&put(relay("made", 5), expected(&seen))).unwrap();
    assert_eq!(after.of_api["made"], relay("made", 5));
    let lost = after.after(&put(relay("made", 6), expected(&seen))).unwrap_err();
    assert!(matches!(lost, Refusal::Changed { tag: Some(tag) } if tag == tag::of_relay(&relay("made", 5))));
    assert!(matches!(book().after(&put(relay("new", 6), Expected::Something)), Err(Refusal::Changed { tag: None })));
    assert!(matches!(book().after(&put(relay("made", 6), Expected::Nothing)), Err(Refusal::Changed { .. })));
    assert!(book().after(&put(relay("new", 6), Expected::Nothing)).is_ok());
}

#[test]
fn switches_and_removal_need_somebody_there() {
    let switch = |name: &str, switch| Ask::Switch { name: name.to_owned(), switch };
    let after = book().after(&switch("made", Switch::Enabled(false))).unwrap();
    assert!(!after.of_api["made"].enabled);
    let after = after.after(&switch("made", Switch::Muted(true))).unwrap();
    assert!(after.of_api["made"].muted && !after.of_api["made"].enabled);
    for ask in [switch("nobody", Switch::Muted(true)), remove("nobody")] {
        assert!(matches!(book().after(&ask), Err(Refusal::NotFound(name)) if name == "nobody"));
    }
    assert!(book().after(&remove("made")).unwrap().of_api.is_empty());
}

#[test]
fn a_set_replaces_the_set_and_nothing_of_the_file() {
    let all = |relays: &[Relay]| Ask::PutAll { relays: relays.to_vec(), expected: Expected::Anything };
    let after = book().after(&all(&[relay("x", 4), relay("made", 3)])).unwrap();
    let applied = differences(&book().plan(), &after.plan(), 8);
    assert_eq!(applied.changes, ["add relay \"x\"", "change relay \"made\""]);
    assert_eq!(after.after(&all(&[])).unwrap().plan().relays, [relay("fixed", 1)]);
    assert!(matches!(book().after(&all(&[relay("x", 4), relay("x", 5)])), Err(Refusal::Twice(name)) if name == "x"));
    let stale = Ask::PutAll { relays: vec![], expected: Expected::Tags(vec!["0".to_owned()]) };
    assert!(matches!(book().after(&stale), Err(Refusal::Changed { .. })));
}

/// The book with a file that has these relays.
fn with_file(relays: &[Relay]) -> Book {
    let of_file = Plan { relays: relays.to_vec(), ..book().of_file };
    book().with_file(of_file)
}

#[test]
fn where_the_file_and_the_api_clash_the_file_wins_for_those_relays_alone() {
    let mut more = book();
    more.of_api.insert("third".to_owned(), relay("third", 3));
    // One has the name of an API's relay, the other the input of another.
    let of_file = Plan { relays: vec![relay("made", 9), relay("other", 3)], ..more.of_file.clone() };
    let after = more.with_file(of_file);
    assert_eq!(after.plan().relays, [relay("made", 9), relay("other", 3)]);
    assert_eq!(after.shadowed.keys().collect::<Vec<_>>(), ["made", "third"]);
    assert_eq!(after.of_api.len(), 2, "nothing is forgotten");
    assert_eq!(
        ["made", "other", "third"].map(|name| after.origins().get(name)),
        [Some(Origin::File), Some(Origin::File), None]
    );
    assert_eq!(after.relay("made"), Some(&relay("made", 9)));
    // They run again when the file gives way.
    let back = after.with_file(book().of_file);
    assert_eq!(back.plan().relays, [relay("fixed", 1), relay("made", 2), relay("third", 3)]);
}

#[test]
fn what_is_shadowed_is_adopted_by_the_file_or_changed_or_removed() {
    let adopt = |name: &str| Ask::Adopt { name: name.to_owned() };
    let shadowed = with_file(&[relay("made", 9)]);
    let after = shadowed.after(&adopt("made")).unwrap();
    assert!(after.of_api.is_empty() && after.shadowed.is_empty());
    assert_eq!(shadowed.differences(&after, 1).changes, ["adopt relay \"made\""]);
    assert_eq!(after.after(&adopt("made")).unwrap(), after, "it can be asked twice");
    let refused = book().after(&adopt("made")).unwrap_err();
    assert!(refused.to_string().contains("does not stand in relay.toml: write it there"), "{refused}");
    assert!(matches!(book().after(&adopt("nobody")), Err(Refusal::NotFound(_))));
    // Another name, the same input.
    let shadowed = with_file(&[relay("other", 2)]);
    let refused = shadowed.after(&put(relay("made", 2), Expected::Anything)).map(drop);
    assert!(refused.is_ok(), "as it is it may be sent again: {refused:?}");
    assert!(matches!(
        shadowed
            .after(&put(Relay::from(Definition { muted: true, ..(*relay("made", 2)).clone() }), Expected::Anything)),
        Err(Refusal::Invalid(_))
    ));
    let after = shadowed.after(&put(relay("made", 7), Expected::Anything)).unwrap();
    assert_eq!(after.plan().relays, [relay("other", 2), relay("made", 7)]);
    let after = shadowed.after(&remove("made")).unwrap();
    assert_eq!(shadowed.differences(&after, 1).removed, ["made"]);
    // The whole set is sent back as it was shown.
    let all = Ask::PutAll { relays: vec![relay("made", 2)], expected: Expected::Anything };
    assert_eq!(shadowed.after(&all).unwrap(), shadowed);
}

#[test]
fn nothing_that_runs_is_shadowed_by_a_change_of_the_api() {
    let shadowed = with_file(&[relay("other", 2)]);
    let Err(Refusal::Invalid(errors)) = shadowed.after(&Ask::Create(relay("new", 2))) else { panic!("accepted") };
    assert!(errors.to_string().contains("is the input of relay \"made\" already"), "{errors}");
}

#[test]
fn several_relays_change_together_or_not_at_all() {
    let labelled = |name: &str, last: u8, label: &str| {
        Relay::from(Definition {
            labels: [("group".to_owned(), label.to_owned())].into(),
            ..(*relay(name, last)).clone()
        })
    };
    let mut of_file = parse("test", "").unwrap().plan;
    of_file.relays = vec![labelled("filed", 9, "both")];
    let of_api = [labelled("n1", 1, "news"), labelled("n2", 2, "news"), labelled("b", 3, "both")];
    let book = Book::new("/etc/mcr/relay.toml".into(), of_file, of_api);
    let many = |condition: &str, names: &[&str], edit: Edit| {
        let selector = Selector::parse(&[], &[condition]).unwrap();
        book.after(&Ask::Many { selector, names: names.iter().map(|name| (*name).to_owned()).collect(), edit })
    };
    let mute = || Edit::Change(Change { muted: Some(true), ..Change::default() });
    let muted = many("group=news", &["n1", "n2"], mute()).unwrap();
    let of = |book: &Book, name: &str| book.of_api[name].clone();
    assert!(of(&muted, "n1").muted && of(&muted, "n2").muted && !of(&muted, "b").muted);
    let gone = many("group=news", &["n1", "n2"], Edit::Remove).unwrap();
    assert_eq!(gone.of_api.keys().collect::<Vec<_>>(), ["b"]);
    // One of them is the file's.
    let refused = many("group=both", &["b", "filed"], mute()).unwrap_err();
    assert!(matches!(&refused, Refusal::OfFile { name, .. } if name == "filed"), "{refused}");
    // Others than whoever asked has seen.
    assert!(matches!(many("group=news", &["n1"], mute()), Err(Refusal::Changed { .. })));
    assert!(matches!(many("group=nwes", &[], mute()), Err(Refusal::NoneMeant(_))));
    let labels = (0..17).map(|i| (format!("l{i}"), Some("x".to_owned()))).collect();
    let refused = many("group=news", &["n1", "n2"], Edit::Change(Change { labels, ..Change::default() })).unwrap_err();
    assert_eq!(refused.to_string(), "relay \"n1\" labels: would be 18 labels: keep at most 16");
    let labels = [("group".to_owned(), None), ("site".to_owned(), Some("a".to_owned()))].into();
    let changed = many("group=news", &["n1", "n2"], Edit::Change(Change { labels, ..Change::default() })).unwrap();
    assert_eq!(of(&changed, "n2").labels, [("site".to_owned(), "a".to_owned())].into());
}
