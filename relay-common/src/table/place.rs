//! Which number a link has: among the inputs in the socket map, among the outputs in a lane's transmit rings; and at
//! which lane its queues begin.

mod first; // at which lane a new link begins

use super::Numbers;
use crate::abi::{MAX_LINKS, MAX_QUEUES};
use crate::facts::{Facts, Link};
use crate::plan::{Plan, Queues};
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use first::Lanes;

/// The links in use and their numbers. A link keeps its numbers and its first lane for as long as it is in use, as an
/// input or as an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    inputs: BTreeMap<String, InputPlace>,
    outputs: BTreeMap<String, u16>,
    /// The lane that has queue 0 of a link. The lanes after it have the queues after that, for receiving and for sending:
    /// so no queue moves to another lane when a link becomes an output or an input, or is one no longer.
    first_lanes: BTreeMap<String, u32>,
    input_numbers: Numbers,
    output_numbers: Numbers,
    /// An output link has no number, and gets one as soon as numbers need not rest any more.
    waits: bool,
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
        let mut place = previous.cloned().unwrap_or_else(Self::empty);
        let links: BTreeMap<&str, &Link> = facts.links.iter().map(|link| (link.name.as_str(), link)).collect();
        let is_there = |name: &&str| links.contains_key(name);
        let inputs: Vec<&str> = plan.input_links().into_iter().filter(is_there).collect();
        let outputs: Vec<&str> = plan.output_links().into_iter().filter(is_there).collect();
        place.place_inputs(plan, &links, &inputs);
        place.place_outputs(&outputs);
        place.choose_first_lanes(plan, &links, &inputs, &outputs);
        place
    }

    const fn empty() -> Self {
        Self {
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            first_lanes: BTreeMap::new(),
            input_numbers: Numbers::new(MAX_LINKS),
            output_numbers: Numbers::new(MAX_LINKS),
            waits: false,
        }
    }

    /// A placement of which only numbers and first lanes are known: what a successor was told of its predecessor's.
    #[must_use]
    pub fn remembered(
        inputs: impl IntoIterator<Item = (String, u32)>,
        outputs: impl IntoIterator<Item = (String, u16)>,
        first_lanes: impl IntoIterator<Item = (String, u32)>,
    ) -> Self {
        let inputs: BTreeMap<String, InputPlace> =
            inputs.into_iter().map(|(link, number)| (link, InputPlace { number, queues: Vec::new() })).collect();
        let outputs: BTreeMap<String, u16> = outputs.into_iter().collect();
        Self {
            input_numbers: Numbers::with_taken(MAX_LINKS, inputs.values().map(|place| place.number)),
            // What was written down was not in force yet, maybe: lanes may send by any other number.
            output_numbers: Numbers::with_others_resting(MAX_LINKS, outputs.values().map(|number| u32::from(*number))),
            waits: false,
            inputs,
            outputs,
            first_lanes: first_lanes.into_iter().collect(),
        }
    }

    /// This placement is in force: the lanes' table has no number that was given back before.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.output_numbers.settle();
        self
    }

    /// Whether the same links have the same numbers, queues and lanes.
    pub(super) fn leads_like(&self, other: &Self) -> bool {
        (&self.inputs, &self.outputs, &self.first_lanes) == (&other.inputs, &other.outputs, &other.first_lanes)
    }

    /// Whether there is an output link without a number that gets one when it is placed again after this placement is
    /// in force.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// Another placement was tried, and may be in force in parts: its numbers are given to nobody else before the next one
    /// is in force.
    pub fn note_tried(&mut self, tried: &Self) {
        for (_, number) in tried.outputs.iter().filter(|(link, number)| self.outputs.get(*link) != Some(number)) {
            self.output_numbers.rest(u32::from(*number));
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

    /// All links in use with the lane that has their queue 0.
    pub fn first_lanes(&self) -> impl Iterator<Item = (&str, u32)> {
        self.first_lanes.iter().map(|(link, lane)| (link.as_str(), *lane))
    }

    fn first_lane(&self, link: &str) -> u32 {
        self.first_lanes.get(link).copied().unwrap_or(0)
    }

    /// The lane that has a queue of a link: it alone receives on it, and sends on it if it is the lane's
    /// [`Self::tx_queue`].
    #[must_use]
    pub fn lane(&self, link: &str, queue: u32, n_lanes: u32) -> u32 {
        (self.first_lane(link) + queue) % n_lanes
    }

    /// The queue of a link that a lane transmits on, if the link has so many: the first of those that it has.
    #[must_use]
    pub fn tx_queue(&self, link: &str, lane: u32, n_lanes: u32) -> u32 {
        (lane + n_lanes - self.first_lane(link) % n_lanes) % n_lanes
    }

    /// The lanes that an input link's packets come to.
    pub fn lanes_of(&self, link: &str, n_lanes: u32) -> impl Iterator<Item = u32> {
        let queues = self.input(link).map_or(&[][..], |place| &place.queues);
        queues.iter().map(move |queue| self.lane(link, *queue, n_lanes))
    }

    /// The receive queues that one lane serves.
    pub fn rx_queues(&self, lane: u32, n_lanes: u32) -> impl Iterator<Item = (&str, u32)> {
        self.inputs().flat_map(move |(link, place)| {
            let mine = move |queue: &u32| self.lane(link, *queue, n_lanes) == lane;
            place.queues.iter().copied().filter(mine).map(move |queue| (link, queue))
        })
    }

    fn choose_first_lanes(&mut self, plan: &Plan, links: &BTreeMap<&str, &Link>, inputs: &[&str], outputs: &[&str]) {
        let Self { inputs: input_places, outputs: output_numbers, first_lanes, .. } = self;
        first_lanes.retain(|link, _| input_places.contains_key(link) || output_numbers.contains_key(link));
        let mut lanes = Lanes::new(plan, links, input_places, first_lanes);
        let narrow = outputs.iter().filter(|link| lanes.is_narrow(link));
        let in_order: Vec<&str> = narrow.chain(inputs).chain(outputs).copied().collect();
        for link in in_order {
            if input_places.contains_key(link) || output_numbers.contains_key(link) {
                lanes.place(link);
            }
        }
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
        // Lanes send by it until they run the next table: were it another link's at once, packets would leave by that.
        for number in gone {
            self.output_numbers.release_later(u32::from(number));
        }
        self.waits = false;
        for name in names {
            if self.outputs.contains_key(*name) {
                continue;
            }
            if let Some(number) = self.output_numbers.take().and_then(|number| u16::try_from(number).ok()) {
                self.outputs.insert(String::from(*name), number);
            } else {
                self.waits |= self.output_numbers.has_resting();
            }
        }
    }
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
