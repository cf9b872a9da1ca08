//! A headend's configuration: many relays of two outputs each, on a few links.

use relay_common::entry::Vlans;
use relay_common::facts::{Facts, Link};
use relay_common::plan::{Definition, Input, Lanes, Meters, Output, Plan, Relay, Source};
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU8, NonZeroU16};

/// Links that are received on, and links that are sent on.
const N_LINKS: u8 = 4;
const INPUTS: [&str; 4] = ["ens1f0", "ens1f1", "ens2f0", "ens2f1"];
const OUTPUTS_PER_RELAY: usize = 2;

/// What differs between a plan and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Nothing.
    None,
    /// One relay in the middle.
    One,
    /// Every relay.
    All,
}

/// A plan of so many relays. Those that changed take in another group and send to other ports.
pub(crate) fn plan(n_relays: usize, changed: Changed) -> Plan {
    let is_changed = |n| changed == Changed::All || changed == Changed::One && n == n_relays / 2;
    let lanes = Lanes { max_relays: 16_384, max_outputs: 65_536, ..Lanes::default() };
    Plan { interfaces: Vec::new(), lanes, relays: (0..n_relays).map(|n| relay(n, is_changed(n))).collect() }
}

fn relay(n: usize, changed: bool) -> Relay {
    let [.., c, d] = n.to_be_bytes();
    let source = Ipv4Addr::new(10, 0, c, d);
    let input = Input {
        interface: INPUTS[n % INPUTS.len()].to_owned(),
        vlans: [0, 0],
        destination: Ipv4Addr::new(239, if changed { 2 } else { 1 }, c, d).into(),
        port: port(5000),
        // Every other relay names its source.
        sources: if n.is_multiple_of(2) { vec![IpAddr::V4(source)] } else { Vec::new() },
    };
    let outputs = (0..OUTPUTS_PER_RELAY).map(|i| output(n + i, i, [c, d], changed)).collect();
    Relay::from(Definition {
        name: format!("channel-{n}"),
        description: String::new(),
        labels: Default::default(),
        enabled: true,
        muted: false,
        silence_after_ms: Some(1000),
        meters: Meters::Full,
        input,
        outputs,
    })
}

fn output(link: usize, i: usize, [c, d]: [u8; 2], changed: bool) -> Output {
    Output {
        interface: INPUTS[(link + 1) % INPUTS.len()].to_owned(),
        vlans: Vlans::Set { n: 0, ids: [0, 0] },
        destination: Ipv4Addr::new(239, if i == 0 { 10 } else { 11 }, c, d).into(),
        port: port(if changed { 5002 } else { 5001 }),
        ttl: NonZeroU8::new(16),
        dscp: Some(34),
        source: Source::Link,
        source_port: None,
    }
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not 0")
}

/// The links of the plans, all up.
pub(crate) fn facts() -> Facts {
    let link = |(number, name): (u8, &str)| Link {
        name: name.to_owned(),
        ifindex: u32::from(number),
        mac: [2, 0, 0, 0, 0, number],
        mtu: 1500,
        up: true,
        carrier: true,
        v4: vec![(Ipv4Addr::new(10, 0, number, 1), 24)],
        v6: Vec::new(),
        n_rx_queues: 4,
        n_tx_queues: 4,
    };
    Facts { links: (1..=N_LINKS).zip(INPUTS).map(link).collect(), ..Facts::default() }
}
