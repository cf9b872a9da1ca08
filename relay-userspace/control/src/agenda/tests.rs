//! What comes before what.

use super::{Agenda, End, Job, MOST_NOTICES};
use crate::desk::{Ask, Asked, Expected, How, QUEUE, Switch, Who};
use crate::edit::{Change, Edit};
use crate::link::event::LinkEvent;
use crate::urgent::Urgent;
use relay_common::plan::{Definition, Relay};
use relay_common::selector::Selector;
use relay_config::parse;
use tokio::sync::oneshot;

fn asks(id: u64, ask: Ask) -> Box<Asked> {
    Box::new(Asked { id, who: Who::File, ask, how: How::default(), answer: oneshot::channel().0 })
}

fn asked() -> Box<Asked> {
    asks(1, Ask::Reload)
}

fn relay(name: &str) -> Relay {
    let text = format!(
        "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.1\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.2.1.1\", port = 5001 }}]\n"
    );
    parse("test", &text).unwrap().plan.relays.remove(0)
}

fn switch(name: &str, switch: Switch) -> Ask {
    Ask::Switch { name: name.into(), switch }
}

fn many(names: &[&str], change: Change) -> Ask {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Ask::Many { selector: Selector::default(), names, edit: Edit::Change(change) }
}

fn muted(muted: bool) -> Change {
    Change { muted: Some(muted), ..Change::default() }
}

/// The numbers of the changes in the order in which they are carried out.
fn order(agenda: &mut Agenda) -> Vec<u64> {
    let mut ids = Vec::new();
    while let Some(Job::Change(asked, _)) = agenda.take_next() {
        ids.push(asked.id);
    }
    ids
}

#[test]
fn silence_does_not_wait_and_keeps_its_own_order() {
    let mut agenda = Agenda::default();
    let all = [
        Ask::Reload,
        switch("a", Switch::Muted(false)),
        switch("a", Switch::Muted(true)),
        switch("b", Switch::Enabled(false)),
        switch("c", Switch::Muted(true)),
        Ask::Remove { name: "a".into(), expected: Expected::Anything },
        many(&["a", "b"], muted(true)),
        many(&["a", "b"], Change { enabled: Some(true), ..muted(true) }),
    ];
    for (id, ask) in (1..).zip(all) {
        agenda.ask(asks(id, ask), |name| name != "c").unwrap();
    }
    let mut dry = asks(9, switch("a", Switch::Muted(true)));
    dry.how.dry = true;
    agenda.ask(dry, |_| true).unwrap();
    assert_eq!(
        order(&mut agenda),
        [3, 4, 7, 1, 2, 5, 6, 8, 9],
        "c is not there yet, 8 is not silence alone, and 9 only asks"
    );
}

#[test]
fn what_would_undo_it_is_taken_out_and_nothing_else() {
    let mut agenda = Agenda::default();
    let silent = Relay::from(Definition { muted: true, ..(*relay("a")).clone() });
    let put = |relay: Relay| Ask::Put { relay, expected: Expected::Anything };
    let all = |relays: &[&Relay]| Ask::PutAll {
        relays: relays.iter().copied().cloned().collect(),
        expected: Expected::Anything,
    };
    let asked = [
        put(relay("a")),
        put(relay("b")),
        put(silent.clone()),
        switch("a", Switch::Muted(false)),
        switch("a", Switch::Enabled(true)),
        all(&[&relay("b"), &relay("a")]),
        all(&[&relay("b"), &silent]),
        all(&[&relay("b")]),
        Ask::Remove { name: "a".into(), expected: Expected::Anything },
        Ask::Reload,
        many(&["b", "a"], muted(false)),
        many(&["b"], muted(false)),
        many(&["b", "a"], Change { enabled: Some(true), ..Change::default() }),
    ];
    for (id, ask) in (1..).zip(asked) {
        agenda.ask(asks(id, ask), |_| true).unwrap();
    }
    let urgent = Urgent { relays: ["a".to_owned()].into(), mutes: true, disables: false };
    // What was asked for after it was meant.
    agenda.ask(asks(15, switch("a", Switch::Muted(false))), |_| true).unwrap();
    let undo = agenda.overtaken(14, &urgent);
    assert!(undo.iter().all(|(_, relay)| relay == "a"));
    assert_eq!(undo.iter().map(|(asked, _)| asked.id).collect::<Vec<_>>(), [1, 4, 6, 11]);
    assert_eq!(order(&mut agenda), [2, 3, 5, 7, 8, 9, 10, 12, 13, 15]);
}

/// What comes next, in a letter.
fn next(agenda: &mut Agenda) -> char {
    match agenda.take_next() {
        None => '-',
        Some(Job::Change(..)) => 'c',
        Some(Job::Reload) => 'f',
        Some(Job::FollowLinks { .. }) => 'l',
        Some(Job::GiveSocketsAgain) => 's',
        Some(Job::Reclaim { .. }) => 'r',
        Some(Job::Inspect) => 'i',
        Some(Job::End(_)) => 'e',
    }
}

#[test]
fn changes_and_what_is_due_take_turns_and_lanes_come_first() {
    let mut agenda = Agenda::default();
    assert_eq!(next(&mut agenda), '-');
    for _ in 0..3 {
        agenda.ask(asked(), |_| true).unwrap();
    }
    agenda.note(LinkEvent::RouteChanged);
    agenda.links_settled();
    agenda.inspect();
    agenda.reclaim(0, 1);
    agenda.give_sockets_again();
    let order: String = (0..8).map(|_| next(&mut agenda)).collect();
    assert_eq!(order, "srclcic-");
}

#[test]
fn what_is_wrong_is_told_before_a_look_at_the_links_puts_it_back() {
    let mut agenda = Agenda::default();
    agenda.look_at_links();
    agenda.inspect();
    assert_eq!((next(&mut agenda), next(&mut agenda), next(&mut agenda)), ('i', 'l', '-'));
}

#[test]
fn links_that_change_all_the_time_keep_nobody_waiting() {
    let mut agenda = Agenda::default();
    let mut order = String::new();
    for _ in 0..3 {
        agenda.ask(asked(), |_| true).unwrap();
    }
    for _ in 0..6 {
        agenda.note(LinkEvent::RouteChanged);
        agenda.links_settled();
        order.push(next(&mut agenda));
    }
    assert_eq!(order, "clclcl");
}

#[test]
fn links_that_change_all_the_time_keep_nothing_else_from_being_looked_at() {
    let mut agenda = Agenda::default();
    let mut order = String::new();
    for _ in 0..6 {
        agenda.note(LinkEvent::RouteChanged);
        agenda.links_settled();
        agenda.inspect();
        order.push(next(&mut agenda));
    }
    assert_eq!(order, "lilili");
}

#[test]
fn a_reload_that_nobody_waits_for_is_not_refused_and_starves_nobody() {
    let mut agenda = Agenda::default();
    for _ in 0..QUEUE {
        agenda.ask(asked(), |_| true).unwrap();
    }
    agenda.reload();
    agenda.reload();
    assert_eq!(next(&mut agenda), 'f', "it comes first");
    agenda.reload();
    assert_eq!([(); 3].map(|()| next(&mut agenda)), ['c', 'f', 'c'], "in turns, and once each");
    assert!((2..QUEUE).all(|_| next(&mut agenda) == 'c'));
    agenda.reload();
    assert_eq!([(); 2].map(|()| next(&mut agenda)), ['f', '-']);
}

#[test]
fn notices_are_read_once_they_have_settled_and_have_a_bound() {
    let mut agenda = Agenda::default();
    assert!(agenda.note(LinkEvent::RouteChanged) && !agenda.note(LinkEvent::LinkChanged { ifindex: 1, gone: false }));
    assert_eq!(next(&mut agenda), '-', "they settle");
    agenda.links_settled();
    let Some(Job::FollowLinks { notices, anyway: false }) = agenda.take_next() else { panic!("links") };
    assert_eq!(notices, [LinkEvent::RouteChanged, LinkEvent::LinkChanged { ifindex: 1, gone: false }]);
    for ifindex in 0..2 * u32::try_from(MOST_NOTICES).unwrap() {
        agenda.note(LinkEvent::AddressChanged { ifindex });
    }
    agenda.look_at_links();
    let Some(Job::FollowLinks { notices, anyway: true }) = agenda.take_next() else { panic!("links") };
    assert_eq!(notices, [LinkEvent::Lost]);
    assert!(agenda.note(LinkEvent::RouteChanged), "the first again");
}

#[test]
fn only_so_many_wait_and_the_end_comes_before_all() {
    let mut agenda = Agenda::default();
    for _ in 0..QUEUE {
        agenda.ask(asked(), |_| true).unwrap();
    }
    agenda.ask(asked(), |_| true).unwrap_err();
    agenda.ask(asks(2, switch("a", Switch::Muted(true))), |_| true).unwrap();
    agenda.end(End::Stops);
    agenda.end(End::Restarts);
    assert!(matches!(agenda.take_next(), Some(Job::End(End::Stops))));
    assert_eq!(agenda.give_up().len(), QUEUE + 1);
}
