//! The short form is read as it is shown, and says what is wrong with it.

use super::*;
use crate::{parse_relay, relay_to_json};
use proptest::prelude::*;
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr};

#[test]
fn a_ttl_can_count_down() {
    let part = Value::from(output("a/10.0.0.1:1,ttl=decrement").unwrap());
    assert_eq!(part, json!({ "interface": "a", "address": "10.0.0.1", "port": 1, "ttl": "decrement" }));
    assert_eq!(show(&part), "a/10.0.0.1:1,ttl=decrement");
}

#[test]
fn every_key_is_read() {
    assert_eq!(
        Value::from(input("ens1f0.100/239.1.1.1:5000,sources=10.0.0.5+10.0.0.6,vlan=none").unwrap()),
        json!({ "interface": "ens1f0.100", "group": "239.1.1.1", "port": 5000, "sources": ["10.0.0.5", "10.0.0.6"],
                "vlan": "none" })
    );
    assert_eq!(
        Value::from(output("ens1f1/[fd00::1]:5001,ttl=8,dscp=34,source=keep,source_port=7000,vlan=100.7").unwrap()),
        json!({ "interface": "ens1f1", "address": "fd00::1", "port": 5001, "ttl": 8, "dscp": 34, "source": "keep",
                "source_port": 7000, "vlan": [100, 7] })
    );
    assert_eq!(
        Value::from(output("a/10.0.0.1:1,dscp=keep,source=fd00::9,source_port=keep,vlan=keep").unwrap()),
        json!({ "interface": "a", "address": "10.0.0.1", "port": 1, "dscp": "keep", "source": "fd00::9",
                "source_port": "keep", "vlan": "keep" })
    );
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = [
        "",
        "ens1f0",
        "239.1.1.1:5000",
        "ens1f0/239.1.1.1",
        "ens1f0/239.1.1:5000",
        "ens1f0/ff3e::1:5000",
        "ens1f0/[ff3e::1]",
        "ens1f0/[ff3e::1:5000",
        "ens1f0/239.1.1.1:http",
        "ens1f0/239.1.1.1:",
        "ens1f0/239.1.1.1:99999999999",
        "ens1f0/239.1.1.0-63:5000",
        "ens1f0/239.1.1.1:5000-5063",
        "ens1f0/239.1.1.1:5000,",
        "ens1f0/239.1.1.1:5000,ttl",
        "ens1f0/239.1.1.1:5000,tll=3",
        "ens1f0/239.1.1.1:5000,ttl=3,ttl=4",
        "ens1f0/239.1.1.1:5000,ttl=-3",
        "ens1f0/239.1.1.1:5000,dscp=ef",
        "ens1f0/239.1.1.1:5000,source_port=any",
        "ens1f0/239.1.1.1:5000,vlan=one",
        "ens1f0/239.1.1.1:5000,vlan=1.2.3",
    ];
    let told: Vec<String> = wrong.iter().map(|text| format!("{text}\n  {}", output(text).unwrap_err())).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(
        input("ens1f0/239.1.1.1:5000,ttl=3").unwrap_err(),
        "unknown key \"ttl\": the keys here are sources, vlan"
    );
}

fn address(is_ipv4: bool, multicast: bool) -> BoxedStrategy<IpAddr> {
    match (is_ipv4, multicast) {
        (true, true) => (1u8..=255, any::<[u8; 2]>()).prop_map(|(b, [c, d])| IpAddr::from([239, b, c, d])).boxed(),
        (true, false) => (1u8..=126, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| IpAddr::from([a, b, c, d])).boxed(),
        (false, true) => any::<[u16; 7]>()
            .prop_map(|[b, c, d, e, f, g, h]| Ipv6Addr::from([0xff3e, b, c, d, e, f, g, h]).into())
            .boxed(),
        (false, false) => any::<[u16; 7]>()
            .prop_map(|[b, c, d, e, f, g, h]| Ipv6Addr::from([0xfd00, b, c, d, e, f, g, h]).into())
            .boxed(),
    }
}

fn vlans() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::from("none")),
        (1u16..4095).prop_map(Value::from),
        (1u16..4095, 1u16..4095).prop_map(|(outer, inner)| vec![outer, inner].into()),
    ]
}

fn inputs(is_ipv4: bool) -> impl Strategy<Value = Value> {
    let sources = prop::collection::btree_set(address(is_ipv4, false), 0..4);
    (any::<bool>().prop_flat_map(move |m| address(is_ipv4, m)), 1u16.., sources, vlans()).prop_map(
        |(address, port, sources, vlan)| {
            let key = if address.is_multicast() { "group" } else { "address" };
            let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
            json!({ "interface": "in0", key: address.to_string(), "port": port, "sources": sources, "vlan": vlan })
        },
    )
}

fn outputs(is_ipv4: bool) -> impl Strategy<Value = Value> {
    let keep_or =
        |range: std::ops::RangeInclusive<u16>| prop_oneof![Just(Value::from("keep")), range.prop_map(Value::from)];
    let source = prop_oneof![
        Just("link".to_owned()),
        Just("keep".to_owned()),
        address(is_ipv4, false).prop_map(|address| address.to_string())
    ];
    let vlan = prop_oneof![Just(Value::from("keep")), vlans()];
    let to = any::<bool>().prop_flat_map(move |m| address(is_ipv4, m));
    (to, 1u16.., 1u8.., keep_or(0..=63), source, keep_or(1..=65_535), vlan).prop_map(
        |(address, port, ttl, dscp, source, source_port, vlan)| {
            let key = if address.is_multicast() { "group" } else { "address" };
            json!({ "interface": "out0", key: address.to_string(), "port": port, "ttl": ttl, "dscp": dscp,
                    "source": source, "source_port": source_port, "vlan": vlan })
        },
    )
}

proptest! {
    #[test]
    fn what_is_shown_can_be_read_again(
        (from, to) in any::<bool>().prop_flat_map(|is_ipv4| (inputs(is_ipv4), outputs(is_ipv4)))
    ) {
        let relay = |input: &Value, output: &Value| {
            json!({ "name": "a", "allow_link_local": true, "input": input, "outputs": [output] })
        };
        let meant = parse_relay(&relay(&from, &to)).unwrap().remove(0);
        let shown = relay_to_json(&meant);
        let again = (input(&show(&shown["input"])).unwrap(), output(&show(&shown["outputs"][0])).unwrap());
        prop_assert_eq!(parse_relay(&relay(&again.0.into(), &again.1.into())).unwrap(), vec![meant]);
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC*") {
        let _ = (input(&text), output(&text));
        let _ = output(&format!("a/{text}"));
        let _ = output(&format!("a/239.1.1.1:1,{text}"));
    }

    #[test]
    fn an_endpoint_is_read_as_it_is_shown(v4 in any::<u32>(), v6 in any::<u128>(), port in any::<u16>()) {
        for address in [IpAddr::from(Ipv4Addr::from_bits(v4)), Ipv6Addr::from_bits(v6).into()] {
            let text = endpoint_of(&json!({ "address": address.to_string(), "port": port }));
            prop_assert_eq!(endpoint(&text), Ok((address, u32::from(port))));
        }
    }
}
