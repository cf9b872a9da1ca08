//! A relay in the form that it has in the file, as JSON: what the API shows and what [`super::parse_relay`] reads.

use super::address::is_link_local;
use relay_common::entry::Vlans;
use relay_common::plan::{Input, Output, Relay, Source};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Every key of a relay, at its value in force.
#[must_use]
pub fn relay_to_json(relay: &Relay) -> Value {
    let Relay { name, enabled, input, outputs, .. } = relay;
    let mut all = std::iter::once(input.destination).chain(outputs.iter().map(|output| output.destination));
    json!({
        "name": name,
        "enabled": enabled,
        "allow_link_local": all.any(is_link_local),
        "input": input_to_json(input),
        "outputs": outputs.iter().map(output_to_json).collect::<Vec<_>>(),
    })
}

fn input_to_json(input: &Input) -> Value {
    let mut json = Map::new();
    json.insert("interface".into(), input.interface.clone().into());
    json.insert(destination_key(input.destination).into(), input.destination.to_string().into());
    json.insert("port".into(), input.port.get().into());
    json.insert("sources".into(), input.sources.iter().map(ToString::to_string).collect::<Vec<_>>().into());
    json.insert("vlan".into(), ids_to_json(input.vlans));
    json.into()
}

fn output_to_json(output: &Output) -> Value {
    let mut json = Map::new();
    json.insert("interface".into(), output.interface.clone().into());
    json.insert(destination_key(output.destination).into(), output.destination.to_string().into());
    json.insert("port".into(), output.port.get().into());
    json.insert("ttl".into(), output.ttl.get().into());
    json.insert("dscp".into(), output.dscp.map_or_else(|| "keep".into(), Value::from));
    let source = match output.source {
        Source::Link => "link".to_owned(),
        Source::Keep => "keep".to_owned(),
        Source::Address(address) => address.to_string(),
    };
    json.insert("source".into(), source.into());
    json.insert("source_port".into(), output.source_port.map_or_else(|| "keep".into(), |port| port.get().into()));
    let vlan = match output.vlans {
        Vlans::Keep => "keep".into(),
        Vlans::Set { ids, .. } => ids_to_json(ids),
    };
    json.insert("vlan".into(), vlan);
    json.into()
}

const fn destination_key(destination: IpAddr) -> &'static str {
    if destination.is_multicast() { "group" } else { "address" }
}

fn ids_to_json(ids: [u16; 2]) -> Value {
    match ids {
        [0, 0] => "none".into(),
        [one, 0] => one.into(),
        both => both.to_vec().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::relay_to_json;
    use crate::config::{parse, parse_relay};

    #[test]
    fn every_relay_survives_its_json() {
        let text = r#"
            [[relay]]
            name = "all"
            enabled = false
            input = { interface = "in0.100", group = "239.1.1.1", port = 5000, sources = ["10.0.0.5"] }
            outputs = [
              { interface = "out0", group = "239.2.1.1", port = 5001, ttl = 3, dscp = 34, source = "keep", source_port = 7 },
              { interface = "out0", address = "10.1.1.9", port = 6000, vlan = [7, 8], source = "10.1.1.1" },
              { interface = "out1", group = "239.2.1.2", port = 5001, vlan = "keep" },
            ]
            [[relay]]
            name = "near"
            allow_link_local = true
            input = { interface = "in0", group = "ff02::7", port = 5 }
            outputs = [{ interface = "out0", group = "ff3e::1", port = 6 }]
        "#;
        for relay in parse("test", text).unwrap().plan.relays {
            assert_eq!(parse_relay(&relay_to_json(&relay)).unwrap(), vec![relay]);
        }
    }
}
