//! Plan and link facts become a table. Nothing here has an effect, and the same arguments give the same table.

use super::assign::{Assigned, assign};
use super::index::hash;
use super::made_with::{MadeWith, Same};
use super::{
    Conflict, Join, Kernel, OutputLink, Part, Pending, PendingReason, Placement, SlotOutput, SlotRelay, Table,
    frame_budget, input, output,
};
use crate::abi::{Address, InputKey, InputValue, MacKey, SourceKey};
use crate::entry::{OutputEntry, RelayEntry};
use crate::facts::{Facts, Link, Neighbour};
use crate::plan::{Interface, Meters, Plan, Queues, Relay, ZeroCopy};
use alloc::{collections::BTreeMap, collections::btree_map::Entry, string::String, vec::Vec};
use core::net::IpAddr;
use zerocopy::{FromZeros, IntoBytes};

/// A table, and what is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The table. It is whole without what is refused.
    pub table: Table,
    /// What cannot work yet, in the plan's order.
    pub pending: Vec<Pending>,
    /// What can never work. A change of the configuration is refused when there is any; after a change of the
    /// links the table is used all the same.
    pub refused: Vec<Conflict>,
}

/// Makes a table of a plan.
///
/// With the table before it, a relay of the same name keeps its slot, and an output that leads to the same place
/// keeps its counter. That table is only looked at if it has the same room. What was made of a relay is taken from there as long
/// as nothing that it is made of has changed.
#[must_use]
pub fn compile(plan: &Plan, facts: &Facts, place: &Placement, previous: Option<&Table>) -> Compiled {
    let (max_relays, max_outputs) = (plan.lanes.max_relays, plan.lanes.max_outputs);
    let empty = Table::empty(max_relays, max_outputs);
    let fits = |table: &&Table| (table.max_relays(), table.max_outputs()) == (max_relays, max_outputs);
    let mut refused = Vec::new();
    let before = previous.filter(fits);
    let Assigned { slots, relays, slot_numbers, counter_numbers } =
        assign(plan, before.unwrap_or(&empty), &mut refused);

    let node = Node::new(plan, facts, place);
    let (made_with, same) = MadeWith::now(before.map(|before| &before.made_with), plan, facts, place);
    let n_relays = relays.len();
    let table = Table {
        generation: previous.map_or(0, |table| table.generation) + 1,
        entries: alloc::vec![RelayEntry::new_zeroed(); n_relays],
        outputs: Vec::with_capacity(before.map_or(0, |before| before.outputs.len())),
        sources: Vec::new(),
        links: node.output_links(),
        kernel: Kernel { own_macs: node.own_macs(), ..Kernel::default() },
        slots: slot_numbers,
        counters: counter_numbers,
        made_with,
        relays,
    };
    let compiled = Compiled { table, pending: Vec::new(), refused };
    let built = (0..n_relays).map(|_| None).collect();
    let mut work = Work { compiled, built, before, same };
    for (relay, slot) in plan.relays.iter().zip(slots) {
        if let Some(slot) = slot.filter(|_| relay.enabled) {
            work.add_input(&node, relay, slot);
            work.add_outputs(&node, relay, slot);
        }
    }
    let mut compiled = work.lay_out();
    let budget = frame_budget(&plan.lanes, place);
    if !budget.suffices() {
        compiled.refused.push(Conflict::TooFewFrames(budget));
    }
    compiled
}

/// What is known while compiling, ready to be looked up.
pub(super) struct Node<'a> {
    links: BTreeMap<&'a str, &'a Link>,
    neighbours: BTreeMap<(u32, IpAddr), &'a Neighbour>,
    interfaces: BTreeMap<&'a str, &'a Interface>,
    pub(super) place: &'a Placement,
    facts: &'a Facts,
    pub(super) n_lanes: u32,
    pub(super) frame_size: u32,
}

impl<'a> Node<'a> {
    fn new(plan: &'a Plan, facts: &'a Facts, place: &'a Placement) -> Self {
        Self {
            links: facts.links.iter().map(|link| (link.name.as_str(), link)).collect(),
            neighbours: facts.neighbours.iter().map(|n| ((n.ifindex, n.destination), n)).collect(),
            interfaces: plan.interfaces.iter().map(|i| (i.name.as_str(), i)).collect(),
            place,
            facts,
            n_lanes: plan.lanes.n_lanes(),
            frame_size: plan.lanes.frame_size,
        }
    }

    pub(super) fn link(&self, name: &str) -> Option<&'a Link> {
        self.links.get(name).copied()
    }

    pub(super) fn neighbour(&self, ifindex: u32, destination: IpAddr) -> Option<&'a Neighbour> {
        self.neighbours.get(&(ifindex, destination)).copied()
    }

    pub(super) fn queues(&self, link: &str) -> Option<&'a Queues> {
        self.interfaces.get(link).map(|interface| &interface.queues)
    }

    /// Whether nothing but zero-copy will do on a link.
    pub(super) fn demands_zero_copy(&self, link: &str) -> bool {
        self.interfaces.get(link).is_some_and(|interface| interface.zero_copy == ZeroCopy::Always)
    }

    /// Says why a link that is there cannot be used.
    pub(super) fn check_usable(&self, link: &str) -> Result<(), PendingReason> {
        let problem = self.facts.unusable.get(link);
        problem.map_or(Ok(()), |problem| Err(PendingReason::Unusable { link: link.into(), problem: problem.clone() }))
    }

    /// What to do about a link that takes VLAN tags out of frames.
    pub(super) fn tags_stripped(&self, link: &str) -> Option<String> {
        self.facts.tags_stripped.get(link).cloned()
    }

    /// The device that carries these tags of a link: the link itself when there are none.
    pub(super) fn vlan_device(&self, link: &'a Link, ids: [u16; 2]) -> Option<&'a Link> {
        let ifindex = self.facts.vlan_device(link.ifindex, ids)?;
        self.facts.links.iter().find(|link| link.ifindex == ifindex)
    }

    fn output_links(&self) -> Vec<Option<OutputLink>> {
        let mut links = Vec::new();
        for (name, number) in self.place.outputs() {
            let at = usize::from(number);
            if links.len() <= at {
                links.resize(at + 1, None);
            }
            links[at] = self.link(name).map(|link| OutputLink { name: link.name.clone(), ifindex: link.ifindex });
        }
        links
    }

    fn own_macs(&self) -> alloc::collections::BTreeSet<MacKey> {
        let macs = self.place.outputs().filter_map(|(name, _)| self.link(name)).map(|link| link.mac);
        macs.filter(|mac| *mac != [0; 6]).map(|mac| MacKey { mac, zero: [0; 2] }).collect()
    }
}

/// A table in the making.
struct Work<'a> {
    compiled: Compiled,
    /// The outputs of each slot that has a key.
    built: Vec<Option<Built>>,
    /// The table before.
    before: Option<&'a Table>,
    /// What of it was made as it would be now.
    same: Same,
}

/// The outputs of a slot.
enum Built {
    /// As a lane reads them, with their places in the user's order.
    Anew(Vec<(OutputEntry, usize)>),
    /// As they are in the table before.
    AsBefore,
}

impl Work<'_> {
    fn pend(&mut self, relay: &Relay, part: Part, reason: PendingReason) {
        self.compiled.pending.push(Pending { relay: relay.name.clone(), part, reason });
    }

    fn slot(&mut self, slot: u32) -> &mut SlotRelay {
        self.compiled.table.relays[slot as usize].as_mut().expect("assign filled the slot")
    }

    fn add_input(&mut self, node: &Node<'_>, relay: &Relay, slot: u32) {
        let input = match input::resolve(node, &relay.input) {
            Ok(input) => input,
            Err(reason) => return self.pend(relay, Part::Input, reason),
        };
        let kernel = &mut self.compiled.table.kernel;
        let has_sources = u32::from(!relay.input.sources.is_empty());
        let (socket_base, n_queues) = (input.socket_base, input.n_queues);
        let any = if has_sources == 0 { slot } else { 0 };
        let value = InputValue { slot: any, has_sources, socket_base, n_queues };
        let taken = match kernel.inputs.entry(input.key) {
            Entry::Vacant(free) => {
                free.insert(value);
                None
            }
            Entry::Occupied(taken) => owner(input.key, *taken.get(), &kernel.sources, &relay.input.sources),
        };
        if let Some((first, source)) = taken {
            let first = self.slot(first).relay.name.clone();
            return self.compiled.refused.push(Conflict::SameInput { first, second: relay.name.clone(), source });
        }
        for reason in input.warnings {
            self.pend(relay, Part::Input, reason);
        }
        self.slot(slot).key = Some(input.key);
        let kernel = &mut self.compiled.table.kernel;
        let key = |source: &IpAddr| SourceKey { input: input.key, source: Address::from(*source) };
        kernel.sources.extend(relay.input.sources.iter().map(|source| (key(source), slot)));
        if let Some(join) = input.join {
            kernel.add_join(join);
        }
    }

    fn add_outputs(&mut self, node: &Node<'_>, relay: &Relay, slot: u32) {
        if self.take_outputs_as_before(relay, slot) {
            return;
        }
        let mut built = Vec::with_capacity(relay.outputs.len());
        let mut outputs = Vec::with_capacity(relay.outputs.len());
        for (i, output) in relay.outputs.iter().enumerate() {
            let counter = self.slot(slot).outputs[i].counter;
            let (entry, pending) = output::resolve(node, &relay.input, output, counter);
            built.push((entry, i));
            if let Some(reason) = &pending {
                self.pend(relay, Part::Output(i), reason.clone());
            }
            outputs.push(SlotOutput { counter, entry: None, pending });
        }
        if self.slot(slot).key.is_some() {
            share_frames(&mut built);
            for (place, (_, i)) in (0..).zip(&built) {
                outputs[*i].entry = Some(place);
            }
            self.built[slot as usize] = Some(Built::Anew(built));
        }
        self.slot(slot).outputs = outputs.into();
    }

    /// Takes the outputs of a relay from the table before, if nothing that they are made of has changed.
    fn take_outputs_as_before(&mut self, relay: &Relay, slot: u32) -> bool {
        let before = self.before.and_then(|before| before.relays.get(slot as usize)?.as_ref());
        let key = self.slot(slot).key;
        let is_made_alike = |before: &&SlotRelay| {
            let SlotRelay { relay: of, key: of_key, .. } = before;
            let is_alike = || of.name == relay.name && of.input == relay.input && of.outputs == relay.outputs;
            of.enabled && *of_key == key && (of.is(relay) || is_alike())
        };
        let Some(before) = before.filter(is_made_alike) else { return false };
        let is_same = match self.same {
            Same::None => false,
            Same::Groups => relay.outputs.lead_to_groups(),
            Same::All => true,
        };
        if !is_same {
            return false;
        }
        for (i, output) in before.outputs.iter().enumerate() {
            if let Some(reason) = &output.pending {
                self.pend(relay, Part::Output(i), reason.clone());
            }
        }
        self.slot(slot).outputs = before.outputs.clone();
        self.built[slot as usize] = key.map(|_| Built::AsBefore);
        true
    }

    /// Lays the outputs side by side in the order of the slots, so that the order of the file changes nothing.
    fn lay_out(mut self) -> Compiled {
        for (slot, built) in (0..).zip(core::mem::take(&mut self.built)) {
            let Some(built) = built else { continue };
            let table = &mut self.compiled.table;
            let first_output = count(table.outputs.len());
            match built {
                Built::Anew(built) => table.outputs.extend(built.iter().map(|(entry, _)| *entry)),
                Built::AsBefore => table.outputs.extend_from_slice(self.before.map_or(&[], |it| it.outputs_at(slot))),
            }
            let n_outputs = count(table.outputs.len()) - first_output;
            let n_outputs = u16::try_from(n_outputs).expect("a relay has at most 64 outputs");
            self.enter(slot, first_output, n_outputs);
        }
        self.compiled
    }

    /// Enters the relay of a slot as a lane reads it.
    fn enter(&mut self, slot: u32, first_output: u32, n_outputs: u16) {
        let table = &self.compiled.table;
        let SlotRelay { relay, key, .. } = table.relays[slot as usize].as_ref().expect("assign filled the slot");
        let key = key.expect("only slots with a key are built");
        let sources = &relay.input.sources;
        let n_sources = u16::try_from(sources.len()).expect("a relay names at most 10 sources");
        let entry = RelayEntry {
            key,
            first_output,
            n_outputs,
            flags: flags_of(relay),
            silence_ms: relay.silence_after_ms.unwrap_or(0),
            epoch: self.epoch(slot, &key, sources),
            first_source: count(table.sources.len()),
            n_sources,
            zero: 0,
        };
        let sources: Vec<Address> = sources.iter().map(|source| Address::from(*source)).collect();
        let table = &mut self.compiled.table;
        table.sources.extend(sources);
        table.entries[slot as usize] = entry;
    }

    /// A slot keeps its epoch while the same input is taken in there, from one of the same sources. The key is part of it,
    /// because the first table of another control has the same generation.
    fn epoch(&self, slot: u32, key: &InputKey, sources: &[IpAddr]) -> u32 {
        let at = slot as usize;
        let before = self.before.and_then(|table| Some((table.entries.get(at)?, table.relays.get(at)?.as_ref()?)));
        let may_be_another = |before: &[IpAddr]| {
            !before.is_empty() && !sources.is_empty() && before.iter().all(|source| !sources.contains(source))
        };
        match before {
            Some((entry, slot))
                if entry.is_in_use() && entry.key == *key && !may_be_another(&slot.relay.input.sources) =>
            {
                entry.epoch
            }
            _ => {
                let [a, b, c, d, ..] = self.compiled.table.generation.to_le_bytes();
                u32::from_le_bytes([a, b, c, d]) ^ hash(key)
            }
        }
    }
}

/// What a lane does with a relay's packets.
fn flags_of(relay: &Relay) -> u16 {
    let meters = match relay.meters {
        Meters::Off => 0,
        Meters::Rtp => RelayEntry::METER_RTP,
        Meters::Full => RelayEntry::METER_RTP | RelayEntry::METER_TS,
    };
    RelayEntry::IN_USE | meters | if relay.muted { RelayEntry::MUTED } else { 0 }
}

impl Kernel {
    /// Adds what one relay needs of a membership: the union of the sources, or any source if one relay takes any.
    fn add_join(&mut self, join: Join) {
        match self.joins.entry((join.ifindex, join.group)) {
            Entry::Vacant(free) => _ = free.insert(join),
            Entry::Occupied(mut taken) => {
                let sources = &mut taken.get_mut().sources;
                if join.sources.is_empty() {
                    sources.clear();
                } else if !sources.is_empty() {
                    sources.extend(join.sources);
                }
            }
        }
    }
}

/// Whose slot an input that is taken in already is, as far as one with these sources would meet it, and at which source if both
/// name theirs.
fn owner(
    input: InputKey,
    value: InputValue,
    named: &BTreeMap<SourceKey, u32>,
    sources: &[IpAddr],
) -> Option<(u32, Option<IpAddr>)> {
    if value.has_sources == 0 {
        return Some((value.slot, None));
    }
    if sources.is_empty() {
        let mut of_key = named.range(SourceKey { input, source: Address([0; 16]) }..);
        return of_key.next().filter(|(key, _)| key.input == input).map(|(_, slot)| (*slot, None));
    }
    let key = |source: &IpAddr| SourceKey { input, source: Address::from(*source) };
    sources.iter().find_map(|source| Some((*named.get(&key(source))?, Some(*source))))
}

/// Brings equal rewrites together, those that are pending last, and marks the ones that can share a frame.
fn share_frames(built: &mut [(OutputEntry, usize)]) {
    let pending = |entry: &OutputEntry| entry.flags & OutputEntry::PENDING;
    built.sort_by(|(a, i), (b, j)| {
        let rewrites = || a.rewrite.as_bytes().cmp(b.rewrite.as_bytes());
        pending(a).cmp(&pending(b)).then_with(rewrites).then(i.cmp(j))
    });
    for i in 1..built.len() {
        if pending(&built[i].0) == 0 && built[i].0.rewrite == built[i - 1].0.rewrite {
            built[i].0.flags |= OutputEntry::SHARES;
        }
    }
}

/// Places among the outputs are below `max_outputs`, which is 32 bits wide.
fn count(n: usize) -> u32 {
    u32::try_from(n).expect("counters are numbered with 32 bits")
}

#[cfg(test)]
mod tests;
