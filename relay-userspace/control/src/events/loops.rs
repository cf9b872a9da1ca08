//! Which relays' packets come round over other nodes, and which do no more: told as events.

use super::{Event, Kind};
use crate::observe::round_trip;
use crate::view::View;

/// What was told of each relay, by slots.
#[derive(Debug, Default)]
pub(super) struct Loops {
    told: Vec<Option<String>>,
}

impl Loops {
    /// Looks at every relay. The answer is what there is to tell.
    #[must_use]
    pub(super) fn tick(&mut self, view: &View, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        self.told.resize_with(view.table.relays.len(), || None);
        for (told, (slot, relay)) in self.told.iter_mut().zip((0u32..).zip(&view.table.relays)) {
            let Some(relay) = relay else {
                *told = None;
                continue;
            };
            let name = &relay.relay.name;
            let was_told = told.as_ref() == Some(name);
            match round_trip::found(&view.lanes, slot, now) {
                Some(found) if !was_told => {
                    let [a, b, c, d, e, f] = found.mac;
                    let from = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
                    let text = format!("relay \"{name}\": {}", round_trip::text(&relay.relay, found));
                    let event = Event::new(Kind::LoopDetected, text).with("relay", name.as_str()).with("from", from);
                    events.push(event.with("ttl", found.ttl).with("all", found.all));
                    *told = Some(name.clone());
                }
                None if was_told => {
                    let text = format!("relay \"{name}\": what it sends does not come round any more");
                    events.push(Event::new(Kind::LoopEnded, text).with("relay", name.as_str()));
                    *told = None;
                }
                None => *told = None,
                Some(_) => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::Loops;
    use crate::observe::fixtures::Node;
    use relay_common::abi::Address;
    use relay_common::counters::relay;
    use relay_common::looping::Sender;
    use relay_common::meter::Tally as _;

    #[test]
    fn a_loop_is_told_of_once_with_its_sender_and_when_it_is_gone() {
        let node = Node::new(&["one", "two"]);
        let mut loops = Loops::default();
        assert!(loops.tick(&node.view, 1000).is_empty());
        let mut line = node.lane(1).received(1, 100, 1000);
        let sender = Sender { mac: [2, 0, 0, 0, 0, 9], ttl: 16, source: Address::NONE };
        line.set(relay::LOOP_FROM, sender.word(false));
        line.set(relay::LOOPS_UNTIL, 5000);
        let events = loops.tick(&node.view, 2000);
        assert_eq!((events.len(), events[0].kind.name(), events[0].subject()), (1, "loop.detected", "two".to_owned()));
        assert_eq!((&events[0].fields["from"], &events[0].fields["ttl"]), (&"02:00:00:00:00:09".into(), &16.into()));
        assert!(events[0].text.contains("in0/239.1.0.2:5000, from 02:00:00:00:00:09, TTL 16"), "{}", events[0].text);
        assert!(loops.tick(&node.view, 4999).is_empty(), "once");
        let events = loops.tick(&node.view, 5000);
        assert_eq!((events.len(), events[0].kind.name(), events[0].subject()), (1, "loop.ended", "two".to_owned()));
        assert!(loops.tick(&node.view, 6000).is_empty());
    }
}
