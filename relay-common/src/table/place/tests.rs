//! Links keep their numbers.

use super::super::fixtures::{facts, link, plan, relay};
use super::Placement;
use crate::plan::{Interface, Queues};
use alloc::{string::String, vec, vec::Vec};

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

#[test]
fn a_link_that_is_input_and_output_has_each_queue_in_one_lane() {
    let mut there = relay("a", "239.1.1.1", &["239.2.1.1"]);
    there.input.interface = String::from("in");
    let mut back = relay("b", "239.1.1.2", &["239.2.1.2"]);
    back.input.interface = String::from("out");
    let facts = facts();
    // Placed second, but it begins at lane 0: lane i transmits on queue i.
    let place = Placement::new(&plan(vec![there.clone(), back.clone()]), &facts, None);
    let out = place.input("out").unwrap();
    assert_eq!(
        (out.number, (0..4).map(|queue| place.lane("out", queue, 2)).collect::<Vec<_>>()),
        (1, vec![0, 1, 0, 1])
    );
    // As an input only it begins where its number says if it has fewer queues than there are lanes, else where it did:
    // it may become an output any time, and its sockets shall stay.
    there.outputs[0].interface = String::from("in");
    back.outputs[0].interface = String::from("in");
    let place = Placement::new(&plan(vec![there, back]), &facts, Some(&place));
    assert_eq!([place.lane("out", 0, 2), place.lane("out", 0, 5)], [0, 1]);
}
