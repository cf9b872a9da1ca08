//! A relay in the form that it has in the file, as JSON: what the API shows and what [`super::parse_relay`] reads.

use super::address::is_link_local;
use super::error::{Errors, Fault};
use super::{file, plan, value};
use relay_common::entry::Vlans;
use relay_common::plan::{Definition, Input, Output, Relay, Source};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// What the API shows of a relay besides its definition.
const SHOWN: [&str; 3] = ["origin", "tag", "status"];

/// Reads the `i`th of the relays that were sent.
pub(super) fn read_sent(json: &Value, i: usize, errors: &mut Errors) -> Option<Relay> {
    let mut definition = json.clone();
    if let Value::Object(keys) = &mut definition {
        keys.retain(|key, _| !SHOWN.contains(&key.as_str()));
    }
    read_one(&value::from_json(&definition), i, errors)
}

/// Reads the `i`th of relays that are single ones.
pub(super) fn read_one(definition: &value::Value, i: usize, errors: &mut Errors) -> Option<Relay> {
    let relay = file::read_relay(definition, i, errors);
    let mut relays = plan::make_relay(&relay, errors);
    match relays.len() {
        0 | 1 if relays.first().is_none_or(|relay| !relay.name.contains('/')) => relays.pop(),
        n => {
            let place = relay.place;
            let problem = format!("is a range of {n}");
            let remedy = "send each of its relays by itself; ranges are for the configuration file";
            errors.add(&place, Fault::new(problem, remedy));
            None
        }
    }
}

/// Every key of a relay, at its value in force.
#[must_use]
pub fn relay_to_json(relay: &Relay) -> Value {
    let Definition { name, description, labels, enabled, muted, silence_after_ms, meters, input, outputs } = &**relay;
    let mut all = std::iter::once(input.destination).chain(outputs.iter().map(|output| output.destination));
    let mut json = json!({
        "name": name,
        "description": description,
        "labels": labels,
        "enabled": enabled,
        "muted": muted,
        "silence_after": silence_after_ms.map_or_else(|| "off".to_owned(), |ms| format!("{ms}ms")),
        "meters": meters.name(),
        "allow_link_local": all.any(is_link_local),
    });
    // Moved there: the macro would copy them.
    json["input"] = input_to_json(input);
    json["outputs"] = outputs.iter().map(output_to_json).collect::<Vec<_>>().into();
    json
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
    json.insert("ttl".into(), output.ttl.map_or_else(|| "decrement".into(), |ttl| ttl.get().into()));
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
    use crate::{parse, parse_relay, parse_relays};
    use serde_json::json;

    #[test]
    fn every_relay_survives_its_json() {
        let text = r#"
            [[relay]]
            name = "all"
            description = "Everything \"that\" there is: é"
            labels = { group = "news", site = "a/b" }
            enabled = false
            muted = true
            silence_after = "1500ms"
            meters = "rtp"
            input = { interface = "in0.100", group = "239.1.1.1", port = 5000, sources = ["10.0.0.5"] }
            outputs = [
              { interface = "out0", group = "239.2.1.1", port = 5001, ttl = 3, dscp = 34, source = "keep", source_port = 7 },
              { interface = "out0", address = "10.1.1.9", port = 6000, vlan = [7, 8], source = "10.1.1.1" },
              { interface = "out1", group = "239.2.1.2", port = 5001, ttl = "decrement", vlan = "keep" },
            ]
            [[relay]]
            name = "near"
            silence_after = "off"
            meters = "off"
            allow_link_local = true
            input = { interface = "in0", group = "ff02::7", port = 5 }
            outputs = [{ interface = "out0", group = "ff3e::1", port = 6 }]
        "#;
        for relay in parse("test", text).unwrap().plan.relays {
            assert_eq!(parse_relay(&relay_to_json(&relay)).unwrap(), vec![relay]);
        }
    }

    #[test]
    fn what_was_shown_can_be_sent_back() {
        let text = "[[relay]]\nname = 'a'\ninput = { interface = 'in0', group = '239.1.1.1', port = 5 }\n\
                    outputs = [{ interface = 'out0', group = '239.2.1.1', port = 6 }]";
        let relays = parse("test", text).unwrap().plan.relays;
        let mut shown = relay_to_json(&relays[0]);
        shown["origin"] = "api".into();
        shown["tag"] = "0123".into();
        shown["status"] = json!({ "state": "running" });
        assert_eq!(parse_relays(&[shown]).unwrap(), relays);
    }

    #[test]
    fn all_errors_of_all_relays_are_told_and_ranges_are_refused() {
        let input = json!({ "interface": "in0", "group": "239.1.1.0-3", "port": 5000 });
        let outputs = json!([{ "interface": "out0", "group": "239.2.1.1", "port": 5000 }]);
        let range = json!({ "name": "many", "input": input, "outputs": outputs });
        let one = json!({ "interface": "in0", "group": "239.1.1.7-7", "port": 5000 });
        let of_one = json!({ "name": "one", "input": one, "outputs": outputs });
        let errors = parse_relays(&[range, of_one, json!({ "inptu": 1 }), json!(7)]).unwrap_err().to_string();
        insta::assert_snapshot!(errors);
    }

    #[test]
    fn what_is_far_too_much_is_refused_without_comparing_each_with_each() {
        let output = json!({ "interface": "out0", "group": "239.2.1.1", "port": 5000 });
        let sources: Vec<String> = (0..50_000).map(|i| format!("10.{}.{}.1", i / 250 % 250, i % 250)).collect();
        let input = json!({ "interface": "in0", "group": "239.1.1.1", "port": 5000, "sources": sources });
        let outputs: Vec<_> = (0..50_000).map(|_| output.clone()).collect();
        let errors = parse_relays(&[json!({ "name": "a", "input": input, "outputs": outputs })]).unwrap_err();
        let keys: Vec<&str> = errors.errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(keys, ["relay \"a\" input.sources", "relay \"a\" outputs"]);
    }

    #[test]
    fn errors_without_end_are_told_to_an_end() {
        let many: Vec<_> = (0..5_000).map(|_| json!({})).collect();
        let errors = parse_relays(&many).unwrap_err();
        assert_eq!(errors.errors.len(), 1001);
        assert_eq!(errors.errors[1000].to_string(), "is not all: there are more errors: mend these first");
    }
}
