//! Old table and new table become changes, in an order that is safe at every step.
//!
//! A lane knows a relay before its frames come (publish before match), the kernel's own filter is open before
//! that (join before match), and a slot has nobody's frames while it changes hands (unmatch before publish). What
//! relays share an input with others, from other sources, come and go by their sources alone.

use super::{Join, Kernel, SlotRelay, Table};
use crate::abi::{InputKey, InputValue, MacKey, SourceKey};
use alloc::{collections::BTreeMap, collections::BTreeSet, string::String, vec::Vec};
use core::cmp::Ordering;
use core::net::IpAddr;

/// One step from a table to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Take a key out of `INPUTS`.
    Unmatch {
        /// The key.
        key: InputKey,
    },
    /// Take a source out of `SOURCES`.
    ForbidSource(SourceKey),
    /// Put a hardware address into `OWN_MACS`.
    AddOwnMac(MacKey),
    /// Be joined with exactly these sources, whatever was joined of the group before. What stays is never left
    /// meanwhile: new sources first, then leave the old ones.
    Join(Join),
    /// Give the lanes the new table and wait until each has confirmed it.
    Publish {
        /// Its generation.
        generation: u64,
    },
    /// Put a source into `SOURCES`, in place of what it says now.
    AllowSource {
        /// The source, of an input.
        source: SourceKey,
        /// The slot of the relay that takes it.
        slot: u32,
    },
    /// Put a key into `INPUTS`, in place of what it says now.
    Match {
        /// The key.
        key: InputKey,
        /// What it says.
        value: InputValue,
    },
    /// Leave a group.
    Leave {
        /// The device it was joined on.
        device: String,
        /// The kernel's index of that device.
        ifindex: u32,
        /// The group.
        group: IpAddr,
    },
    /// Take a hardware address out of `OWN_MACS`.
    RemoveOwnMac(MacKey),
}

impl Change {
    /// The group that it joins, if it joins one.
    #[must_use]
    pub const fn as_join(&self) -> Option<&Join> {
        if let Self::Join(join) = self { Some(join) } else { None }
    }
}

/// The changes from one table to the next; none if they say the same.
#[must_use]
pub fn diff(old: &Table, new: &Table) -> Vec<Change> {
    changes(&old.kernel, (old, new), !old.same_for_lanes(new))
}

/// The changes from what was found in the kernel to a table that the lanes do not have yet; `old` is what is known of the
/// table that they have.
#[must_use]
pub fn towards(found: &Kernel, old: &Table, new: &Table) -> Vec<Change> {
    changes(found, (old, new), true)
}

fn changes(old: &Kernel, (before, table): (&Table, &Table), publish: bool) -> Vec<Change> {
    let new = &table.kernel;
    // Whether a slot that had frames of that key has others' now.
    let handed_on = |key: &InputKey, slot: u32| {
        let [before, after] = [before, table].map(|table| table.relays.get(slot as usize)?.as_ref());
        let renamed = |before: &SlotRelay, after: &SlotRelay| {
            !before.relay.is(&after.relay) && before.relay.name != after.relay.name
        };
        after.is_some_and(|after| {
            after.key.is_some_and(|owner| owner != *key) || before.is_some_and(|before| renamed(before, after))
        })
    };
    let is_any = |value: &&InputValue| value.has_sources == 0;
    let unmatched: BTreeSet<&InputKey> = beside(&old.inputs, &new.inputs)
        .filter_map(|(key, old, new)| {
            old.filter(|old| new.is_none() || (is_any(old) && handed_on(key, old.slot))).map(|_| key)
        })
        .collect();
    let forbidden: BTreeMap<&SourceKey, u32> = old
        .sources
        .iter()
        .filter(|(source, slot)| !new.sources.contains_key(source) || handed_on(&source.input, **slot))
        .map(|(source, slot)| (source, *slot))
        .collect();
    // A source that is no longer named because any is taken stays until that is so.
    let opens = |key: &InputKey| new.inputs.get(key).filter(is_any).is_some() && !unmatched.contains(key);
    let (forbidden_late, forbidden_early): (Vec<(&SourceKey, u32)>, Vec<_>) = forbidden
        .iter()
        .map(|(source, slot)| (*source, *slot))
        .partition(|(source, slot)| opens(&source.input) && !handed_on(&source.input, *slot));

    let mut changes: Vec<Change> = unmatched.iter().map(|key| Change::Unmatch { key: **key }).collect();
    changes.extend(forbidden_early.into_iter().map(|(source, _)| Change::ForbidSource(*source)));
    changes.extend(new.own_macs.difference(&old.own_macs).map(|mac| Change::AddOwnMac(*mac)));
    let joins = beside(&old.joins, &new.joins).filter(|(_, old, new)| old != new);
    changes.extend(joins.filter_map(|(_, _, join)| join.cloned()).map(Change::Join));
    let publish_at = changes.len();
    let allowed = new
        .sources
        .iter()
        .filter(|(source, slot)| forbidden.contains_key(source) || old.sources.get(source) != Some(slot));
    changes.extend(allowed.map(|(source, slot)| Change::AllowSource { source: *source, slot: *slot }));
    let matches = beside(&old.inputs, &new.inputs).filter(|(key, old, new)| old != new || unmatched.contains(key));
    changes.extend(matches.filter_map(|(key, _, value)| Some(Change::Match { key: *key, value: *value? })));
    changes.extend(forbidden_late.into_iter().map(|(source, _)| Change::ForbidSource(*source)));
    let left = beside(&old.joins, &new.joins).filter_map(|(_, old, new)| old.filter(|_| new.is_none()));
    changes.extend(left.map(|Join { device, ifindex, group, .. }| Change::Leave {
        device: device.clone(),
        ifindex: *ifindex,
        group: *group,
    }));
    changes.extend(old.own_macs.difference(&new.own_macs).map(|mac| Change::RemoveOwnMac(*mac)));
    // Every change is published, so that one generation names the state of lanes and kernel together.
    if publish || !changes.is_empty() {
        changes.insert(publish_at, Change::Publish { generation: table.generation });
    }
    changes
}

/// What two maps say of each key that either has, in order and without looking each up in the other.
fn beside<'a, K: Ord, V>(
    old: &'a BTreeMap<K, V>,
    new: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    core::iter::from_fn(move || {
        let order = match (old.peek(), new.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        let was = if order.is_le() { old.next() } else { None };
        let is = if order.is_ge() { new.next() } else { None };
        let key = was.or(is)?.0;
        Some((key, was.map(|(_, value)| value), is.map(|(_, value)| value)))
    })
}

impl Kernel {
    /// Does to this model what a change does to the kernel, so that control knows what lies there even after a
    /// change that failed half-way.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Unmatch { key } => _ = self.inputs.remove(key),
            Change::Match { key, value } => _ = self.inputs.insert(*key, *value),
            Change::AllowSource { source, slot } => _ = self.sources.insert(*source, *slot),
            Change::ForbidSource(source) => _ = self.sources.remove(source),
            Change::AddOwnMac(mac) => _ = self.own_macs.insert(*mac),
            Change::RemoveOwnMac(mac) => _ = self.own_macs.remove(mac),
            Change::Join(join) => _ = self.joins.insert((join.ifindex, join.group), join.clone()),
            Change::Leave { ifindex, group, .. } => _ = self.joins.remove(&(*ifindex, *group)),
            Change::Publish { .. } => {} // The lanes' business.
        }
    }
}

#[cfg(test)]
mod tests;
