//! What changes of a relay, key by key.

use crate::document::Definition;
use relay_config::short;
use relay_config::{parse_relay, relay_to_json};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A relay in one line.
pub(super) fn summary(relay: &Definition) -> String {
    let input = relay.get("input").map_or_else(String::new, short::place_of);
    let outputs = relay.get("outputs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let outputs = outputs.iter().map(short::place_of).collect::<Vec<_>>().join(", ");
    format!("{input} -> {outputs}")
}

/// What differs, as `outputs[0].ttl 16 -> 8`.
pub(super) fn between(before: &Definition, after: &Definition) -> Vec<String> {
    let (before, after) = (leaves(before), leaves(after));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |leaves: &BTreeMap<String, String>, key: &String| leaves.get(key).cloned();
    keys.into_iter()
        .filter_map(|key| match (of(&before, key), of(&after, key)) {
            (Some(old), Some(new)) if old != new => Some(format!("{key} {old} -> {new}")),
            (Some(old), None) => Some(format!("{key} {old} goes")),
            (None, Some(new)) => Some(format!("{key} {new} comes")),
            _ => None,
        })
        .collect()
}

/// Every value of a relay by its path, with defaults filled in; whole outputs in the short form.
fn leaves(relay: &Definition) -> BTreeMap<String, String> {
    let mut complete = relay.clone();
    // What this mcr does not understand is compared as it is written.
    if let Ok([one]) = parse_relay(&Value::Object(relay.clone())).as_deref()
        && let Value::Object(known) = relay_to_json(one)
    {
        complete.extend(known);
    }
    let mut leaves = BTreeMap::new();
    for (key, value) in &complete {
        match value {
            Value::Object(input) => {
                leaves.extend(input.iter().map(|(part, value)| (format!("{key}.{part}"), word(value))))
            }
            Value::Array(outputs) if key == "outputs" => {
                let outputs = outputs.iter().enumerate();
                leaves.extend(outputs.map(|(i, output)| (format!("{key}[{i}]"), short::show(output))));
            }
            _ => _ = leaves.insert(key.clone(), word(value)),
        }
    }
    leaves
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn relay(value: Value) -> Definition {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_what_differs_is_told() {
        let short = relay(json!({
            "name": "a",
            "input": { "interface": "i", "group": "239.1.1.1", "port": 5 },
            "outputs": [{ "interface": "o", "group": "239.1.1.2", "port": 5 }],
        }));
        let Value::Object(long) = relay_to_json(&parse_relay(&Value::Object(short.clone())).unwrap()[0]) else {
            panic!()
        };
        assert_eq!(between(&long, &short), [""; 0], "a default is no difference");
        let mut other = short.clone();
        other["input"]["port"] = json!(6);
        other["outputs"] = json!([
            { "interface": "o", "group": "239.1.1.2", "port": 5, "ttl": 8 }, { "interface": "p", "group": "239.1.1.3", "port": 5 }
        ]);
        other.insert("enabled".into(), json!(false));
        let told = between(&long, &other);
        assert_eq!(
            told,
            [
                "enabled true -> false",
                "input.port 5 -> 6",
                "outputs[0] o/239.1.1.2:5 -> o/239.1.1.2:5,ttl=8",
                "outputs[1] p/239.1.1.3:5 comes"
            ]
        );
        assert_eq!(between(&other, &long)[3], "outputs[1] p/239.1.1.3:5 goes");
        assert_eq!(summary(&other), "i/239.1.1.1:6 -> o/239.1.1.2:5, p/239.1.1.3:5");
    }
}
