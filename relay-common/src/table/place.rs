//! Which number a link has: among the inputs in the socket map, among the outputs in a lane's transmit rings.

use super::Numbers;
use crate::abi::{MAX_LINKS, MAX_QUEUES};
use crate::facts::{Facts, Link};
use crate::plan::{Plan, Queues};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};

/// The links in use and their numbers. A link keeps its numbers for as long as it is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    inputs: BTreeMap<String, InputPlace>,
    outputs: BTreeMap<String, u16>,
    input_numbers: Numbers,
    output_numbers: Numbers,
}

/// Where an input link's sockets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPlace {
    /// Its number in the socket map.
    pub number: u32,
    /// The receive queues that are served.
    pub queues: Vec<u32>,
}

impl InputPlace {
    /// Where its queues begin in the socket map.
    #[must_use]
    pub const fn socket_base(&self) -> u32 {
        self.number * MAX_QUEUES
    }

    /// How many places of the socket map belong to it: up to its highest queue that is served.
    #[must_use]
    pub fn n_queues(&self) -> u32 {
        self.queues.iter().max().map_or(0, |highest| highest + 1)
    }
}

impl Placement {
    /// Places the links that exist and that enabled relays use, in the order in which they first appear; links of
    /// the placement before keep their numbers.
    #[must_use]
    pub fn new(plan: &Plan, facts: &Facts, previous: Option<&Self>) -> Self {
        let mut place = previous.cloned().unwrap_or_else(|| Self::remembered([], []));
        let links: BTreeMap<&str, &Link> = facts.links.iter().map(|link| (link.name.as_str(), link)).collect();
        let enabled = || plan.relays.iter().filter(|relay| relay.enabled);
        let inputs = in_order(enabled().map(|relay| relay.input.interface.as_str()), &links);
        let outputs = in_order(enabled().flat_map(|r| &r.outputs).map(|output| output.interface.as_str()), &links);
        place.place_inputs(plan, &links, &inputs);
        place.place_outputs(&outputs);
        place
    }

    /// A placement of which only the numbers are known: what a successor was told of its predecessor's.
    #[must_use]
    pub fn remembered(
        inputs: impl IntoIterator<Item = (String, u32)>,
        outputs: impl IntoIterator<Item = (String, u16)>,
    ) -> Self {
        let inputs: BTreeMap<String, InputPlace> =
            inputs.into_iter().map(|(link, number)| (link, InputPlace { number, queues: Vec::new() })).collect();
        let outputs: BTreeMap<String, u16> = outputs.into_iter().collect();
        Self {
            input_numbers: Numbers::with_taken(MAX_LINKS, inputs.values().map(|place| place.number)),
            output_numbers: Numbers::with_taken(MAX_LINKS, outputs.values().map(|number| u32::from(*number))),
            inputs,
            outputs,
        }
    }

    /// Where an input link's sockets are.
    #[must_use]
    pub fn input(&self, link: &str) -> Option<&InputPlace> {
        self.inputs.get(link)
    }

    /// Which of a lane's transmit rings an output link is.
    #[must_use]
    pub fn output(&self, link: &str) -> Option<u16> {
        self.outputs.get(link).copied()
    }

    /// All input links.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &InputPlace)> {
        self.inputs.iter().map(|(link, place)| (link.as_str(), place))
    }

    /// All output links with their transmit numbers.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, u16)> {
        self.outputs.iter().map(|(link, number)| (link.as_str(), *number))
    }

    /// The lane that serves a receive queue of an input link. Lane `i` transmits on queue `i` of every output link, and a
    /// queue has one socket: so lane `i` receives on queue `i`, also of a link that only later becomes an output.
    /// Links with fewer queues than there are lanes begin at different lanes while they are no outputs, so that many
    /// links with one queue each do not all end up on the first.
    #[must_use]
    pub fn lane(&self, link: &str, queue: u32, n_lanes: u32) -> u32 {
        let spread = |place: &&InputPlace| place.n_queues() < n_lanes && self.output(link).is_none();
        let first = self.input(link).filter(spread).map_or(0, |place| place.number);
        (first + queue) % n_lanes
    }

    /// The lanes that an input link's packets come to: one more than the highest.
    #[must_use]
    pub fn lanes_of(&self, link: &str, n_lanes: u32) -> u32 {
        let queues = self.input(link).map_or(&[][..], |place| &place.queues);
        queues.iter().map(|queue| self.lane(link, *queue, n_lanes) + 1).max().unwrap_or(0)
    }

    /// The receive queues that one lane serves.
    pub fn rx_queues(&self, lane: u32, n_lanes: u32) -> impl Iterator<Item = (&str, u32)> {
        self.inputs().flat_map(move |(link, place)| {
            let mine = move |queue: &u32| self.lane(link, *queue, n_lanes) == lane;
            place.queues.iter().copied().filter(mine).map(move |queue| (link, queue))
        })
    }

    fn place_inputs(&mut self, plan: &Plan, links: &BTreeMap<&str, &Link>, names: &[&str]) {
        let wanted: BTreeSet<&str> = names.iter().copied().collect();
        let gone = self.inputs.extract_if(.., |link, _| !wanted.contains(link.as_str()));
        let gone: Vec<u32> = gone.map(|(_, place)| place.number).collect();
        for number in gone {
            self.input_numbers.release(number);
        }
        for name in names {
            let queues = served_queues(plan, name, links[name].n_rx_queues);
            if let Some(place) = self.inputs.get_mut(*name) {
                place.queues = queues;
            } else if let Some(number) = self.input_numbers.take() {
                self.inputs.insert(String::from(*name), InputPlace { number, queues });
            }
        }
    }

    fn place_outputs(&mut self, names: &[&str]) {
        let wanted: BTreeSet<&str> = names.iter().copied().collect();
        let gone = self.outputs.extract_if(.., |link, _| !wanted.contains(link.as_str()));
        let gone: Vec<u16> = gone.map(|(_, number)| number).collect();
        for number in gone {
            self.output_numbers.release(u32::from(number));
        }
        for name in names {
            if self.outputs.contains_key(*name) {
                continue;
            }
            if let Some(number) = self.output_numbers.take().and_then(|number| u16::try_from(number).ok()) {
                self.outputs.insert(String::from(*name), number);
            }
        }
    }
}

/// Each name that is a link, once, in the order of its first appearance.
fn in_order<'a>(names: impl Iterator<Item = &'a str>, links: &BTreeMap<&str, &Link>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name) && links.contains_key(name)).collect()
}

fn served_queues(plan: &Plan, link: &str, n_rx_queues: u32) -> Vec<u32> {
    let there = n_rx_queues.min(MAX_QUEUES);
    let configured = plan.interfaces.iter().find(|interface| interface.name == link).map(|i| &i.queues);
    match configured {
        Some(Queues::Some(queues)) => queues.iter().copied().filter(|queue| *queue < there).collect(),
        Some(Queues::All) | None => (0..there).collect(),
    }
}

#[cfg(test)]
mod tests;
