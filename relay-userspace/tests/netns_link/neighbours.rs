//! Unicast destinations are resolved and kept.

use crate::wire::{Wire, soon};
use relay_common::facts::Neighbour;
use relay_control::link::neighbour::Neighbours;
use relay_control::link::netlink::{Keeping, Netlink};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Has everything looked up again, until it is enough.
async fn until(
    neighbours: &mut Neighbours,
    (netlink, wanted): (&Netlink, &BTreeSet<(u32, IpAddr)>),
    what: &str,
    enough: impl Fn(&[Neighbour]) -> bool,
) {
    soon(what, async {
        while !enough(&neighbours.facts()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
            neighbours.doubt_routes();
            neighbours.want(netlink, wanted).await.unwrap();
        }
    })
    .await;
}

fn all_have(facts: &[Neighbour], mac: [u8; 6]) -> bool {
    !facts.is_empty() && facts.iter().all(|fact| fact.mac == Some(mac))
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn destinations_are_resolved_kept_and_let_go() {
    let wire = Wire::new();
    wire.far_ip(&["link", "set", "out0", "address", "02:00:00:00:00:02"]);
    wire.near_ip(&["route", "add", "192.0.2.0/24", "via", "198.51.100.2"]);
    let ifindex = wire.ifindex();
    let wanted: BTreeSet<(u32, IpAddr)> = ["198.51.100.2", "192.0.2.1", "192.0.2.2", "2001:db8::2"]
        .map(|address| (ifindex, address.parse().unwrap()))
        .into();
    wire.inside(async {
        let netlink = Netlink::new().unwrap();
        let mut neighbours = Neighbours::new();
        neighbours.want(&netlink, &wanted).await.unwrap();
        let everything = |facts: &[Neighbour]| facts.len() == 4 && all_have(facts, [2, 0, 0, 0, 0, 2]);
        until(&mut neighbours, (&netlink, &wanted), "four destinations", everything).await;
        let shown = wire.near_ip(&["neighbour", "show"]);
        assert_eq!(shown.lines().filter(|line| line.contains("managed")).count(), 2, "{shown}");

        // The far end goes: what still has a route keeps its last known address.
        wire.far_ip(&["link", "set", "out0", "down"]);
        soon("the kernel forgets its neighbours, up to a second after the carrier", async {
            while wire.near_ip(&["neighbour", "show"]).contains("02:00:00:00:00:02") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        neighbours.doubt_routes();
        neighbours.want(&netlink, &wanted).await.unwrap();
        assert!(all_have(&neighbours.facts(), [2, 0, 0, 0, 0, 2]), "{:?}", neighbours.facts());

        // Another host comes back in its place: the kernel forgot what it kept, and is asked anew.
        wire.far_ip(&["link", "set", "out0", "address", "02:00:00:00:00:22", "up"]);
        wire.far_ip(&["address", "replace", "2001:db8::2/64", "dev", "out0", "nodad"]);
        let everything = |facts: &[Neighbour]| facts.len() == 4 && all_have(facts, [2, 0, 0, 0, 0, 0x22]);
        until(&mut neighbours, (&netlink, &wanted), "the new host", everything).await;

        neighbours.want(&netlink, &BTreeSet::new()).await.unwrap();
        assert_eq!(neighbours.facts(), []);
        let shown = wire.near_ip(&["neighbour", "show"]);
        assert!(shown.contains("198.51.100.2") && !shown.contains("managed"), "{shown}");
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_neighbour_that_is_not_there_stays_unknown_and_others_do_not() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let netlink = Netlink::new().unwrap();
        let mut neighbours = Neighbours::new();
        let wanted = [[198, 51, 100, 2], [198, 51, 100, 99]].map(|address| (ifindex, IpAddr::from(address))).into();
        neighbours.want(&netlink, &wanted).await.unwrap();
        until(&mut neighbours, (&netlink, &wanted), "one of two", |facts| facts.iter().any(|fact| fact.mac.is_some()))
            .await;
        let facts = neighbours.facts();
        assert_eq!(facts.len(), 2);
        assert_eq!(facts[1].mac, None, "{facts:?}");
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_permanent_neighbour_stays_permanent() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.near_ip(&[
        "neighbour",
        "add",
        "198.51.100.9",
        "lladdr",
        "02:00:00:00:00:09",
        "nud",
        "permanent",
        "dev",
        "in0",
    ]);
    wire.inside(async {
        let netlink = Netlink::new().unwrap();
        let address = IpAddr::from([198, 51, 100, 9]);
        assert_eq!(netlink.keep_neighbour(ifindex, address).await.unwrap(), Keeping::Permanent);
        assert_eq!(netlink.neighbour(ifindex, address).await.unwrap(), Some([2, 0, 0, 0, 0, 9]));
        netlink.release_neighbour(ifindex, address).await.unwrap();
        assert!(wire.near_ip(&["neighbour", "show"]).contains("PERMANENT"));
        assert_eq!(netlink.keep_neighbour(ifindex, [198, 51, 100, 2].into()).await.unwrap(), Keeping::Managed);
    });
}
