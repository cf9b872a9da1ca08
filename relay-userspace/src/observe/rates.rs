//! Packets and bytes a second, from looks at the counters some seconds apart. Whoever serves the API looks once a
//! second; whoever asks gets what is there.

use crate::control::view::View;
use arc_swap::ArcSwap;
use relay_common::counters::{output, relay};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many looks are kept: with one a second, a rate is over four seconds.
const KEPT: usize = 5;

/// What was counted at one end of a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    packets: u64,
    bytes: u64,
}

/// One look: relays by slots, outputs by counters.
#[derive(Debug, Default)]
struct Look {
    at: u64,
    relays: Vec<Counted>,
    outputs: Vec<Counted>,
}

/// How much passes in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Packets.
    pub pps: f64,
    /// Bits.
    pub bps: f64,
}

/// The last looks. Its memory is that of five times the node's relays and outputs, sixteen bytes each.
#[derive(Debug, Default)]
pub struct Rates(ArcSwap<VecDeque<Arc<Look>>>);

impl Rates {
    /// Looks at the counters. Once a second is right; one thread only.
    pub fn look(&self, view: &View, now: u64) {
        let sum = |read: &dyn Fn(&crate::memory::counters::Counters) -> u64| -> u64 {
            view.lanes.iter().map(|lane| read(&lane.counters)).sum()
        };
        let mut look = Look { at: now, ..Look::default() };
        look.relays.resize(view.table.relays.len(), Counted::default());
        for (slot, built) in view.table.slots() {
            look.relays[slot as usize] = Counted {
                packets: sum(&|lane| lane.get_relay(slot, relay::PACKETS)),
                bytes: sum(&|lane| lane.get_relay(slot, relay::BYTES)),
            };
            for counter in built.outputs.iter().map(|output| output.counter) {
                let place = counter as usize;
                if look.outputs.len() <= place {
                    look.outputs.resize(place + 1, Counted::default());
                }
                look.outputs[place] = Counted {
                    packets: sum(&|lane| lane.get_output(counter, output::PACKETS)),
                    bytes: sum(&|lane| lane.get_output(counter, output::BYTES)),
                };
            }
        }
        let mut looks = VecDeque::clone(&self.0.load());
        looks.push_back(Arc::new(look));
        while looks.len() > KEPT {
            looks.pop_front();
        }
        self.0.store(Arc::new(looks));
    }

    /// What comes in for a slot.
    #[must_use]
    pub fn relay(&self, slot: u32) -> Rate {
        self.rate(|look| look.relays.get(slot as usize))
    }

    /// What goes out by an output, by its counter.
    #[must_use]
    pub fn output(&self, counter: u32) -> Rate {
        self.rate(|look| look.outputs.get(counter as usize))
    }

    fn rate(&self, read: impl Fn(&Look) -> Option<&Counted>) -> Rate {
        let looks = self.0.load();
        let Some(last) = looks.back() else { return Rate::default() };
        // What came since counts from the first look at it. A relay that was not there then, or whose counters began
        // anew, has no rate yet.
        let first = looks.iter().find_map(|look| Some((look.at, read(look)?)));
        let (Some((from, before)), Some(after)) = (first, read(last)) else { return Rate::default() };
        let seconds = last.at.saturating_sub(from) as f64 / 1e9;
        if seconds <= 0.0 {
            return Rate::default();
        }
        let per_second = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        Rate { pps: per_second(before.packets, after.packets), bps: per_second(before.bytes, after.bytes) * 8.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, Rate, Rates};
    use crate::observe::fixtures::Node;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_rate_is_over_the_last_seconds() {
        let node = Node::new(&["one", "two"]);
        let rates = Rates::default();
        assert_eq!(rates.relay(0), Rate::default());
        let counter = node.view.table.relays[1].as_ref().unwrap().outputs[0].counter;
        for second in 0..20 {
            rates.look(&node.view, second * S);
            for _ in 0..(if second < 10 { 1000 } else { 100 }) {
                node.lane(second % 2).received(1, 1000, 1);
                node.lane(second % 2).sent(counter, 500);
            }
        }
        rates.look(&node.view, 20 * S);
        assert_eq!(rates.0.load().len(), KEPT);
        assert_eq!(rates.relay(1), Rate { pps: 100.0, bps: 800_000.0 });
        assert_eq!(rates.output(counter), Rate { pps: 100.0, bps: 400_000.0 });
        assert_eq!((rates.relay(0), rates.relay(77)), (Rate::default(), Rate::default()));
    }

    #[test]
    fn one_look_is_no_rate_and_counters_that_begin_anew_are_none() {
        let (node, anew) = (Node::new(&["one"]), Node::new(&["one"]));
        let rates = Rates::default();
        node.lane(0).received(0, 1000, 1);
        rates.look(&node.view, S);
        assert_eq!(rates.relay(0), Rate::default());
        rates.look(&anew.view, 2 * S);
        assert_eq!(rates.relay(0), Rate::default());
    }
}
