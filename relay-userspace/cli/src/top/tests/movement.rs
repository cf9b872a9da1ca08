//! What keys do, and what is drawn anew for which reason.

use super::super::node::Answer;
use super::super::state::{Happening, News, Page, Pane, State, Wants};
use super::stage::{NOW, answer, event, press, relay, seen, state, told, why};
use crate::document::name_of;
use relay_common::selector::Selector;
use std::time::Duration;

/// The row under the cursor.
#[track_caller]
fn row(state: &State) -> String {
    let seen = seen(state);
    let row = seen.lines().skip(3).find(|line| line.starts_with("> "));
    row.unwrap_or_else(|| panic!("no cursor:\n{seen}")).to_owned()
}

#[track_caller]
fn on(state: &State, name: &str) {
    assert!(row(state)[2..].starts_with(name), "{name}: {}", row(state));
}

fn names(state: &State) -> Vec<&str> {
    state.listed().iter().map(|relay| name_of(&relay.definition)).collect()
}

#[test]
fn the_cursor_stays_on_its_relay() {
    let mut state = state(80, 24);
    on(&state, "ch1");
    press(&mut state, "<down>");
    on(&state, "ch2");
    let mut more = answer();
    more.relays.insert(0, relay("a-new-one", "running", 1.0));
    state.take(told(more.clone()), NOW);
    on(&state, "ch2");
    press(&mut state, "<end>");
    on(&state, "sport-uhd");
    press(&mut state, "<home>");
    more.relays.insert(0, relay("a", "running", 1.0));
    state.take(told(more), NOW);
    on(&state, "a ");
    press(&mut state, "<pgdn><up>");
    on(&state, "spare");
    let mut fewer = answer();
    fewer.relays.truncate(2);
    state.take(told(fewer), NOW);
    on(&state, "ch2");
    state.take(told(Answer { relays: Vec::new(), ..answer() }), NOW);
    assert!(seen(&state).contains("there are no relays"));
    press(&mut state, "<down><pgup><enter>");
    assert!(matches!(state.page, Page::None));
}

#[test]
fn a_long_list_is_walked_through() {
    let mut state = state(80, 24);
    let mut many = answer();
    many.relays = (0..100).map(|n| relay(&format!("ch{n:02}"), "running", 1.0)).collect();
    state.take(told(many), NOW);
    press(&mut state, "<pgdn>");
    on(&state, "ch20");
    press(&mut state, "<end>");
    on(&state, "ch99");
    assert!(seen(&state).lines().nth(3).unwrap().contains("ch80"));
    state.take(Happening::Resize(80, 10), NOW);
    on(&state, "ch99");
    press(&mut state, "<pgup>");
    on(&state, "ch93");
}

#[test]
fn panes_change_and_want_what_they_show() {
    let mut state = state(80, 24);
    let mut panes = vec![state.pane];
    for keys in ["<tab>", "<tab>", "<tab>", "<tab>", "<backtab>", "2", "3", "4", "1"] {
        press(&mut state, keys);
        panes.push(state.pane);
    }
    use Pane::{Events, Lanes, Links, Relays};
    assert_eq!(panes, [Relays, Lanes, Links, Events, Relays, Events, Lanes, Links, Events, Relays]);
    assert_eq!(state.wants(), Wants::default());
    press(&mut state, "2");
    assert_eq!(state.wants(), Wants { relay: None, busy: true });
    press(&mut state, "1<down><enter>");
    assert_eq!(state.wants(), Wants { relay: Some("ch2".into()), busy: false });
}

#[test]
fn a_relay_is_opened_told_of_and_left() {
    let mut state = state(80, 24);
    press(&mut state, "<enter>");
    assert!(seen(&state).contains("asking …"));
    let told_why = |relay: &str| Happening::News(News::Why(relay.into(), Ok(Box::new(why(relay)))));
    assert!(!state.take(told_why("ch2"), NOW), "it is not looked at any more");
    assert!(state.take(told_why("ch1"), NOW));
    assert!(seen(&state).contains("what to do: is it on?"));
    press(&mut state, "<end>");
    let end = state.scroll;
    press(&mut state, "<down><pgdn>");
    assert_eq!(state.scroll, end, "the end is the end");
    press(&mut state, "<up><home>");
    assert_eq!(state.scroll, 0);
    let mut gone = answer();
    gone.relays.remove(0);
    state.take(told(gone), NOW);
    assert!(seen(&state).contains("it is gone"));
    state.take(Happening::News(News::Why("ch1".into(), Err("there is no relay \"ch1\"".into()))), NOW);
    assert!(seen(&state).contains("there is no relay \"ch1\""));
    press(&mut state, "<esc>");
    assert!(matches!(state.page, Page::None) && state.wants().relay.is_none());
}

#[test]
fn help_leads_back_to_where_it_was_asked_for() {
    let mut state = state(80, 24);
    press(&mut state, "<enter>?");
    assert!(matches!(state.page, Page::Help));
    press(&mut state, "<esc>");
    assert!(matches!(state.page, Page::Relay(..)));
    press(&mut state, "<esc>?<esc>");
    assert!(matches!(state.page, Page::None));
}

#[test]
fn an_event_leads_to_its_relay() {
    let mut state = state(80, 24);
    state.take(Happening::News(News::Events(vec![event(31, "gone"), event(32, "ch3")])), NOW);
    press(&mut state, "4<enter>");
    assert_eq!(state.wants().relay.as_deref(), Some("ch3"));
    press(&mut state, "<esc><down><enter>");
    assert!(matches!(state.page, Page::None), "a relay that is gone has no page");
    let before = row(&state);
    state.take(Happening::News(News::Events(vec![event(33, "ch1")])), NOW);
    assert_eq!(row(&state), before, "who has moved to an event stays there");
    press(&mut state, "<home>");
    state.take(Happening::News(News::Events(vec![event(34, "ch1")])), NOW);
    assert!(row(&state).contains("event 34"));
}

#[test]
fn only_what_is_meant_is_shown_and_labels_are_searched_too() {
    let mut state = state(80, 24);
    let mut answer = answer();
    let label = |relay: &mut relay_config::model::Relay, group: &str| {
        relay.definition.insert("labels".to_owned(), serde_json::json!({ "group": group }));
    };
    label(&mut answer.relays[0], "news");
    label(&mut answer.relays[3], "News-HD");
    state.take(told(answer), NOW);
    press(&mut state, "/group=news");
    assert_eq!(names(&state), ["ch1", "news-hd"]);
    press(&mut state, "<esc>");
    state.selector = Selector::parse(&["ch*"], &["group!=sport"]).unwrap();
    assert_eq!(names(&state), ["ch1", "ch2", "ch3"]);
    state.selector = Selector::parse(&[], &["group=x"]).unwrap();
    press(&mut state, "<down>");
    assert!(seen(&state).contains("no relay is as the filter says"));
}

#[test]
fn names_are_chosen_from() {
    let mut state = state(80, 24);
    press(&mut state, "/Qp");
    assert!(names(&state).is_empty() && seen(&state).contains("no relay is as the filter says"));
    assert!(!state.is_over(), "letters are letters");
    press(&mut state, "<back><back>*2");
    assert_eq!(names(&state), ["ch2"]);
    press(&mut state, "<enter>q");
    assert!(state.is_over());
    press(&mut state, "<esc>");
    assert_eq!(names(&state).len(), 6);
    press(&mut state, "/uhd<esc>");
    assert!(names(&state).len() == 6 && !state.is_typing);
}

#[test]
fn sorting_begins_at_the_top() {
    let mut state = state(80, 24);
    press(&mut state, "<end>s");
    assert_eq!(names(&state)[0], "ch2", "what needs a look");
    on(&state, "ch2");
    press(&mut state, "s");
    on(&state, "ch3");
    press(&mut state, "r");
    on(&state, "ch2");
    assert!(seen(&state).contains("s r sort: in ▲"));
}

#[test]
fn what_is_paused_does_not_move_and_misses_nothing() {
    let mut state = state(80, 24);
    press(&mut state, "p");
    let held = seen(&state);
    assert!(held.starts_with("PAUSED"));
    let mut other = answer();
    other.relays[0].status.state = "silent".into();
    assert!(!state.take(told(other), NOW + Duration::from_secs(1)));
    assert!(!state.take(Happening::News(News::Events(vec![event(31, "ch1")])), NOW));
    assert_eq!(seen(&state), held);
    // A relay that is opened now is asked about all the same.
    press(&mut state, "<enter>");
    assert!(state.take(Happening::News(News::Why("ch1".into(), Ok(Box::new(why("ch1"))))), NOW));
    press(&mut state, "<esc>p");
    assert!(seen(&state).lines().nth(3).unwrap().contains("silent") && seen(&state).contains("4 events 31"));
}

#[test]
fn silence_is_told_second_by_second_and_ends_with_an_answer() {
    let mut state = state(80, 24);
    let at = |ms: u64| NOW + Duration::from_millis(ms);
    assert!(!state.take(Happening::Tick, at(500)) && !state.take(Happening::Tick, at(2900)));
    assert!(!state.take(Happening::News(News::Failed("refused".into())), at(2900)), "a moment is not told");
    assert!(state.take(Happening::Tick, at(3100)));
    assert!(seen(&state).contains("no answer for 3 s: refused"));
    assert!(!state.take(Happening::Tick, at(3600)), "nothing new is to be seen");
    assert!(state.take(Happening::Tick, at(4100)));
    assert!(state.take(Happening::News(News::Failed("other\u{1b}[2J".into())), at(4200)));
    assert!(seen(&state).contains("no answer for 4 s: other?[2J"));
    assert!(state.take(told(answer()), at(4300)));
    assert!(seen(&state).contains("healthy, ready"));
    // Who always needs long is not told to be silent each time.
    let slow = Answer { took: Duration::from_secs(4), ..answer() };
    state.take(told(slow), at(5000));
    assert!(!state.take(Happening::Tick, at(14_900)) && state.take(Happening::Tick, at(15_100)));
}

#[test]
fn it_ends_when_asked_to() {
    for keys in ["q", "<ctrl-c>", "?q", "<enter>q", "/a<ctrl-c>", "pq"] {
        let mut state = state(80, 24);
        press(&mut state, keys);
        assert!(state.is_over(), "{keys}");
    }
}
