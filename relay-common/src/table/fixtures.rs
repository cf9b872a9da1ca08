//! Small plans and made-up links for the tests of this module.

use super::{Compiled, Placement, Table, compile};
use crate::entry::Vlans;
use crate::facts::{Facts, Link, Neighbour};
use crate::plan::{Definition, Input, Lanes, Meters, Output, Plan, Relay, Source};
use alloc::{format, string::String, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr};
use core::num::{NonZeroU8, NonZeroU16};

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// A link with an address of its own, `10.0.ifindex.1/24` and `fd00::ifindex`, and four queues.
pub(super) fn link(name: &str, ifindex: u8) -> Link {
    Link {
        name: String::from(name),
        ifindex: u32::from(ifindex),
        mac: [2, 0, 0, 0, 0, ifindex],
        mtu: 1500,
        up: true,
        carrier: true,
        v4: vec![(Ipv4Addr::new(10, 0, ifindex, 1), 24)],
        v6: vec![(format!("fd00::{ifindex}").parse().unwrap(), 64)],
        n_rx_queues: 4,
        n_tx_queues: 4,
    }
}

/// Links `in` and `out`, and a neighbour 10.0.2.9 on `out`.
pub(super) fn facts() -> Facts {
    let (destination, next_hop) = (ip("10.0.2.9"), ip("10.0.2.9"));
    let neighbour = Neighbour { ifindex: 2, destination, next_hop, mac: Some([2, 9, 9, 9, 9, 9]) };
    Facts { links: vec![link("in", 1), link("out", 2)], neighbours: vec![neighbour], ..Facts::default() }
}

pub(super) fn input(group: &str, number: u16) -> Input {
    let (interface, destination) = (String::from("in"), ip(group));
    Input { interface, vlans: [0, 0], destination, port: port(number), sources: Vec::new() }
}

pub(super) fn output(destination: &str) -> Output {
    Output {
        interface: String::from("out"),
        vlans: Vlans::Set { n: 0, ids: [0, 0] },
        destination: ip(destination),
        port: port(6000),
        ttl: NonZeroU8::new(16),
        dscp: None,
        source: Source::Link,
        source_port: None,
    }
}

pub(super) fn relay(name: &str, group: &str, outputs: &[&str]) -> Relay {
    Relay::from(Definition {
        name: String::from(name),
        description: String::new(),
        labels: Default::default(),
        enabled: true,
        muted: false,
        silence_after_ms: Some(1000),
        meters: Meters::Full,
        input: input(group, 5000),
        outputs: outputs.iter().map(|destination| output(destination)).collect(),
    })
}

pub(super) fn plan(relays: Vec<Relay>) -> Plan {
    Plan { interfaces: Vec::new(), lanes: Lanes::default(), relays }
}

pub(super) fn compiled(plan: &Plan, facts: &Facts, previous: Option<&Table>) -> Compiled {
    compile(plan, facts, &Placement::new(plan, facts, None), previous)
}
