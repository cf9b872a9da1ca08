//! Which inputs fell silent, which came back, and whose packets come round: looked for on each round of control, told as
//! events.

use super::loops::Loops;
use super::{Event, Kind};
use crate::observe::stream;
use crate::view::View;
use relay_common::plan::Relay;
use relay_common::silence::{Turn, Watch};
use std::collections::VecDeque;

/// So much is told at once: thousands of streams fall silent in the same moment when their source does.
const TOLD_AT_ONCE: usize = 256;

/// The watch over all streams of a node, by slots.
#[derive(Debug, Default)]
pub struct Streams {
    watched: Vec<Option<(String, Watch)>>,
    /// What was seen and is not told yet, and when.
    untold: VecDeque<(Relay, Turn, u64)>,
    loops: Loops,
}

impl Streams {
    /// Looks at every enabled relay. The answer is what there is to tell of loops; what there is of streams is [`Self::tell`].
    #[must_use]
    pub fn tick(&mut self, view: &View, now: u64) -> Vec<Event> {
        let events = self.loops.tick(view, now);
        self.watched.resize_with(view.table.relays.len(), || None);
        for (watched, relay) in self.watched.iter_mut().zip((0u32..).zip(&view.table.relays)) {
            let (slot, Some(relay)) = relay else {
                *watched = None;
                continue;
            };
            // A disabled relay takes nothing in, and nobody wonders.
            if !relay.relay.enabled {
                *watched = None;
                continue;
            }
            let seen = stream::seen(&view.lanes, slot);
            let name = &relay.relay.name;
            // The slot may have been another relay's.
            let watched = match watched {
                Some((of, watch)) if of == name => watch,
                _ => {
                    *watched = Some((name.clone(), Watch::new(seen, now)));
                    continue;
                }
            };
            if let Some(turn) = watched.look(seen, stream::silence_after(&relay.relay), now) {
                self.untold.push_back((relay.relay.clone(), turn, now));
            }
        }
        events
    }

    /// The next of what was seen; nothing when all is told.
    #[must_use]
    pub fn tell(&mut self) -> Vec<Event> {
        let next = self.untold.len().min(TOLD_AT_ONCE);
        self.untold.drain(..next).map(|(relay, turn, at)| event(&relay, turn, at)).collect()
    }

    /// Whether there is more to tell.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.untold.is_empty()
    }

    /// How many streams are interrupted now.
    #[must_use]
    pub fn n_silent(&self) -> usize {
        self.watched.iter().flatten().filter(|(_, watch)| watch.is_silent()).count()
    }
}

fn event(relay: &Relay, turn: Turn, now: u64) -> Event {
    let name = &relay.name;
    let input = stream::input(relay);
    let seconds = |ns: u64| (ns / 1_000_000) as f64 / 1000.0;
    match turn {
        Turn::Interrupted { since, came_before } => {
            let silent = seconds(now.saturating_sub(since));
            let text = if came_before {
                format!("relay \"{name}\": nothing has come from {input} for {silent:.1} s: mcr why {name}")
            } else {
                format!("relay \"{name}\": nothing has come from {input} yet: mcr why {name}")
            };
            let event = Event::new(Kind::StreamInterrupted, text).with("came_before", came_before);
            event.with("relay", name.as_str()).with("input", input).with("silent_s", silent)
        }
        Turn::Restored { silent_ns } => {
            let silent = seconds(silent_ns);
            let text = format!("relay \"{name}\": {input} is back after {silent:.1} s");
            let event = Event::new(Kind::StreamRestored, text);
            event.with("relay", name.as_str()).with("input", input).with("silent_s", silent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Streams, TOLD_AT_ONCE};
    use crate::observe::fixtures::Node;

    const MS: u64 = 1_000_000;

    fn names(events: &[crate::events::Event]) -> Vec<(&'static str, String)> {
        events.iter().map(|event| (event.kind.name(), event.subject())).collect()
    }

    /// Ticks every 200 ms; the slots in `flowing` get a packet before each.
    fn run(streams: &mut Streams, node: &Node, flowing: &[u32], from: u64, to: u64) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        for at in (from..to).step_by(200) {
            for slot in flowing {
                node.lane(at / 200 % 2).received(*slot, 100, at * MS);
            }
            assert!(streams.tick(&node.view, at * MS).is_empty(), "no loops");
            told.extend(names(&streams.tell()));
        }
        told
    }

    #[test]
    fn the_one_that_stops_is_told_of_and_no_other() {
        let node = Node::new(&["one", "two"]);
        let mut streams = Streams::default();
        assert!(run(&mut streams, &node, &[0, 1], 1000, 4000).is_empty());
        let told = run(&mut streams, &node, &[0], 4000, 7000);
        assert_eq!(told, [("stream.interrupted", "two".to_owned())]);
        assert_eq!(streams.n_silent(), 1);
        assert_eq!(run(&mut streams, &node, &[0, 1], 7000, 10_000), [("stream.restored", "two".to_owned())]);
        assert_eq!(streams.n_silent(), 0);
    }

    #[test]
    fn a_relay_in_the_slot_of_another_begins_anew() {
        let mut node = Node::new(&["one"]);
        let mut streams = Streams::default();
        run(&mut streams, &node, &[0], 1000, 3000);
        node.relay(0).relay.name = "other".to_owned();
        let told = run(&mut streams, &node, &[], 3000, 5000);
        assert_eq!(told, [("stream.interrupted", "other".to_owned())]);
        node.relay(0).relay.enabled = false;
        assert!(run(&mut streams, &node, &[], 5000, 9000).is_empty(), "nobody wonders");
        assert_eq!(streams.n_silent(), 0);
    }

    #[test]
    fn the_text_says_what_and_since_when() {
        let node = Node::new(&["one"]);
        let mut streams = Streams::default();
        run(&mut streams, &node, &[0], 1000, 3000);
        assert!(streams.tick(&node.view, 4500 * MS).is_empty());
        let events = streams.tell();
        assert_eq!(events[0].text, "relay \"one\": nothing has come from in0/239.1.0.1:5000 for 1.7 s: mcr why one");
        assert_eq!(events[0].fields["silent_s"], 1.7);
    }

    #[test]
    fn all_streams_of_a_large_node_are_told_one_part_after_the_other() {
        let relays: Vec<String> = (0..TOLD_AT_ONCE + 44).map(|n| format!("r{n}")).collect();
        let node = Node::new(&relays.iter().map(String::as_str).collect::<Vec<_>>());
        let mut streams = Streams::default();
        for at in [1000, 4000] {
            assert!(streams.tick(&node.view, at * MS).is_empty());
        }
        assert_eq!(streams.n_silent(), relays.len());
        let told = |streams: &mut Streams| (streams.tell().len(), streams.has_more());
        assert_eq!(told(&mut streams), (TOLD_AT_ONCE, true));
        assert_eq!([told(&mut streams), told(&mut streams)], [(44, false), (0, false)]);
    }
}
