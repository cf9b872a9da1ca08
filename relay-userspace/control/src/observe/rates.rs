//! Packets and bytes a second, from looks at the counters some seconds apart. Whoever serves the API looks once a
//! second; whoever asks gets what is there.

use crate::view::View;
use arc_swap::ArcSwap;
use relay_common::counters::{output, relay};
use relay_common::table::Table;
use relay_engine::memory::counters::Counters;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// So many looks are kept: with one a second, a rate is over four seconds.
const KEPT: usize = 5;

/// What was counted at one end of a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    packets: u64,
    bytes: u64,
}

/// One look: relays by slots, outputs by counters. Looks between which nothing passes share what was counted of outputs.
#[derive(Debug, Default)]
struct Look {
    at: u64,
    table: Weak<Table>,
    relays: Vec<Counted>,
    outputs: Arc<Vec<Counted>>,
}

/// How much passes in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Packets.
    pub pps: f64,
    /// Bits.
    pub bps: f64,
}

/// The last looks. Its memory is that of five times the node's relays and outputs at most, sixteen bytes each.
#[derive(Debug, Default)]
pub struct Rates(ArcSwap<VecDeque<Arc<Look>>>);

impl Rates {
    /// Looks at the counters. Once a second is right; one thread only.
    pub fn look(&self, view: &View, now: u64) {
        let sum = |read: &dyn Fn(&Counters) -> u64| -> u64 { view.lanes.iter().map(|lane| read(&lane.counters)).sum() };
        let table = Arc::downgrade(&view.table);
        let looks = self.0.load();
        let mut known = looks.iter().rev().take_while(|look| look.table.ptr_eq(&table));
        let [last, before] = [known.next(), known.next()];
        // Where nothing has come in for two looks, whatever went out was counted at the last: of many outputs few are looked at.
        let rests = |slot: u32, counted: &Counted| {
            let same = |look: &&Arc<Look>| look.relays.get(slot as usize) == Some(counted);
            last.is_some_and(|look| same(&look)) && before.is_some_and(|look| same(&look))
        };
        let mut outputs = last.map(|look| Arc::clone(&look.outputs)).unwrap_or_default();
        let mut relays = vec![Counted::default(); view.table.relays.len()];
        for (slot, built) in view.table.slots() {
            let counted = Counted {
                packets: sum(&|lane| lane.get_relay(slot, relay::PACKETS)),
                bytes: sum(&|lane| lane.get_relay(slot, relay::BYTES)),
            };
            relays[slot as usize] = counted;
            if rests(slot, &counted) {
                continue;
            }
            let outputs = Arc::make_mut(&mut outputs);
            for counter in built.outputs.iter().map(|output| output.counter) {
                let place = counter as usize;
                if outputs.len() <= place {
                    outputs.resize(place + 1, Counted::default());
                }
                outputs[place] = Counted {
                    packets: sum(&|lane| lane.get_output(counter, output::PACKETS)),
                    bytes: sum(&|lane| lane.get_output(counter, output::BYTES)),
                };
            }
        }
        let look = Look { at: now, table, relays, outputs };
        let mut looks = VecDeque::clone(&looks);
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
    use std::sync::Arc;

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
    fn a_stream_that_rests_and_comes_back_has_its_rate() {
        let node = Node::new(&["one", "two"]);
        let rates = Rates::default();
        let counter = node.view.table.relays[1].as_ref().unwrap().outputs[0].counter;
        for second in 0..20 {
            if !(5..12).contains(&second) {
                for _ in 0..100 {
                    node.lane(0).received(1, 1000, 1);
                }
            }
            rates.look(&node.view, second * S);
            // What goes out may be counted a look later than what came in for it.
            if !(5..12).contains(&second) {
                (0..100).for_each(|_| node.lane(0).sent(counter, 500));
            }
            let looks = rates.0.load();
            let is_shared =
                looks.len() > 1 && Arc::ptr_eq(&looks[looks.len() - 1].outputs, &looks[looks.len() - 2].outputs);
            assert_eq!(is_shared, (6..12).contains(&second), "{second}");
        }
        assert_eq!(rates.output(counter), Rate { pps: 100.0, bps: 400_000.0 });
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
