//! Links keep their numbers and their lanes.

use super::super::fixtures::{facts, link, plan, relay};
use super::super::{Pending, PendingReason, compile};
use super::Placement;
use crate::facts::{Facts, Link};
use crate::plan::{Interface, Plan, Queues, Relay};
use alloc::{format, string::String, vec, vec::Vec};

#[test]
fn links_keep_their_numbers() {
    let on = |name: &str, input: &str, output: &str| {
        let mut relay = relay(name, "239.1.1.1", &["239.2.1.1"]);
        relay.input.interface = String::from(input);
        relay.outputs[0].interface = String::from(output);
        relay
    };
    let mut facts = facts();
    facts.links.push(link("third", 3));
    let first = Placement::new(&plan(vec![on("a", "in", "out"), on("b", "third", "missing")]), &facts, None);
    assert_eq!(first.input("in").map(|place| (place.socket_base(), place.n_queues())), Some((0, 4)));
    assert_eq!(first.input("third").map(super::InputPlace::socket_base), Some(64));
    assert_eq!((first.output("out"), first.output("missing")), (Some(0), None));

    let plan = plan(vec![on("b", "third", "third"), on("c", "out", "out")]);
    let second = Placement::new(&plan, &facts, Some(&first));
    assert_eq!(second.input("third").map(|place| place.number), Some(1));
    assert_eq!((second.input("in"), second.input("out").map(|place| place.number)), (None, Some(2)));
    assert_eq!((second.output("out"), second.output("third")), (Some(0), Some(1)));
}

#[test]
fn every_queue_has_one_lane() {
    let mut plan = plan(vec![relay("a", "239.1.1.1", &["239.2.1.1"])]);
    let lanes = |plan: &crate::plan::Plan, n_lanes: u32| {
        let place = Placement::new(plan, &facts(), None);
        let queues = |lane| place.rx_queues(lane, n_lanes).map(|(_, queue)| queue).collect::<Vec<_>>();
        (0..n_lanes).map(queues).collect::<Vec<_>>()
    };
    assert_eq!(lanes(&plan, 3), [vec![0, 3], vec![1], vec![2]]);
    plan.interfaces.push(Interface { queues: Queues::Some(vec![3, 1, 9]), ..Interface::default_for("in") });
    assert_eq!(lanes(&plan, 2), [vec![], vec![3, 1]]);
}

/// Relays from one link to each of these.
fn sending_to(links: impl IntoIterator<Item = usize>) -> Plan {
    let to = |i| way(&(format!("r{i}"), String::from("in"), format!("o{i}")));
    plan(links.into_iter().map(to).collect())
}

fn many_links() -> Facts {
    let links = (0..80).map(|i| link(&format!("o{i}"), i)).chain([link("in", 99)]);
    Facts { links: links.collect(), ..Facts::default() }
}

#[test]
fn a_number_is_another_links_only_after_a_table_without_it() {
    let facts = many_links();
    let full = Placement::new(&sending_to(0..64), &facts, None).settled();
    assert!(!full.waits() && full.output("o63") == Some(63));
    // One more finds no number, whatever happens.
    let more = Placement::new(&sending_to(0..65), &facts, Some(&full));
    assert_eq!((more.output("o64"), more.waits()), (None, false));
    // In place of another it gets that one's number, once lanes do not send by it any more.
    let swapped = sending_to((0..63).chain([64]));
    let first = Placement::new(&swapped, &facts, Some(&full));
    assert_eq!((first.output("o63"), first.output("o64"), first.waits()), (None, None, true));
    let again = Placement::new(&swapped, &facts, Some(&first));
    assert_eq!((again.output("o64"), again.waits()), (None, true), "nothing was in force meanwhile");
    let second = Placement::new(&swapped, &facts, Some(&first.clone().settled()));
    assert_eq!((second.output("o64"), second.waits()), (Some(63), false));
    // Whoever goes and comes back meanwhile has another number, too.
    let back = Placement::new(&sending_to(0..64), &facts, Some(&first));
    assert_eq!((back.output("o63"), back.waits()), (None, true));
}

#[test]
fn what_was_tried_or_is_not_known_is_given_to_nobody_at_once() {
    let facts = many_links();
    let mut before = Placement::new(&sending_to([0]), &facts, None).settled();
    let tried = Placement::new(&sending_to([0, 1]), &facts, Some(&before));
    assert_eq!(tried.output("o1"), Some(1));
    before.note_tried(&tried);
    let other = Placement::new(&sending_to([0, 2]), &facts, Some(&before));
    assert_eq!((other.output("o0"), other.output("o2")), (Some(0), Some(2)));
    // A predecessor may have died with more in force than it had written down, or less.
    let remembered = Placement::remembered([], [(String::from("o0"), 0)], []);
    let first = Placement::new(&sending_to([0, 2]), &facts, Some(&remembered));
    assert_eq!((first.output("o0"), first.output("o2"), first.waits()), (Some(0), None, true));
    let second = Placement::new(&sending_to([0, 2]), &facts, Some(&first.settled()));
    assert_eq!((second.output("o2"), second.waits()), (Some(1), false));
}

/// Links come and go at random, more of them than there are numbers.
#[test]
fn no_number_changes_hands_in_one_step() {
    let (facts, mut dice) = (many_links(), 7_u64);
    let mut before = Placement::new(&sending_to(0..60), &facts, None).settled();
    for step in 0..300 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let there = (0..80).filter(|i| dice >> (i % 61) & 3 != 0 || i % 7 == step % 7);
        let place = Placement::new(&sending_to(there), &facts, Some(&before));
        for (link, number) in place.outputs() {
            let owner = before.outputs().find(|(_, other)| *other == number);
            assert!(owner.is_none_or(|(owner, _)| owner == link), "step {step}: {number} of {owner:?} is {link}'s");
        }
        before = if dice >> 62 == 0 { place } else { place.settled() };
    }
}

/// A link with so many queues in each direction.
fn with_queues(name: &str, ifindex: u8, rx: u32, tx: u32) -> Link {
    Link { n_rx_queues: rx, n_tx_queues: tx, ..link(name, ifindex) }
}

fn way((name, from, to): &(String, String, String)) -> Relay {
    let mut relay = relay(name, "239.1.1.1", &["239.2.1.1"]);
    relay.input.interface.clone_from(from);
    relay.outputs[0].interface.clone_from(to);
    relay
}

fn ways(ways: &[(&str, &str)], n_lanes: u32) -> Plan {
    let owned = |(from, to): &(&str, &str)| way(&(format!("{from}-{to}"), String::from(*from), String::from(*to)));
    let mut plan = plan(ways.iter().map(owned).collect());
    plan.lanes.cores = (0..n_lanes).collect();
    plan
}

/// Which ways of a plan a lane has no transmit queue for.
fn barred(plan: &Plan, facts: &Facts, place: &Placement) -> Vec<(String, String)> {
    let table = compile(plan, facts, place, None);
    let way_of = |pending: &Pending| {
        assert!(matches!(pending.reason, PendingReason::TooFewQueues { .. }), "{pending}");
        let relay = plan.relays.iter().find(|relay| relay.name == pending.relay).unwrap();
        (relay.input.interface.clone(), relay.outputs[0].interface.clone())
    };
    table.pending.iter().map(way_of).collect()
}

#[test]
fn an_input_that_becomes_an_output_keeps_its_lane() {
    let links = vec![with_queues("in0", 1, 1, 1), with_queues("in1", 2, 1, 1), with_queues("out0", 3, 2, 2)];
    let facts = Facts { links, ..Facts::default() };
    let first = Placement::new(&ways(&[("in0", "out0"), ("in1", "out0")], 2), &facts, None);
    assert_eq!([first.lane("in0", 0, 2), first.lane("in1", 0, 2)], [0, 1], "one queue each: one lane each");
    let more = ways(&[("in0", "out0"), ("in1", "out0"), ("in0", "in1")], 2);
    let second = Placement::new(&more, &facts, Some(&first));
    assert_eq!([second.lane("in0", 0, 2), second.lane("in1", 0, 2)], [0, 1]);
    assert_eq!(barred(&more, &facts, &second), [("in0".into(), "in1".into())]);
    // With another transmit queue it works where it is; so it does when lanes are chosen for all relays at once.
    let mut wider = facts.clone();
    wider.links[1].n_tx_queues = 2;
    assert_eq!(barred(&more, &wider, &Placement::new(&more, &wider, Some(&second))), []);
    assert_eq!(barred(&more, &facts, &Placement::new(&more, &facts, None)), []);
    let third = Placement::new(&ways(&[("in0", "out0"), ("in1", "out0")], 2), &facts, Some(&second));
    assert_eq!([third.lane("in0", 0, 2), third.lane("in1", 0, 2)], [0, 1]);
}

#[test]
fn a_new_link_goes_where_its_packets_can_be_sent() {
    let links = ["in0", "in1", "in2", "out0"].into_iter().zip(1..).map(|(name, i)| with_queues(name, i, 1, 1));
    let facts = Facts { links: links.chain([with_queues("wide", 9, 8, 8)]).collect(), ..Facts::default() };
    // All have one queue: whatever is sent, the first lane sends it.
    let narrow = ways(&[("in0", "out0"), ("in1", "out0"), ("in2", "in0")], 2);
    let place = Placement::new(&narrow, &facts, None);
    assert_eq!(barred(&narrow, &facts, &place), []);
    assert_eq!(["in0", "in1", "in2"].map(|link| place.lane(link, 0, 2)), [0; 3]);
    // What comes later goes to the lane of what it leads to, and a new output to that of what leads to it.
    let spread = Placement::new(&ways(&[("in0", "wide"), ("in1", "wide")], 2), &facts, None);
    assert_eq!(["in0", "in1"].map(|link| spread.lane(link, 0, 2)), [0, 1]);
    let later = ways(&[("in0", "wide"), ("in1", "wide"), ("in2", "in1"), ("in1", "out0")], 2);
    let place = Placement::new(&later, &facts, Some(&spread));
    assert_eq!(barred(&later, &facts, &place), []);
    assert_eq!((place.lane("in2", 0, 2), place.tx_queue("out0", 1, 2)), (1, 0));
}

#[test]
fn a_successor_keeps_the_lanes() {
    let facts = Facts { links: vec![with_queues("a", 1, 1, 1), with_queues("b", 2, 1, 4)], ..Facts::default() };
    let plan = ways(&[("a", "b"), ("b", "b")], 3);
    let place = Placement::new(&plan, &facts, None);
    assert_eq!((place.lane("a", 0, 3), place.lane("b", 0, 3)), (0, 1));
    let inputs = place.inputs().map(|(link, place)| (String::from(link), place.number));
    let outputs = place.outputs().map(|(link, number)| (String::from(link), number));
    let lanes = [(String::from("a"), 2), (String::from("b"), 1), (String::from("gone"), 2)];
    let next = Placement::new(&plan, &facts, Some(&Placement::remembered(inputs, outputs, lanes)));
    assert_eq!(next.first_lanes().collect::<Vec<_>>(), [("a", 2), ("b", 1)]);
}

/// Relays come and go at random, on links with all kinds of queues: a queue stays with its lane for as long as its link
/// is used at all, and never has two lanes.
#[test]
fn no_change_moves_a_queue_that_is_in_use() {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |n: u32| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        u32::try_from(dice % u64::from(n)).unwrap()
    };
    for round in 0..200 {
        let n_lanes = 1 + roll(5);
        let names: Vec<String> = (0..6).map(|i| format!("l{i}")).collect();
        let mut links: Vec<Link> = Vec::new();
        for (name, ifindex) in names.iter().zip(1..) {
            links.push(with_queues(name, ifindex, 1 + roll(6), 1 + roll(6)));
        }
        let facts = Facts { links, ..Facts::default() };
        let mut relays: Vec<(String, String, String)> = Vec::new();
        let mut before: Option<Placement> = None;
        for step in 0..40 {
            if !relays.is_empty() && roll(3) == 0 {
                relays.remove(roll(u32::try_from(relays.len()).unwrap()) as usize);
            } else {
                let mut any = || names[roll(6) as usize].clone();
                relays.push((format!("r{step}"), any(), any()));
            }
            let mut plan = plan(relays.iter().map(way).collect());
            plan.lanes.cores = (0..n_lanes).collect();
            let place = Placement::new(&plan, &facts, before.as_ref());
            for link in &facts.links {
                let used = |place: &Placement| place.input(&link.name).is_some() || place.output(&link.name).is_some();
                for lane in 0..n_lanes {
                    let queue = place.tx_queue(&link.name, lane, n_lanes);
                    assert_eq!(place.lane(&link.name, queue, n_lanes), lane, "a lane sends on a queue of its own");
                    if let Some(before) = before.as_ref().filter(|before| used(before) && used(&place)) {
                        assert_eq!(before.tx_queue(&link.name, lane, n_lanes), queue, "round {round} step {step}");
                    }
                }
            }
            before = Some(place);
        }
    }
}
