//! What is known of the node.

use super::busy::{self, Busy};
use super::history::History;
use crate::document::name_of;
use relay_config::model::{Event, Link, Relay, Status};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// So many events are kept: as many as the node keeps.
pub(super) const EVENTS: usize = 1000;

/// What the node answered when it was asked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// How long it took.
    pub(super) took: Duration,
    pub(super) status: Status,
    pub(super) relays: Vec<Relay>,
    pub(super) links: Vec<Link>,
    /// How long each lane was busy, if that was asked.
    pub(super) busy: Option<busy::Seconds>,
}

/// What is known of the node.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    /// What it answered last, and when.
    pub(super) answer: Option<(Duration, Answer)>,
    /// The rates that came in, by relay.
    pub(super) histories: BTreeMap<String, History>,
    /// How busy its lanes are.
    pub(super) busy: Busy,
    /// What happened, the newest first.
    pub(super) events: VecDeque<Event>,
}

impl Node {
    /// Takes an answer. Relays that are gone are forgotten.
    pub(super) fn note(&mut self, now: Duration, mut answer: Answer) {
        self.busy.note(now, answer.busy.take());
        let mut before = std::mem::take(&mut self.histories);
        for relay in &answer.relays {
            let (name, mut history) = before
                .remove_entry(name_of(&relay.definition))
                .unwrap_or_else(|| (name_of(&relay.definition).to_owned(), History::default()));
            history.note(now, relay.status.input.pps);
            self.histories.insert(name, history);
        }
        self.answer = Some((now, answer));
    }

    /// Takes events, the oldest first.
    pub(super) fn happened(&mut self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.events.push_front(event));
        self.events.truncate(EVENTS);
    }

    pub(super) fn status(&self) -> Option<&Status> {
        self.answer.as_ref().map(|(_, answer)| &answer.status)
    }

    pub(super) fn relays(&self) -> &[Relay] {
        self.answer.as_ref().map_or(&[], |(_, answer)| &answer.relays)
    }

    pub(super) fn links(&self) -> &[Link] {
        self.answer.as_ref().map_or(&[], |(_, answer)| &answer.links)
    }

    pub(super) fn relay(&self, name: &str) -> Option<&Relay> {
        self.relays().iter().find(|relay| name_of(&relay.definition) == name)
    }

    /// The last minute of what a relay takes in, in so many parts. Each number holds until the node is asked again.
    pub(super) fn minute(&self, relay: &str, n: usize, interval: Duration) -> Vec<Option<f64>> {
        let parts = |history: &History, now: Duration| history.parts(now, n, interval * 2);
        let (history, answer) = (self.histories.get(relay), self.answer.as_ref());
        history.zip(answer).map_or_else(|| vec![None; n], |(history, (now, _))| parts(history, *now))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::stage::{answer, event, relay};
    use super::*;

    #[test]
    fn relays_that_are_gone_are_forgotten() {
        let mut node = Node::default();
        let with = |names: &[&str]| Answer {
            relays: names.iter().map(|name| relay(name, "running", 7.0)).collect(),
            ..answer()
        };
        node.note(Duration::from_secs(100), with(&["a", "b"]));
        node.note(Duration::from_secs(101), with(&["b", "c"]));
        assert_eq!(node.histories.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(node.minute("b", 60, Duration::from_secs(1))[58..], [Some(7.0), Some(7.0)]);
        assert_eq!(node.minute("a", 2, Duration::from_secs(1)), [None, None]);
        assert!(node.relay("a").is_none() && node.relay("c").is_some());
    }

    #[test]
    fn the_newest_event_stands_first_and_the_oldest_goes() {
        let mut node = Node::default();
        node.happened((0..EVENTS as u64 + 5).map(|id| event(id, "ch1")).collect());
        assert_eq!(node.events.len(), EVENTS);
        assert_eq!([0, EVENTS - 1].map(|i| node.events[i].id.as_str()), ["1004", "5"]);
    }
}
