//! Lanes that do not come round, and those that do again: looked for on each round of the loop, whatever the worker does.

use super::view::LaneView;
use relay_common::counters::LaneCounter;
use relay_common::health::STALLED_NS;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What became of a lane that did not come round, or does again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// It stalls.
    Began,
    /// It comes round again.
    Ended,
    /// It hung and was ended: see [`relay_common::hang`].
    Hopeless,
}

/// The lanes that stall.
#[derive(Debug, Default)]
pub struct Stalls(BTreeSet<u32>);

impl Stalls {
    /// Lanes whose heartbeat has just become old, or fresh again.
    pub fn look(&mut self, lanes: &[Arc<LaneView>], now: u64) -> Vec<(u32, Stall)> {
        let mut changed = Vec::new();
        for lane in lanes {
            let stalls = lane.pid.is_some() && is_old(lane.counters.get(LaneCounter::Heartbeat), now);
            let stalled = self.0.contains(&lane.number);
            match (stalled, stalls) {
                (false, true) => {
                    self.0.insert(lane.number);
                    changed.push((lane.number, Stall::Began));
                }
                (true, false) => {
                    self.0.remove(&lane.number);
                    changed.push((lane.number, Stall::Ended));
                }
                _ => {}
            }
        }
        changed
    }
}

/// Whether a heartbeat is so old that its lane stalls: ten of its longest sleeps.
#[must_use]
pub const fn is_old(heartbeat: u64, now: u64) -> bool {
    now.saturating_sub(heartbeat) > STALLED_NS
}

#[cfg(test)]
mod tests {
    use super::{Stall, Stalls};
    use crate::observe::fixtures::{NOW, Node};
    use relay_common::counters::LaneCounter;
    use std::sync::Arc;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_stall_is_told_when_it_begins_and_when_it_ends() {
        let node = Node::new(&["one"]);
        let beat = |lane: u64, at: u64| node.lane(lane).set(LaneCounter::Heartbeat, at);
        beat(0, NOW);
        beat(1, NOW);
        let mut stalls = Stalls::default();
        assert_eq!(stalls.look(&node.view.lanes, NOW + S), []);
        beat(0, NOW + S);
        assert_eq!(stalls.look(&node.view.lanes, NOW + S + 1), [(1, Stall::Began)]);
        assert_eq!(stalls.look(&node.view.lanes, NOW + S + 2), [], "once");
        beat(1, NOW + 2 * S);
        beat(0, NOW + 2 * S);
        assert_eq!(stalls.look(&node.view.lanes, NOW + 2 * S), [(1, Stall::Ended)]);
    }

    #[test]
    fn a_lane_without_a_process_does_not_stall() {
        let mut node = Node::new(&["one"]);
        for lane in &mut node.view.lanes {
            Arc::get_mut(lane).unwrap().pid = None;
        }
        assert_eq!(Stalls::default().look(&node.view.lanes, NOW), []);
    }
}
