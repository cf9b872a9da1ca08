//! The memo: what control writes down for a successor that it will not meet. It lies in memory that the lanes hold, in
//! two copies that take turns, so that a death in mid-writing leaves the one before. A lane cannot write it.

mod known; // what tells how the node is while control is away
mod pages; // two copies, line by line

pub use known::{At, Definition, Known, KnownRelay};
pub use pages::Pages;

use relay_common::abi::MAX_LINKS;
use relay_common::plan::Relay;
use relay_common::table::{Placement, SlotRelay, Table};
use relay_config::{parse_relay, relay_to_json};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a successor must know that it cannot find in the kernel, in the lanes or on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memo {
    /// The version of the mcr that wrote this.
    pub version: String,
    /// The eBPF object that is loaded, as a hash.
    pub object: String,
    /// Where its parts are held: one of [`tag::PROGRAM`](super::vault::tag::PROGRAM).
    #[serde(default)]
    pub program_place: usize,
    /// The binary that the lanes run, as a hash.
    pub binary: String,
    /// The table's generation.
    pub generation: u64,
    /// The relays with their numbers. They are written from the table: see [`Pages::write`].
    #[serde(default, skip_serializing)]
    pub relays: Vec<RelayMemo>,
    /// The input links with their numbers in the socket map.
    pub inputs: BTreeMap<String, u32>,
    /// The output links with their transmit numbers.
    pub outputs: BTreeMap<String, u16>,
    /// The links with the lane that has their queue 0.
    #[serde(default)]
    pub first_lanes: BTreeMap<String, u32>,
    /// How often each lane was started again.
    pub restarts: Vec<u64>,
    /// What each lane is started with: the numbers of its start message.
    pub starts: Vec<[u32; 8]>,
    /// The pipes that lanes write to, by inode and in the order of the lanes.
    #[serde(default)]
    pub pipes: Vec<u64>,
    /// The users that lanes are, by number.
    #[serde(default)]
    pub lane_users: BTreeSet<u32>,
    /// The relays that came through the API in the file's own form, those that do not run among them, as long as the state
    /// file says something else.
    #[serde(default)]
    pub unkept: Option<Vec<serde_json::Value>>,
}

/// A relay and its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayMemo {
    /// Its slot.
    pub slot: u32,
    /// The counters of its outputs, in the order of its definition.
    pub counters: Vec<u32>,
    /// Whether it came through the API.
    pub of_api: bool,
    /// The relay in the file's own form.
    pub definition: serde_json::Value,
    /// Whether its input cannot take in; for whoever wants to know how the node is while control is away.
    #[serde(default)]
    pub dark: bool,
    /// The outputs that cannot send, by their numbers.
    #[serde(default)]
    pub waits: Vec<usize>,
}

impl Memo {
    /// What is to be remembered of a table, but for its relays.
    #[must_use]
    pub fn of(table: &Table, place: &Placement) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: table.generation,
            inputs: place.inputs().map(|(link, place)| (link.to_owned(), place.number)).collect(),
            outputs: place.outputs().map(|(link, number)| (link.to_owned(), number)).collect(),
            first_lanes: place.first_lanes().map(|(link, lane)| (link.to_owned(), lane)).collect(),
            ..Self::default()
        }
    }

    /// The table, as far as its numbers go. A relay that this version cannot read has lost its numbers, no more.
    #[must_use]
    pub fn table(&self, room: (u32, u32)) -> Table {
        let mut taken = BTreeSet::new();
        // Only control writes this; a number that cannot be, or that two have, would end in a lane all the same.
        let mut is_sound = |memo: &&RelayMemo| {
            memo.slot < room.0
                && memo.counters.iter().all(|counter| *counter < room.1 && taken.insert((false, *counter)))
                && taken.insert((true, memo.slot))
        };
        let sound = self.relays.iter().filter(|memo| is_sound(memo));
        let known = sound.filter_map(|memo| Some((memo.slot, memo.relay()?, memo.counters.clone())));
        Table::remembered(self.generation, room, known)
    }

    /// The numbers of the links, and their lanes.
    #[must_use]
    pub fn place(&self) -> Placement {
        let (mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new());
        let is_sound = |numbers: &mut BTreeSet<u32>, number: u32| number < MAX_LINKS && numbers.insert(number);
        Placement::remembered(
            self.inputs.clone().into_iter().filter(|(_, number)| is_sound(&mut inputs, *number)),
            self.outputs.clone().into_iter().filter(|(_, number)| is_sound(&mut outputs, u32::from(*number))),
            self.first_lanes.clone(),
        )
    }

    /// The relays of the configuration file.
    #[must_use]
    pub fn of_file(&self) -> Vec<Relay> {
        self.relays.iter().filter(|memo| !memo.of_api).filter_map(RelayMemo::relay).collect()
    }

    /// The relays that came through the API, where the state file does not have them.
    #[must_use]
    pub fn unkept(&self) -> Option<Vec<Relay>> {
        let all = self.unkept.as_ref()?;
        Some(all.iter().filter_map(|definition| parse_relay(definition).ok()).flatten().collect())
    }

    /// The relays that came through the API.
    #[must_use]
    pub fn of_api(&self) -> Vec<Relay> {
        self.relays.iter().filter(|memo| memo.of_api).filter_map(RelayMemo::relay).collect()
    }
}

impl RelayMemo {
    fn of(slot: u32, at: &SlotRelay, of_api: bool) -> Self {
        Self {
            slot,
            counters: at.outputs.iter().map(|output| output.counter).collect(),
            of_api,
            definition: relay_to_json(&at.relay),
            dark: at.key.is_none(),
            waits: (0..).zip(&at.outputs).filter(|(_, output)| output.pending.is_some()).map(|(i, _)| i).collect(),
        }
    }

    fn relay(&self) -> Option<Relay> {
        let mut definition = self.definition.clone();
        // A relay of a range has a name that nobody may write.
        let name = definition.get("name")?.as_str()?.to_owned();
        definition["name"] = "x".into();
        let mut relay = parse_relay(&definition).ok()?.pop()?;
        relay.name = name;
        Some(relay)
    }
}

#[cfg(test)]
mod tests;
