//! A plan becomes a table: every reason, every default, what stays and what is shared.

mod channels; // who takes in what

use super::super::fixtures::{compiled, facts, input, ip, link, output, plan, port, relay};
use super::super::tests::processor_time;
use super::super::{Part, PendingReason, Placement, Table};
use super::{Conflict, compile};
use crate::abi::{Address, MacKey};
use crate::entry::{OutputEntry, RelayEntry, Rewrite, Vlans};
use crate::facts::{Facts, VlanDevice};
use crate::plan::{Interface, Meters, Plan, Queues, Relay, Source, ZeroCopy};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};

fn table(relays: Vec<Relay>, previous: Option<&Table>) -> Table {
    let compiled = compiled(&plan(relays), &facts(), previous);
    assert_eq!((compiled.pending, compiled.refused), (vec![], vec![]));
    compiled.table
}

/// The reasons why parts of the only relay are pending.
fn pending(plan: &Plan, facts: &Facts) -> Vec<(Part, PendingReason)> {
    let compiled = compiled(plan, facts, None);
    assert_eq!(compiled.refused, []);
    compiled.pending.into_iter().map(|pending| (pending.part, pending.reason)).collect()
}

fn name(link: &str) -> String {
    String::from(link)
}

#[test]
fn a_relay_becomes_entries() {
    let mut unicast = output("10.0.2.9");
    unicast.dscp = Some(34);
    unicast.source = Source::Keep;
    unicast.source_port = Some(port(7));
    unicast.vlans = Vlans::Keep;
    let mut relay = relay("a", "239.1.1.1", &["239.129.1.1"]);
    relay.outputs.push(unicast);
    let table = table(vec![relay], None);

    assert_eq!(table.generation, 1);
    let entry = table.entries[0];
    assert!(entry.is_in_use() && !entry.is_muted());
    assert_eq!((entry.first_output, entry.n_outputs, entry.silence_ms), (0, 2, 1000));
    let [first, second] = table.relays[0].as_ref().unwrap().outputs.as_slice() else { panic!() };
    let group = table.outputs[first.entry.unwrap() as usize];
    assert_eq!(group.rewrite.destination_mac, [0x01, 0x00, 0x5e, 0x01, 1, 1]);
    assert_eq!((group.rewrite.source_mac, group.mtu, group.flags), ([2, 0, 0, 0, 0, 2], 1500, 0));
    assert_eq!((group.rewrite.source, group.rewrite.flags), (Address::from(ip("10.0.2.1")), Rewrite::SET_SOURCE));
    assert_eq!((group.rewrite.n_vlans, group.rewrite.ttl, group.rewrite.destination_port), (0, 16, 6000));
    let host = table.outputs[second.entry.unwrap() as usize];
    assert_eq!((host.rewrite.destination_mac, host.rewrite.dscp), ([2, 9, 9, 9, 9, 9], 34));
    assert_eq!((host.rewrite.flags, host.rewrite.n_vlans), (Rewrite::SET_DSCP, Rewrite::KEEP_VLANS));
    assert_eq!(host.rewrite.source_port, 7);

    let (key, value) = table.kernel.inputs.first_key_value().unwrap();
    assert_eq!((key.ifindex, key.destination, key.port), (1, Address::v4([239, 1, 1, 1]), 5000));
    assert_eq!((value.slot, value.has_sources, value.socket_base, value.n_queues), (0, 0, 0, 4));
    let own_macs: Vec<MacKey> = table.kernel.own_macs.into_iter().collect();
    assert_eq!(own_macs, [MacKey { mac: [2, 0, 0, 0, 0, 2], zero: [0; 2] }]);
}

#[test]
fn ipv6_has_its_own_hardware_addresses() {
    let table = table(vec![relay("a", "ff3e::1", &["ff3e::12:3456"])], None);
    assert_eq!(table.outputs[0].rewrite.destination_mac, [0x33, 0x33, 0, 0x12, 0x34, 0x56]);
    assert_eq!(table.outputs[0].rewrite.source, Address::from(ip("fd00::2")));
}

#[test]
fn slots_and_counters_stay() {
    let a = || relay("a", "239.1.1.1", &["239.2.1.1", "239.2.1.2", "239.2.1.3"]);
    let b = || relay("b", "239.1.1.2", &["239.2.1.4"]);
    let first = table(vec![a(), b()], None);
    let mut less = a();
    less.outputs.remove(1);
    less.outputs.reverse();
    less.outputs[1].ttl = Some(core::num::NonZeroU8::MAX);
    let second = table(vec![relay("c", "239.1.1.3", &["239.2.1.5"]), b(), less], Some(&first));
    let numbers = |table: &Table, name: &str| {
        let (slot, relay) = table.relay(name).unwrap();
        (slot, relay.outputs.iter().map(|output| output.counter).collect::<Vec<_>>())
    };
    assert_eq!(numbers(&first, "a"), (0, vec![0, 1, 2]));
    assert_eq!(numbers(&second, "a"), (0, vec![2, 0]));
    assert_eq!(numbers(&second, "b"), (1, vec![3]));
    assert_eq!(numbers(&second, "c"), (2, vec![4]));
    assert_eq!(second.generation, 2);
}

#[test]
fn a_disabled_relay_keeps_its_slot_and_nothing_else() {
    let first = table(vec![relay("a", "239.1.1.1", &["239.2.1.1"]), relay("b", "239.1.1.2", &["239.2.1.2"])], None);
    let mut disabled = relay("a", "239.1.1.1", &["239.2.1.1"]);
    disabled.enabled = false;
    let second = table(vec![disabled, relay("b", "239.1.1.2", &["239.2.1.2"])], Some(&first));
    assert_eq!(second.relay("a").unwrap().0, 0);
    assert_eq!((second.entries[0].flags, second.entries[1].is_in_use()), (0, true));
    assert_eq!((second.outputs.len(), second.kernel.inputs.len(), second.kernel.joins.len()), (1, 1, 1));
}

#[test]
fn what_a_lane_does_with_packets_is_in_the_entry() {
    let entry = |change: &dyn Fn(&mut Relay)| {
        let mut relay = relay("a", "239.1.1.1", &["239.2.1.1"]);
        change(&mut relay);
        table(vec![relay], None).entries[0]
    };
    let plain = entry(&|_| {});
    assert_eq!(plain.flags, RelayEntry::IN_USE | RelayEntry::METER_RTP | RelayEntry::METER_TS);
    assert_eq!(entry(&|relay| relay.muted = true).flags, plain.flags | RelayEntry::MUTED);
    assert_eq!(entry(&|relay| relay.meters = Meters::Rtp).flags, RelayEntry::IN_USE | RelayEntry::METER_RTP);
    assert_eq!(entry(&|relay| relay.meters = Meters::Off).flags, RelayEntry::IN_USE);
    assert_eq!(entry(&|relay| relay.silence_after_ms = Some(250)).silence_ms, 250);
    assert_eq!(entry(&|relay| relay.silence_after_ms = None).silence_ms, 0);
}

#[test]
fn meters_begin_anew_with_another_stream_or_the_same_after_a_pause() {
    let a = || relay("a", "239.1.1.1", &["239.2.1.1"]);
    let first = table(vec![a()], None);
    let epoch = |table: &Table| table.entries[0].epoch;
    let mut changed = a();
    (changed.muted, changed.outputs) = (true, vec![output("239.2.1.9")].into());
    assert_eq!(epoch(&table(vec![changed], Some(&first))), epoch(&first));
    assert_ne!(epoch(&table(vec![relay("b", "239.1.1.2", &[])], Some(&first))), epoch(&first));
    let mut paused = a();
    paused.enabled = false;
    let without = table(vec![paused], Some(&first));
    assert_ne!(epoch(&table(vec![a()], Some(&without))), epoch(&first));
    assert_ne!(epoch(&table(vec![relay("b", "239.1.1.2", &[])], None)), epoch(&first), "as of another control");
}

#[test]
fn a_full_table_can_exchange_a_relay() {
    let full = |name: &str| {
        let mut plan = plan(vec![relay(name, "239.1.1.1", &["239.2.1.1"])]);
        (plan.lanes.max_relays, plan.lanes.max_outputs) = (1, 1);
        plan
    };
    let first = compiled(&full("a"), &facts(), None).table;
    let second = compiled(&full("b"), &facts(), Some(&first));
    assert_eq!((second.refused, second.table.relay("b").map(|(slot, _)| slot)), (vec![], Some(0)));
}

#[test]
fn what_has_no_room_is_refused() {
    let mut plan = plan(vec![relay("a", "239.1.1.1", &["239.2.1.1", "239.2.1.2"]), relay("b", "239.1.1.2", &[])]);
    (plan.lanes.max_relays, plan.lanes.max_outputs) = (1, 1);
    let refused = compiled(&plan, &facts(), None).refused;
    let expected = [
        Conflict::TooManyRelays { n_relays: 2, max_relays: 1 },
        Conflict::TooManyOutputs { n_outputs: 2, max_outputs: 1 },
    ];
    assert_eq!(refused, expected);
}

#[test]
fn equal_rewrites_share_a_frame() {
    let mut relay = relay("a", "239.1.1.1", &["239.2.1.1", "239.2.1.2", "239.2.1.1", "10.0.2.77"]);
    relay.outputs[2].interface = name("twin");
    relay.outputs[2].source = Source::Address(ip("10.0.2.1"));
    let mut facts = facts();
    let mut twin = link("twin", 3);
    twin.mac = [2, 0, 0, 0, 0, 2];
    facts.links.push(twin);
    let table = compiled(&plan(vec![relay]), &facts, None).table;
    let flags: Vec<u16> = table.outputs.iter().map(|output| output.flags).collect();
    assert_eq!(flags, [0, OutputEntry::SHARES, 0, OutputEntry::PENDING]);
    let order: Vec<Option<u16>> = table.relays[0].as_ref().unwrap().outputs.iter().map(|o| o.entry).collect();
    assert_eq!(order, [Some(0), Some(2), Some(1), Some(3)]);
    assert_eq!((table.outputs[0].link, table.outputs[1].link), (0, 1));
}

#[test]
fn a_vlan_is_joined_on_its_device() {
    let mut tagged = relay("a", "239.1.1.1", &["239.2.1.1"]);
    tagged.input.vlans = [100, 7];
    tagged.outputs[0].vlans = Vlans::Set { n: 1, ids: [200, 0] };
    let mut facts = facts();
    let missing = [(Part::Input, PendingReason::VlanDeviceMissing { link: name("in"), device: name("in.100.7") })];
    assert_eq!(pending(&plan(vec![tagged.clone()]), &facts), missing);
    let without = compiled(&plan(vec![tagged.clone()]), &facts, None).table;
    assert_eq!((without.kernel.inputs.len(), without.kernel.joins.len()), (1, 0));
    assert_eq!(without.outputs[0].rewrite.source, Address::from(ip("10.0.2.1")));

    let device =
        |parent_ifindex, vlan, ifindex, device: &str| VlanDevice { parent_ifindex, vlan, ifindex, name: name(device) };
    facts.vlan_devices = vec![device(1, 100, 7, "in.100"), device(7, 7, 8, "inner"), device(2, 200, 9, "outer")];
    facts.links.extend([link("in.100", 7), link("inner", 8), link("outer", 9)]);
    let with = compiled(&plan(vec![tagged]), &facts, None);
    assert_eq!(with.pending, []);
    assert_eq!(with.table.kernel.joins[&(8, ip("239.1.1.1"))].device, "inner");
    assert_eq!(with.table.kernel.inputs.first_key_value().unwrap().0.ifindex, 1);
    assert_eq!(with.table.outputs[0].rewrite.source, Address::from(ip("10.0.9.1")));
}

#[test]
fn every_reason_of_an_input() {
    let plan_of = |group: &str| plan(vec![relay("a", group, &["239.2.1.1"])]);
    let reason = |change: &dyn Fn(&mut Facts, &mut Plan)| {
        let (mut facts, mut plan) = (facts(), plan_of("239.1.1.1"));
        change(&mut facts, &mut plan);
        let compiled = compiled(&plan, &facts, None);
        assert_eq!(compiled.pending.len(), 1, "{:?}", compiled.pending);
        let pending = compiled.pending[0].clone();
        assert_eq!(pending.part, Part::Input);
        assert_eq!(compiled.table.kernel.inputs.is_empty(), pending.reason.stops_input());
        assert_eq!(!compiled.table.entries[0].is_in_use(), pending.reason.stops_input());
        pending.reason
    };
    let link = name("in");
    let r = reason(&|facts, _| facts.links[0].name = name("other"));
    assert_eq!(r, PendingReason::LinkMissing { link: link.clone() });
    let r = reason(&|facts, _| facts.links[0].carrier = false);
    assert_eq!(r, PendingReason::LinkDown { link: link.clone(), up: true });
    let r = reason(&|facts, _| facts.links[0].mac = [0; 6]);
    assert_eq!(r, PendingReason::NoHardwareAddress { link: link.clone() });
    let with_zero_copy = |plan: &mut Plan, zero_copy| {
        plan.interfaces.push(Interface { zero_copy, ..Interface::default_for("in") });
    };
    let r = reason(&|facts, plan| {
        facts.links[0].mtu = 1771;
        with_zero_copy(plan, ZeroCopy::Always);
    });
    assert_eq!(r, PendingReason::MtuTooLong { link: link.clone(), mtu: 1771, limit: 1766 });
    for zero_copy in [ZeroCopy::Auto, ZeroCopy::Never] {
        let (mut facts, mut plan) = (facts(), plan_of("239.1.1.1"));
        facts.links[0].mtu = 9000;
        with_zero_copy(&mut plan, zero_copy);
        assert_eq!(pending(&plan, &facts), [], "where the kernel copies, what fits is taken");
    }
    let remedy = || "ethtool -K in rxvlan off".into();
    let r = reason(&|facts, _| facts.tags_stripped = [(name("in"), remedy())].into());
    assert_eq!(r, PendingReason::TagsStripped { link: link.clone(), remedy: remedy() });
    let r = reason(&|_, plan| *plan = plan_of("10.0.1.2"));
    assert_eq!(r, PendingReason::NotOwnAddress { link: link.clone(), address: ip("10.0.1.2") });
    let r = reason(&|_, plan| {
        plan.interfaces.push(Interface { queues: Queues::Some(vec![3, 4]), ..Interface::default_for("in") });
    });
    assert_eq!(r, PendingReason::QueueMissing { link: link.clone(), queue: 4, n_queues: 4 });
    let r = reason(&|facts, _| facts.links[0].n_rx_queues = 65);
    assert_eq!(r, PendingReason::TooManyQueues { link, n_queues: 65, limit: 64 });
    assert_eq!(pending(&plan_of("10.0.1.1"), &facts()), []);
}

#[test]
fn every_reason_of_an_output() {
    let reason = |destination: &str, change: &dyn Fn(&mut Facts, &mut Plan)| {
        let (mut facts, mut plan) = (facts(), plan(vec![relay("a", "239.1.1.1", &[destination])]));
        change(&mut facts, &mut plan);
        let compiled = compiled(&plan, &facts, None);
        assert_eq!(compiled.pending.len(), 1, "{:?}", compiled.pending);
        assert_eq!(compiled.pending[0].part, Part::Output(0));
        assert_eq!(compiled.table.outputs[0].flags, OutputEntry::PENDING);
        assert_eq!(compiled.table.kernel.inputs.len(), 1);
        compiled.pending[0].reason.clone()
    };
    let (link, group) = (name("out"), "239.2.1.1");
    let r = reason(group, &|facts, _| _ = facts.links.pop());
    assert_eq!(r, PendingReason::LinkMissing { link: link.clone() });
    let r = reason(group, &|facts, _| facts.links[1].up = false);
    assert_eq!(r, PendingReason::LinkDown { link: link.clone(), up: false });
    let r = reason(group, &|facts, _| facts.links[1].mac = [0; 6]);
    assert_eq!(r, PendingReason::NoHardwareAddress { link: link.clone() });
    let r = reason(group, &|facts, _| facts.links[1].v4.clear());
    assert_eq!(r, PendingReason::NoAddress { link: link.clone(), family: 4 });
    let r = reason(group, &|facts, plan| {
        plan.lanes.cores = vec![1, 2, 3, 4, 5];
        facts.links[1].n_tx_queues = 3;
    });
    assert_eq!(
        r,
        PendingReason::TooFewQueues { link: link.clone(), n_queues: 3, needed: 4, lane: 3, input: name("in") }
    );
    let destination = ip("10.0.2.255");
    let r = reason("10.0.2.255", &|_, _| {});
    assert_eq!(r, PendingReason::BroadcastAddress { link: link.clone(), address: destination });
    let destination = ip("10.0.2.9");
    let r = reason("10.0.2.9", &|facts, _| facts.neighbours.clear());
    assert_eq!(r, PendingReason::NeighbourUnknown { link: link.clone(), destination, next_hop: None });
    let r = reason("10.0.2.9", &|facts, _| facts.neighbours[0].mac = None);
    assert_eq!(r, PendingReason::NeighbourUnknown { link, destination, next_hop: Some(destination) });
}

#[test]
fn a_link_local_source_stays_on_its_link() {
    let mut facts = facts();
    facts.links[1].v6 = vec![("fe80::2".parse().unwrap(), 64)];
    let reasons = |group: &str| pending(&plan(vec![relay("a", "ff15::1", &[group])]), &facts);
    let link = name("out");
    assert_eq!(reasons("ff15::2"), [(Part::Output(0), PendingReason::NoAddress { link, family: 6 })]);
    assert_eq!(reasons("ff12::2"), []);
}

#[test]
fn a_link_that_cannot_be_used_says_why() {
    let plan = plan(vec![relay("a", "239.1.1.1", &["239.2.1.1"])]);
    let problem = || name("its sockets could not be made");
    let unusable = |link: &str| PendingReason::Unusable { link: name(link), problem: problem() };
    let mut facts = facts();
    facts.unusable = [(name("in"), problem()), (name("out"), problem())].into();
    let reasons = pending(&plan, &facts);
    assert_eq!(reasons, [(Part::Input, unusable("in")), (Part::Output(0), unusable("out"))]);
}

#[test]
fn a_successor_keeps_the_numbers_it_was_told() {
    let plan =
        plan(vec![relay("a", "239.1.1.1", &["239.2.1.1"]), relay("b", "239.1.1.2", &["239.2.1.2", "239.2.1.3"])]);
    let mut before = compiled(&plan, &facts(), None).table;
    let gone = crate::plan::Plan { relays: vec![plan.relays[1].clone()], ..plan.clone() };
    before = compiled(&gone, &facts(), Some(&before)).table;
    let told =
        before.slots().map(|(slot, at)| (slot, at.relay.clone(), at.outputs.iter().map(|o| o.counter).collect()));
    let remembered = Table::remembered(before.generation, (before.max_relays(), before.max_outputs()), told);
    let after = compiled(&plan, &facts(), Some(&remembered)).table;
    assert_eq!(
        after.relay("b").map(|(slot, at)| (slot, at.outputs.clone())),
        before.relay("b").map(|(slot, at)| (slot, at.outputs.clone()))
    );
    assert_eq!(after.generation, before.generation + 1);
    assert_ne!(after.relay("a").unwrap().0, before.relay("b").unwrap().0);
}

#[test]
fn only_lanes_that_packets_come_to_need_a_transmit_queue() {
    let mut plan = plan(vec![relay("a", "239.1.1.1", &["239.2.1.1"])]);
    plan.lanes.cores = vec![1, 2, 3, 4, 5];
    assert_eq!(pending(&plan, &facts()), []);
}

#[test]
fn a_link_that_is_both_has_each_queue_on_one_lane() {
    let mut plan = plan(vec![relay("a", "239.1.1.1", &["239.2.1.1"]), relay("b", "239.3.1.1", &["239.4.1.1"])]);
    plan.relays[1].input.interface = name("out");
    plan.relays[1].outputs[0].interface = name("in");
    let place = Placement::new(&plan, &facts(), None);
    for (link, queue) in [("in", 0), ("in", 1), ("out", 0), ("out", 1)] {
        assert_eq!(place.lane(link, queue, 2), queue, "{link}");
    }
}

#[test]
fn too_few_frames_are_refused_with_the_number() {
    let mut plan = plan(vec![relay("a", "239.1.1.1", &["239.2.1.1"])]);
    plan.lanes.frames = Some(20_000);
    let refused = compiled(&plan, &facts(), None).refused;
    let text = "lanes.frames = 20000 is too few for a lane with 4 receive queues and 1 output links: \
                set it to at least 20544, or leave it out";
    assert_eq!(refused.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
    plan.lanes.frames = Some(20_544);
    assert_eq!(compiled(&plan, &facts(), None).refused, []);
    plan.lanes.cores = vec![1, 2, 3, 4];
    plan.lanes.frames = Some(4 * 2048 + 64);
    assert_eq!(compiled(&plan, &facts(), None).refused, []);
}

/// Eight times as many relays take eight times as long and a little more, where a look at all for each would take 64 times.
#[test]
fn ten_thousand_relays_are_no_burden() {
    let (few, many) = (recompiling(1_250), recompiling(10_000));
    std::println!("compiled 1 250 relays in {few:?}, 10 000 in {many:?}");
    assert!(many < few * 24, "{few:?} and {many:?}");
}

/// The processor time that it takes to compile so many relays again. The kernel counts it at its ticks: ten times in a row.
fn recompiling(n: u32) -> core::time::Duration {
    let relays = (0..n).map(|i| {
        let [_, _, a, b] = i.to_be_bytes();
        relay(&format!("r{i}"), &format!("239.1.{a}.{b}"), &[&format!("239.2.{a}.{b}")])
    });
    let mut plan = plan(relays.collect());
    plan.lanes.max_relays = n;
    let facts = facts();
    let place = Placement::new(&plan, &facts, None);
    let first = compile(&plan, &facts, &place, None).table;
    let start = processor_time();
    for _ in 0..10 {
        let second = compile(&plan, &facts, &place, Some(&first));
        assert_eq!((second.refused, second.table.kernel.inputs.len()), (vec![], n as usize));
    }
    processor_time() - start
}
