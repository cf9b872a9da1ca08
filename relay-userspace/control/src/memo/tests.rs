//! What is remembered, and what death leaves of it.

use super::pages::{HEAD, write_all};
use super::{Memo, Pages};
use crate::observe::fixtures::Node;
use crate::origins::Origins;
use relay_common::table::Table;
use std::os::fd::AsFd;

#[test]
fn numbers_that_cannot_be_are_not_remembered() {
    let links = |numbers: &[u32]| numbers.iter().map(|number| (format!("link{number}"), *number)).collect();
    let relay = |slot: u32, counters: &[u32]| super::RelayMemo {
        slot,
        counters: counters.to_vec(),
        of_api: false,
        definition: serde_json::json!({
            "name": format!("relay-{slot}"),
            "input": { "interface": "in0", "group": format!("239.1.1.{}", slot % 200), "port": 5000 },
            "outputs": [{ "interface": "out0", "group": "239.2.1.1", "port": 5001 }]
        }),
        dark: false,
        waits: Vec::new(),
    };
    let memo = Memo {
        inputs: links(&[3, 64, u32::MAX]),
        outputs: [("a", 63), ("b", 64), ("c", 65_535), ("d", 63)].map(|(l, n)| (l.to_owned(), n)).into(),
        relays: vec![
            relay(1, &[5]),
            relay(2, &[9, 8]),
            relay(8, &[1]),
            relay(3, &[10]),
            relay(4, &[5]),
            relay(1, &[0]),
        ],
        ..Memo::default()
    };
    let place = memo.place();
    assert_eq!(place.inputs().map(|(link, _)| link).collect::<Vec<_>>(), ["link3"]);
    assert_eq!(place.outputs().collect::<Vec<_>>(), [("a", 63)]);
    let table = memo.table((8, 10));
    assert_eq!(table.slots().map(|(slot, _)| slot).collect::<Vec<_>>(), [1, 2]);
}

fn memo(generation: u64) -> Memo {
    let inputs = [("a-rather-long-name".repeat(usize::try_from(generation % 3).unwrap()), 1)].into();
    Memo { version: "1".to_owned(), generation, inputs, ..Memo::default() }
}

fn write(pages: &mut Pages, generation: u64) {
    pages.write(&memo(generation), &Table::empty(1, 1), &Origins::default()).unwrap();
}

fn again(pages: &Pages) -> Option<Memo> {
    Pages::taken_over(pages.held().each_ref().map(|copy| copy.try_clone().unwrap())).unwrap().1
}

#[test]
fn relays_are_written_anew_where_they_differ_and_nowhere_else() {
    let node = Node::new(&["one", "two"]);
    let mut table = Table::clone(&node.view.table);
    let memo = |table: &Table| Memo { generation: table.generation, ..Memo::default() };
    let origins = Origins::default().with_api(["two".to_owned()].into());
    let mut pages = Pages::new().unwrap();
    let mut check = |table: &Table, origins: &Origins, what: &str| {
        let mut anew = Pages::new().unwrap();
        anew.write(&memo(table), table, origins).unwrap();
        pages.write(&memo(table), table, origins).unwrap();
        let read = again(&pages).unwrap();
        assert_eq!(Some(&read), again(&anew).as_ref(), "{what}");
        read.relays
    };
    let all = check(&table, &origins, "the first");
    assert_eq!(all.iter().map(|relay| relay.of_api).collect::<Vec<_>>(), [false, true]);
    let origins = Origins::default();
    assert!(!check(&table, &origins, "another origin")[1].of_api);
    let first = table.relays[0].as_mut().unwrap();
    first.relay.outputs[0].ttl = None;
    first.outputs[0].pending = None;
    first.outputs[0].counter += 7;
    let changed = check(&table, &origins, "other outputs");
    assert_ne!(changed[0], all[0]);
    table.relays[0].as_mut().unwrap().key = None;
    assert!(check(&table, &origins, "dark")[0].dark);
    table.relays[0] = None;
    assert_eq!(check(&table, &origins, "gone").len(), 1);
}

#[test]
fn the_newest_memo_is_found() {
    let mut pages = Pages::new().unwrap();
    assert_eq!(again(&pages), None);
    for generation in 1..7 {
        write(&mut pages, generation);
        assert_eq!(again(&pages), Some(memo(generation)));
    }
}

#[test]
fn death_in_mid_writing_leaves_the_memo_before() {
    let mut pages = Pages::new().unwrap();
    write(&mut pages, 1);
    write(&mut pages, 2);
    // The third goes over the first: half of it is there, under the first one's head.
    let copy = &pages.copies[1];
    write_all(copy.as_fd(), b"half of something new", HEAD as i64).unwrap();
    assert_eq!(again(&pages), Some(memo(2)));
    nix::unistd::ftruncate(copy, 3).unwrap();
    assert_eq!(again(&pages), Some(memo(2)));
}

#[test]
fn whoever_takes_over_goes_on_writing() {
    let mut pages = Pages::new().unwrap();
    write(&mut pages, 1);
    let held = pages.held().each_ref().map(|copy| copy.try_clone().unwrap());
    let (mut next, found) = Pages::taken_over(held).unwrap();
    assert_eq!(found, Some(memo(1)));
    write(&mut next, 2);
    assert_eq!(again(&pages), Some(memo(2)));
}
