//! Circles are found, chains are let be.

use super::circles;
use crate::entry::Vlans;
use crate::plan::{Definition, Input, Meters, Output, Relay, Source};
use alloc::{format, string::String, vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr};
use core::num::{NonZeroU8, NonZeroU16};

/// A relay from one group to others, all on one link.
fn relay(from: u8, to: &[u8]) -> Relay {
    let group = |last| IpAddr::V4(Ipv4Addr::new(239, 0, 0, last));
    let (interface, port) = (String::from("e0"), NonZeroU16::MIN);
    let output = |last: &u8| Output {
        interface: interface.clone(),
        vlans: Vlans::Set { n: 0, ids: [0, 0] },
        destination: group(*last),
        port,
        ttl: Some(NonZeroU8::MIN),
        dscp: None,
        source: Source::Link,
        source_port: None,
    };
    let outputs = to.iter().map(output).collect();
    let input = Input { interface: interface.clone(), vlans: [0, 0], destination: group(from), port, sources: vec![] };
    Relay::from(Definition {
        name: format!("r{from}"),
        description: alloc::string::String::new(),
        labels: Default::default(),
        enabled: true,
        muted: false,
        silence_after_ms: None,
        meters: Meters::Off,
        input,
        outputs,
    })
}

#[test]
fn chains_and_diamonds_are_no_circles() {
    let diamond = [relay(1, &[2, 3]), relay(2, &[4]), relay(3, &[4]), relay(4, &[5])];
    assert_eq!(circles(&diamond), Vec::<Vec<(usize, usize)>>::new());
}

#[test]
fn a_circle_is_told_from_its_first_step_to_its_last() {
    let relays = [relay(9, &[1]), relay(1, &[7, 2]), relay(2, &[3]), relay(3, &[1])];
    assert_eq!(circles(&relays), [vec![(1, 1), (2, 0), (3, 0)]]);
    assert_eq!(circles(&[relay(1, &[1])]), [vec![(0, 0)]]);
}

#[test]
fn another_link_vlan_or_port_breaks_the_circle() {
    let own = relay(1, &[1]);
    let change: [fn(&mut Relay); 4] = [
        |relay| relay.outputs[0].interface = String::from("e1"),
        |relay| relay.outputs[0].vlans = Vlans::Set { n: 1, ids: [7, 0] },
        |relay| relay.outputs[0].port = NonZeroU16::MAX,
        |relay| relay.enabled = false,
    ];
    for change in change {
        let mut relay = own.clone();
        change(&mut relay);
        assert_eq!(circles(&[relay]).len(), 0);
    }
    let mut kept = own;
    kept.input.vlans = [7, 0];
    kept.outputs[0].vlans = Vlans::Keep;
    assert_eq!(circles(&[kept]).len(), 1);
}

#[test]
fn relays_that_hear_the_same_are_all_looked_at() {
    let mut twin = relay(2, &[1]);
    let mut harmless = relay(2, &[9]);
    twin.input.sources = vec!["10.0.0.1".parse().unwrap()];
    harmless.input.sources = vec!["10.0.0.2".parse().unwrap()];
    assert_eq!(circles(&[relay(1, &[2]), harmless, twin]), [[(0, 0), (2, 0)]]);
}
