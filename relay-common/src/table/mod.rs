//! What lanes and kernel read: compiled from a plan and link facts, compared with the table before it, laid out
//! in flat bytes.
//!
//! Reading order: [`Placement`] numbers the links, [`compile`] makes a [`Table`], [`diff`] says how to get there
//! from the table before, [`image`] is what a lane sees of it.

mod assign; // slots and counter numbers that stay
mod compile;
mod conflict; // why a plan does not fit
mod demand; // what a packet of an input link can put on the transmit rings
mod diff;
#[cfg(test)]
mod fixtures;
mod frames; // how many frames a lane needs
mod index; // where an input key is looked for
mod input; // an input, from the plan to its key
mod made_with; // what a table was compiled with besides its relays
mod numbers;
mod output; // an output, from the plan to its entry
mod owners; // whose lines of counters begin anew
mod pending; // why something cannot work yet
mod place;
#[cfg(test)]
mod tests; // what tests share: the processor time they have had

pub mod image;

pub use compile::{Compiled, compile};
pub use conflict::Conflict;
pub use demand::{Demand, MAX_DEMANDS};
pub use diff::{Change, diff, towards};
pub use frames::{FrameBudget, HEADROOM, frame_budget, frames_needed, longest_mtu, longest_mtu_in_kilobytes};
pub use numbers::Numbers;
pub use owners::{Lines, NewOwners};
pub use pending::{Part, Pending, PendingReason, pending_changes};
pub use place::{InputPlace, Placement};

use crate::abi::{Address, InputKey, InputValue, MAX_LINKS, MacKey, SourceKey};
use crate::entry::{OutputEntry, RelayEntry};
use crate::outputs::Outputs;
use crate::plan::Relay;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::net::IpAddr;
use made_with::MadeWith;

/// One state of the node, complete: what the lanes read, what lies in the kernel, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its number: one more than that of the table it was compiled after.
    pub generation: u64,
    /// Whose the slots are. A relay keeps its slot for as long as it has its name, disabled or not.
    pub relays: Vec<Option<SlotRelay>>,
    /// The relays as a lane reads them, by slot; all zero where nothing can come in.
    pub entries: Vec<RelayEntry>,
    /// The outputs as a lane reads them; those of one relay lie side by side.
    pub outputs: Vec<OutputEntry>,
    /// The sources that relays name; those of one relay lie side by side.
    pub sources: Vec<Address>,
    /// The output links by transmit number; `None` where a link has gone and its number is free.
    pub links: Vec<Option<OutputLink>>,
    /// What of this table lies in the kernel.
    pub kernel: Kernel,
    slots: Numbers,
    counters: Numbers,
    made_with: MadeWith,
}

impl Table {
    /// A table without relays and of generation 0: what a node runs before its first configuration.
    #[must_use]
    pub fn empty(max_relays: u32, max_outputs: u32) -> Self {
        Self {
            generation: 0,
            relays: Vec::new(),
            entries: Vec::new(),
            outputs: Vec::new(),
            sources: Vec::new(),
            links: Vec::new(),
            kernel: Kernel::default(),
            slots: Numbers::new(max_relays),
            counters: Numbers::new(max_outputs),
            made_with: MadeWith::default(),
        }
    }

    /// A table of which only the numbers are known: what a successor was told of its predecessor's. A relay that it is
    /// compiled with keeps its slot and its counters.
    #[must_use]
    pub fn remembered(
        generation: u64,
        (max_relays, max_outputs): (u32, u32),
        relays: impl IntoIterator<Item = (u32, Relay, Vec<u32>)>,
    ) -> Self {
        let mut table = Self { generation, ..Self::empty(max_relays, max_outputs) };
        let (mut slots, mut taken) = (Vec::new(), Vec::new());
        for (slot, relay, counters) in relays.into_iter().filter(|(slot, ..)| *slot < max_relays) {
            let at = slot as usize;
            if table.relays.len() <= at {
                table.relays.resize(at + 1, None);
            }
            slots.push(slot);
            taken.extend_from_slice(&counters);
            let outputs = counters.into_iter().map(|counter| SlotOutput { counter, entry: None, pending: None });
            table.relays[at] = Some(SlotRelay { relay, key: None, outputs: outputs.collect() });
        }
        table.slots = Numbers::with_taken(max_relays, slots);
        table.counters = Numbers::with_taken(max_outputs, taken);
        table
    }

    /// Relays that there is room for.
    #[must_use]
    pub const fn max_relays(&self) -> u32 {
        self.slots.limit()
    }

    /// Outputs that there is room for, over all relays.
    #[must_use]
    pub const fn max_outputs(&self) -> u32 {
        self.counters.limit()
    }

    /// The relays with their slots.
    pub fn slots(&self) -> impl Iterator<Item = (u32, &SlotRelay)> {
        (0u32..).zip(&self.relays).filter_map(|(slot, relay)| relay.as_ref().map(|relay| (slot, relay)))
    }

    /// The relay of that name, with its slot.
    #[must_use]
    pub fn relay(&self, name: &str) -> Option<(u32, &SlotRelay)> {
        self.slots().find(|(_, relay)| relay.relay.name == name)
    }

    /// An output of the relay at a slot as a lane reads it, by its number.
    #[must_use]
    pub fn entry(&self, slot: u32, output: usize) -> Option<&OutputEntry> {
        let place = self.relays.get(slot as usize)?.as_ref()?.outputs.get(output)?.entry?;
        self.outputs_at(slot).get(usize::from(place))
    }

    /// The outputs of the relay at a slot as a lane reads them.
    fn outputs_at(&self, slot: u32) -> &[OutputEntry] {
        let entry = self.entries.get(slot as usize).filter(|entry| entry.is_in_use());
        entry.map_or(&[], |entry| &self.outputs[entry.first_output as usize..][..usize::from(entry.n_outputs)])
    }

    /// Says whether the lanes read the same in both tables, generations apart.
    #[must_use]
    pub fn same_for_lanes(&self, other: &Self) -> bool {
        (&self.entries, &self.outputs, &self.sources, &self.links)
            == (&other.entries, &other.outputs, &other.sources, &other.links)
    }
}

/// A relay at its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRelay {
    /// The relay as the plan has it.
    pub relay: Relay,
    /// What its frames look like; `None` while it is disabled or its input is pending.
    pub key: Option<InputKey>,
    /// Its outputs in the user's order.
    pub outputs: Outputs<SlotOutput>,
}

/// An output of a relay at its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOutput {
    /// Its place among the output counters.
    pub counter: u32,
    /// Its place among its relay's in [`Table::outputs`], see [`Table::entry`]; `None` while the relay has no key.
    pub entry: Option<u16>,
    /// Why it cannot send.
    pub pending: Option<PendingReason>,
}

/// A link that is sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLink {
    /// Its name.
    pub name: String,
    /// The kernel's index of it.
    pub ifindex: u32,
}

/// What of a table lies in the kernel: the contents of the maps, and the group memberships.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// The map `INPUTS`.
    pub inputs: BTreeMap<InputKey, InputValue>,
    /// The map `SOURCES`: the slots of the relays that take them.
    pub sources: BTreeMap<SourceKey, u32>,
    /// The map `OWN_MACS`.
    pub own_macs: BTreeSet<MacKey>,
    /// The memberships, by device index and group.
    pub joins: BTreeMap<(u32, IpAddr), Join>,
}

/// One group membership, for all relays that need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The device to join on: the link, or the VLAN device on it.
    pub device: String,
    /// The kernel's index of that device.
    pub ifindex: u32,
    /// The group.
    pub group: IpAddr,
    /// The sources to join, over all relays; any source when empty.
    pub sources: BTreeSet<IpAddr>,
}

/// The name of the VLAN device for tags on a link, by the kernel's own convention: `ens1f0.100`, `ens1f0.100.7`.
#[must_use]
pub fn vlan_device(link: &str, ids: &[u16]) -> String {
    use core::fmt::Write as _;
    let mut name = String::from(link);
    for id in ids.iter().filter(|id| **id != 0) {
        let _ = write!(name, ".{id}"); // Writing to a String cannot fail.
    }
    name
}

const _: () = assert!(MAX_LINKS <= u16::MAX as u32, "OutputEntry::link is 16 bits wide");
