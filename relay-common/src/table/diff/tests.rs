//! Changes lead from any table to any other, safely at each step.

use super::super::fixtures::{compiled, facts, ip, output, plan, port, relay};
use super::super::{Kernel, Table};
use super::{Change, diff, towards};
use crate::abi::{Address, InputKey, SourceKey};
use crate::entry::RelayEntry;
use crate::facts::Facts;
use crate::plan::{Definition, Relay};
use alloc::{format, vec, vec::Vec};
use proptest::prelude::*;

fn table(relays: Vec<Relay>, previous: Option<&Table>) -> Table {
    compiled(&plan(relays), &facts(), previous).table
}

fn names(changes: &[Change]) -> Vec<&'static str> {
    let name = |change: &Change| match change {
        Change::Unmatch { .. } => "unmatch",
        Change::ForbidSource(_) => "forbid",
        Change::AddOwnMac(_) => "add mac",
        Change::Join(_) => "join",
        Change::Publish { .. } => "publish",
        Change::AllowSource { .. } => "allow",
        Change::Match { .. } => "match",
        Change::Leave { .. } => "leave",
        Change::RemoveOwnMac(_) => "remove mac",
    };
    changes.iter().map(name).collect()
}

fn sourced(mut relay: Relay, source: &str) -> Relay {
    relay.input.sources = vec![ip(source)];
    relay
}

#[test]
fn the_way_up_and_the_way_down() {
    let empty = Table::empty(4096, 16_384);
    let one = table(vec![sourced(relay("a", "239.1.1.1", &["239.2.1.1"]), "10.9.9.9")], Some(&empty));
    assert_eq!(names(&diff(&empty, &one)), ["add mac", "join", "publish", "allow", "match"]);
    let none = table(vec![], Some(&one));
    assert_eq!(names(&diff(&one, &none)), ["unmatch", "forbid", "publish", "leave", "remove mac"]);
}

#[test]
fn the_same_plan_changes_nothing() {
    let relays = || vec![relay("a", "239.1.1.1", &["239.2.1.1", "10.0.2.9"]), relay("b", "239.1.1.2", &["239.2.1.2"])];
    let first = table(relays(), None);
    let mut turned = relays();
    turned.reverse();
    let second = table(turned, Some(&first));
    assert_eq!(diff(&first, &second), []);
}

#[test]
fn what_only_lanes_look_at_is_only_published() {
    let a = || relay("a", "239.1.1.1", &["239.2.1.1"]);
    let first = table(vec![a()], None);
    let changed: [fn(&mut Relay); 3] = [
        |relay| relay.muted = true,
        |relay| relay.silence_after_ms = Some(20),
        |relay| relay.meters = crate::plan::Meters::Off,
    ];
    for change in changed {
        let mut relay = a();
        change(&mut relay);
        let second = table(vec![relay], Some(&first));
        assert!(!first.same_for_lanes(&second));
        assert_eq!(names(&diff(&first, &second)), ["publish"]);
    }
}

#[test]
fn what_only_people_look_at_changes_nothing() {
    let a = || relay("a", "239.1.1.1", &["239.2.1.1"]);
    let first = table(vec![a()], None);
    let labelled = Relay::from(Definition {
        description: "News".into(),
        labels: [("group".into(), "news".into())].into(),
        ..(*a()).clone()
    });
    let second = table(vec![labelled.clone()], Some(&first));
    assert_eq!(diff(&first, &second), []);
    assert_eq!(second.relay("a").unwrap().1.relay, labelled, "and is known");
}

#[test]
fn a_renamed_relay_is_never_unmatched() {
    let first = table(vec![relay("a", "239.1.1.1", &["239.2.1.1"])], None);
    let second = table(vec![relay("b", "239.1.1.1", &["239.2.1.1"])], Some(&first));
    assert_eq!(names(&diff(&first, &second)), ["publish", "match"]);
}

#[test]
fn sources_open_before_they_are_asked_for_and_close_after() {
    let open = table(vec![relay("a", "239.1.1.1", &["239.2.1.1"])], None);
    let closed = table(vec![sourced(relay("a", "239.1.1.1", &["239.2.1.1"]), "10.9.9.9")], Some(&open));
    assert_eq!(names(&diff(&open, &closed)), ["join", "publish", "allow", "match"]);
    assert_eq!(names(&diff(&closed, &open)), ["join", "publish", "match", "forbid"]);
}

/// Two relays share a group and port, from different sources: what happens to one is nothing to the other.
#[test]
fn relays_that_share_an_input_come_and_go_by_their_sources() {
    let a = || sourced(relay("a", "239.1.1.1", &["239.2.1.1"]), "10.9.9.1");
    let b = |source: &str| sourced(relay("b", "239.1.1.1", &["239.2.1.2"]), source);
    let alone = table(vec![a()], None);
    let both = table(vec![a(), b("10.9.9.2")], Some(&alone));
    assert_eq!(names(&diff(&alone, &both)), ["join", "publish", "allow"]);
    let moved = table(vec![a(), b("10.9.9.3")], Some(&both));
    assert_eq!(names(&diff(&both, &moved)), ["forbid", "join", "publish", "allow"]);
    assert_eq!(names(&diff(&both, &alone)), ["forbid", "join", "publish"]);
    // Who is left takes any source now: the other's is open until then.
    let open = table(vec![relay("a", "239.1.1.1", &["239.2.1.1"])], Some(&both));
    assert_eq!(names(&diff(&both, &open)), ["join", "publish", "match", "forbid", "forbid"]);
    // They exchange their sources.
    let crossed = table(vec![sourced(a(), "10.9.9.2"), b("10.9.9.1")], Some(&both));
    assert_eq!(names(&diff(&both, &crossed)), ["publish", "allow", "allow"]);
}

#[test]
fn a_new_control_goes_on_from_what_it_finds() {
    let old = table(vec![relay("a", "239.1.1.1", &["239.2.1.1"]), relay("b", "239.1.1.2", &["239.2.1.1"])], None);
    let new = table(vec![relay("b", "239.1.1.2", &["239.2.1.1"])], None);
    // Its slots begin anew, so b now has the slot that a had.
    assert_eq!(names(&towards(&old.kernel, &new, &new)), ["unmatch", "publish", "match", "leave"]);
    assert_eq!(names(&towards(&new.kernel, &new, &new)), ["publish"]);
}

/// Enabled or not, group, port, outputs as host and port, source.
type Sketch = (bool, u8, u16, Vec<(u8, u16)>, u8);

fn slot_of(table: &Table, source: &SourceKey) -> Option<u32> {
    table.kernel.sources.get(source).copied()
}

/// Plans over few names and groups, so that they meet often.
fn any_relays() -> impl Strategy<Value = Vec<Relay>> {
    let sketch = (any::<bool>(), 0..8u8, 0..3u16, prop::collection::vec((0..4u8, 0..3u16), 0..4), 0..3u8);
    prop::collection::btree_map(0..8u8, sketch, 0..8)
        .prop_map(|sketches| sketches.into_iter().map(|(name, sketch)| drawn(name, sketch)).collect())
}

fn drawn(name: u8, (enabled, group, number, outputs, source): Sketch) -> Relay {
    let mut relay = relay(&format!("r{name}"), &format!("239.1.1.{group}"), &[]);
    relay.enabled = enabled;
    relay.input.port = port(5000 + number);
    if source > 0 {
        relay.input.sources = vec![ip(&format!("10.9.9.{source}"))];
    }
    let to = |(host, number): (u8, u16)| {
        let mut output = output(&format!("239.2.1.{host}"));
        output.port = port(6000 + number);
        output
    };
    relay.outputs = outputs.into_iter().map(to).collect();
    relay
}

fn any_facts() -> impl Strategy<Value = Facts> {
    (0..10u8).prop_map(|missing| {
        let mut facts = facts();
        match missing {
            0 => _ = facts.links.remove(0),
            1 => _ = facts.links.remove(1),
            2 => facts.links[1].carrier = false,
            3 => facts.links[0].ifindex = 77,
            _ => {}
        }
        facts
    })
}

/// Whose what is: the slot for each input key, and for each source where sources are named.
fn channels(kernel: &Kernel) -> impl Iterator<Item = ((InputKey, Option<Address>), u32)> {
    let any = kernel.inputs.iter().filter(|(_, value)| value.has_sources == 0);
    let named = kernel.sources.iter().map(|(key, slot)| ((key.input, Some(key.source)), *slot));
    any.map(|(key, value)| ((*key, None), value.slot)).chain(named)
}

/// Applies the changes one by one and looks at what must hold at each step.
fn walk(old: &Table, new: &Table) -> Result<Kernel, TestCaseError> {
    let changes = diff(old, new);
    let mut kernel = old.kernel.clone();
    let mut lanes = old;
    for change in &changes {
        kernel.apply(change);
        if let Change::Publish { generation } = change {
            prop_assert_eq!(*generation, new.generation);
            lanes = new;
        }
        let owner = |table: &Table, slot: u32| Some(table.relays.get(slot as usize)?.as_ref()?.relay.name.clone());
        for (channel, slot) in channels(&kernel).filter(|((key, _), _)| kernel.inputs.contains_key(key)) {
            // Whatever the kernel redirects, the lanes know, and a slot hint is right or leads to nobody.
            let (key, source) = channel;
            let named =
                |entry: &RelayEntry| lanes.sources[entry.first_source as usize..][..entry.n_sources as usize].to_vec();
            let takes = |entry: &RelayEntry| {
                entry.key == key
                    && (entry.n_sources == 0 || source.is_some_and(|source| named(entry).contains(&source)))
            };
            let mut known = lanes.entries.iter().filter(|entry| entry.is_in_use());
            prop_assert!(known.any(takes) || !channels(&new.kernel).any(|(other, _)| other == channel));
            let (now, then) = (owner(lanes, slot), owner(old, slot));
            let own = lanes.entries.get(slot as usize).is_some_and(|entry| entry.key == key);
            prop_assert!(own || now.is_none() || then.is_none() || now == then);
            if key.destination.0[12] == 239 {
                prop_assert!(kernel.joins.values().any(|join| key.destination == join.group.into()));
            }
        }
    }
    Ok(kernel)
}

proptest! {
    #[test]
    fn applying_the_difference_gives_the_new_table(
        relays in prop::collection::vec((any_relays(), any_facts()), 2..5)
    ) {
        let mut tables: Vec<Table> = Vec::new();
        for (relays, facts) in relays {
            let mut plan = plan(relays);
            // A table that is nearly full uses slots again at once.
            plan.lanes.max_relays = 8;
            let next = compiled(&plan, &facts, tables.last()).table;
            if let Some(old) = tables.last() {
                prop_assert_eq!(&walk(old, &next)?, &next.kernel);
                let published = diff(old, &next).iter().any(|c| matches!(c, Change::Publish { .. }));
                prop_assert!(published || (old.same_for_lanes(&next) && old.kernel == next.kernel));
                prop_assert_eq!(&walk(&next, old)?, &old.kernel);
            }
            tables.push(next);
        }
    }

    #[test]
    fn an_unchanged_relay_is_left_alone(relays in any_relays(), others in any_relays()) {
        let mine = relay("mine", "239.9.9.9", &["239.2.9.9"]);
        let with = |others: Vec<Relay>, previous: Option<&Table>| {
            let relays = core::iter::once(mine.clone()).chain(others);
            table(relays.collect(), previous)
        };
        let old = with(relays, None);
        let new = with(others, Some(&old));
        let key = old.relay("mine").unwrap().1.key.unwrap();
        let slot = old.relay("mine").unwrap().0;
        prop_assert_eq!(old.entries[slot as usize].key, new.entries[slot as usize].key);
        for change in diff(&old, &new) {
            let touched = match &change {
                Change::Unmatch { key: other } | Change::Match { key: other, .. } => *other == key,
                Change::Join(join) => join.group == ip("239.9.9.9"),
                Change::Leave { group, .. } => *group == ip("239.9.9.9"),
                Change::AllowSource { source, .. } | Change::ForbidSource(source) => {
                    source.input == key || slot_of(&old, source) == Some(slot)
                }
                _ => false,
            };
            prop_assert!(!touched, "{:?}", change);
        }
    }
}
