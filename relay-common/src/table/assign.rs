//! Who gets which slot and which output counters: what was there keeps its numbers.

use super::{Conflict, Numbers, SlotOutput, SlotRelay, Table};
use crate::outputs::Outputs;
use crate::plan::{Output, Plan, Relay};
use alloc::{collections::BTreeMap, vec::Vec};

/// The relays at their slots, not resolved yet.
pub(super) struct Assigned {
    /// The slot of each relay of the plan, in the plan's order; `None` where there was no room.
    pub(super) slots: Vec<Option<u32>>,
    /// The relays by slot.
    pub(super) relays: Vec<Option<SlotRelay>>,
    pub(super) slot_numbers: Numbers,
    pub(super) counter_numbers: Numbers,
}

/// Gives every relay of the plan a slot and every output a counter.
pub(super) fn assign(plan: &Plan, previous: &Table, refused: &mut Vec<Conflict>) -> Assigned {
    let (mut slot_numbers, mut counter_numbers) = (previous.slots.clone(), previous.counters.clone());
    let (kept, gone) = kept(plan, previous);
    for (slot, old) in gone {
        slot_numbers.release(slot);
        old.outputs.iter().for_each(|output| counter_numbers.release(output.counter));
    }
    // All numbers are given back before any is taken, so that a full table can exchange one relay for another.
    let counters: Vec<Counters<'_>> = plan
        .relays
        .iter()
        .zip(kept)
        .map(|(relay, kept)| match kept {
            // Most are what they were.
            Some((slot, old)) if old.relay.outputs == relay.outputs => Counters::AsBefore(slot, old),
            Some((slot, old)) => Counters::Of(Some(slot), kept_counters(old, relay, &mut counter_numbers)),
            None => Counters::Of(None, relay.outputs.iter().map(|_| None).collect()),
        })
        .collect();
    let slots = Vec::with_capacity(plan.relays.len());
    let mut assigned = Assigned { slots, relays: Vec::new(), slot_numbers, counter_numbers };
    for (relay, counters) in plan.relays.iter().zip(counters) {
        match counters {
            Counters::AsBefore(slot, old) => {
                assigned.slots.push(Some(slot));
                assigned.put(relay, slot, unresolved(relay, old));
            }
            Counters::Of(slot, counters) => assigned.add(relay, slot, counters),
        }
    }
    refuse_what_has_no_room(plan, refused);
    assigned
}

/// A relay of the table before, with its slot.
type Old<'a> = (u32, &'a SlotRelay);

/// Where each relay of the plan was, if it was there, and who was there and is no more.
fn kept<'a>(plan: &Plan, previous: &'a Table) -> (Vec<Option<Old<'a>>>, Vec<Old<'a>>) {
    let mut left: Vec<Option<Old<'a>>> = previous.slots().map(Some).collect();
    let is_it = |old: &Option<Old<'_>>, new: &Relay| {
        old.is_some_and(|(_, old)| old.relay.is(new) || old.relay.name == new.name)
    };
    // Mostly they stand in the order of their slots, and one is gone at most: no name is looked up.
    let mut next = 0;
    let in_order = plan.relays.iter().map(|relay| {
        let at = (next..left.len().min(next + 2)).find(|at| is_it(&left[*at], relay))?;
        next = at + 1;
        left[at].take()
    });
    let mut kept: Vec<Option<Old<'a>>> = in_order.collect();
    let mut others: BTreeMap<&str, Old<'a>> =
        left.into_iter().flatten().map(|old| (old.1.relay.name.as_str(), old)).collect();
    for (kept, relay) in kept.iter_mut().zip(&plan.relays).filter(|(kept, _)| kept.is_none()) {
        *kept = others.remove(relay.name.as_str());
    }
    let mut gone: Vec<Old<'a>> = others.into_values().collect();
    gone.sort_by_key(|(slot, _)| *slot);
    (kept, gone)
}

/// The counters of a relay's outputs, and its slot if it has one.
enum Counters<'a> {
    /// All that it had.
    AsBefore(u32, &'a SlotRelay),
    /// Some of them; the others are to be taken.
    Of(Option<u32>, Vec<Option<u32>>),
}

/// The same outputs with their counters, of which nothing else is known. They are made of the relay if it runs, and those of one
/// that did not run either know nothing else.
fn unresolved(relay: &Relay, old: &SlotRelay) -> Outputs<SlotOutput> {
    let knows_more = |output: &SlotOutput| output.entry.is_some() || output.pending.is_some();
    if relay.enabled || !old.outputs.iter().any(knows_more) {
        return old.outputs.clone();
    }
    old.outputs.iter().map(|output| SlotOutput { counter: output.counter, entry: None, pending: None }).collect()
}

impl Assigned {
    fn put(&mut self, relay: &Relay, slot: u32, outputs: Outputs<SlotOutput>) {
        let at = slot as usize;
        if self.relays.len() <= at {
            self.relays.resize(at + 1, None);
        }
        self.relays[at] = Some(SlotRelay { relay: relay.clone(), key: None, outputs });
    }

    fn add(&mut self, relay: &Relay, slot: Option<u32>, counters: Vec<Option<u32>>) {
        let slot = slot.or_else(|| self.slot_numbers.take());
        self.slots.push(slot);
        let Some(slot) = slot else { return };
        let taken: Vec<u32> = counters.into_iter().map_while(|c| c.or_else(|| self.counter_numbers.take())).collect();
        if taken.len() < relay.outputs.len() {
            // Without a counter for each output there is no relay; the plan is refused anyway.
            taken.into_iter().for_each(|counter| self.counter_numbers.release(counter));
            self.slot_numbers.release(slot);
            self.slots.pop();
            self.slots.push(None);
            return;
        }
        let outputs = taken.into_iter().map(|counter| SlotOutput { counter, entry: None, pending: None }).collect();
        self.put(relay, slot, outputs);
    }
}

fn refuse_what_has_no_room(plan: &Plan, refused: &mut Vec<Conflict>) {
    let (max_relays, max_outputs) = (plan.lanes.max_relays, plan.lanes.max_outputs);
    let n_outputs: usize = plan.relays.iter().map(|relay| relay.outputs.len()).sum();
    if plan.relays.len() > max_relays as usize {
        refused.push(Conflict::TooManyRelays { n_relays: plan.relays.len(), max_relays });
    }
    if n_outputs > max_outputs as usize {
        refused.push(Conflict::TooManyOutputs { n_outputs, max_outputs });
    }
}

/// The counters of a relay's outputs, where the relay had the same outputs before; the others' are given back.
fn kept_counters(old: &SlotRelay, new: &Relay, numbers: &mut Numbers) -> Vec<Option<u32>> {
    let mut left: Vec<(&Output, u32)> =
        old.relay.outputs.iter().zip(&old.outputs).map(|(output, slot)| (output, slot.counter)).collect();
    let counters = new
        .outputs
        .iter()
        .map(|output| {
            let at = left.iter().position(|(before, _)| same_output(before, output))?;
            Some(left.remove(at).1)
        })
        .collect();
    left.into_iter().for_each(|(_, counter)| numbers.release(counter));
    counters
}

/// An output is the same while it leads to the same place, whatever else of it changes.
pub(super) fn same_output(a: &Output, b: &Output) -> bool {
    (&a.interface, a.vlans, a.destination, a.port) == (&b.interface, b.vlans, b.destination, b.port)
}
