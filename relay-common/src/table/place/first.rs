//! At which lane the queues of a new link begin.

use super::InputPlace;
use crate::facts::Link;
use crate::plan::Plan;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec,
    vec::Vec,
};

/// The lanes, while links are given theirs.
///
/// A link with as many transmit queues as there are lanes can be sent on by each of them, wherever it begins. A narrow
/// one, with fewer, can be sent on only by its first lanes: so what leads to it should come in there. What is in use
/// already stays where it is, so not every wish can be granted once links are placed.
pub(super) struct Lanes<'a> {
    n_lanes: u32,
    links: &'a BTreeMap<&'a str, &'a Link>,
    inputs: &'a BTreeMap<String, InputPlace>,
    /// From which link to which packets are relayed.
    ways: BTreeSet<(&'a str, &'a str)>,
    /// The first lane of each link that is placed.
    first: &'a mut BTreeMap<String, u32>,
    /// How many receive queues each lane has.
    load: Vec<u32>,
}

/// From which link to which the enabled relays of a plan relay.
fn ways(plan: &Plan) -> BTreeSet<(&str, &str)> {
    let (mut ways, mut last) = (BTreeSet::new(), None);
    for relay in plan.relays.iter().filter(|relay| relay.enabled) {
        for to in relay.outputs.links() {
            let way = (relay.input.interface.as_str(), to);
            // Mostly it is the one before once more, and there are many.
            if last != Some(way) {
                ways.insert(way);
            }
            last = Some(way);
        }
    }
    ways
}

impl<'a> Lanes<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        links: &'a BTreeMap<&'a str, &'a Link>,
        inputs: &'a BTreeMap<String, InputPlace>,
        first: &'a mut BTreeMap<String, u32>,
    ) -> Self {
        let n_lanes = plan.lanes.n_lanes();
        let load = vec![0; n_lanes as usize];
        let mut lanes = Self { n_lanes, links, inputs, ways: ways(plan), first, load };
        let placed: Vec<(&str, u32)> =
            inputs.keys().filter_map(|link| Some((link.as_str(), *lanes.first.get(link)?))).collect();
        for (link, first) in placed {
            lanes.add_load(link, first);
        }
        lanes
    }

    /// Whether a link has fewer transmit queues than there are lanes.
    pub(super) fn is_narrow(&self, link: &str) -> bool {
        self.links.get(link).is_some_and(|link| link.n_tx_queues < self.n_lanes)
    }

    /// Gives a link that has none its first lane: the one with which most of what the relays want can be sent. Among
    /// those, inputs with fewer queues than there are lanes go where least is received, so that many links with one
    /// queue each do not all end up on the first lane.
    pub(super) fn place(&mut self, link: &str) {
        if self.first.contains_key(link) {
            return;
        }
        let is_spread = self.inputs.get(link).is_some_and(|place| place.n_queues() < self.n_lanes)
            && !(self.is_narrow(link) && self.ways.iter().any(|(_, to)| *to == link));
        let load = |first| {
            let lanes = self.queues(link).iter().map(|queue| self.load[((first + queue) % self.n_lanes) as usize]);
            if is_spread { lanes.sum::<u32>() } else { 0 }
        };
        let best = (0..self.n_lanes).min_by_key(|first| (self.barred(link, *first), load(*first)));
        let first = best.unwrap_or(0);
        self.first.insert(link.into(), first);
        self.add_load(link, first);
    }

    fn queues(&self, link: &str) -> &'a [u32] {
        self.inputs.get(link).map_or(&[], |place| &place.queues)
    }

    fn add_load(&mut self, link: &str, first: u32) {
        for queue in self.queues(link) {
            self.load[((first + queue) % self.n_lanes) as usize] += 1;
        }
    }

    /// How many ways from or to a link could not be gone if it began at that lane. What is not placed yet follows it.
    fn barred(&self, link: &str, first: u32) -> usize {
        let first_of = |other: &str| if other == link { Some(first) } else { self.first.get(other).copied() };
        let is_barred = |(from, to): &&(&str, &str)| {
            let (Some(from_lane), Some(to_lane), Some(to)) = (first_of(from), first_of(to), self.links.get(to)) else {
                return false;
            };
            let queue = |rx: &u32| (from_lane + rx + self.n_lanes - to_lane % self.n_lanes) % self.n_lanes;
            self.queues(from).iter().any(|rx| queue(rx) >= to.n_tx_queues)
        };
        self.ways.iter().filter(|(from, to)| *from == link || *to == link).filter(is_barred).count()
    }
}
