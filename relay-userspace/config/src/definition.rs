//! A relay's definition and a set of them, as the document describes them. config/relay.toml says what each key means.

use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One rule: an input and its outputs, with a name. Ranges are for the configuration file: each relay is sent by itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RelayDefinition)]
pub struct Relay {
    /// 1 to 64 letters, digits, `-`, `_` and `.`, the first a letter or a digit. It may be left out where the address
    /// has it.
    #[schema(example = "ch1")]
    pub name: Option<String>,
    /// What it is, for people: one line of up to 256 characters.
    #[schema(default = "", max_length = 256, example = "News HD from the north uplink")]
    pub description: Option<String>,
    /// What people sort it by: up to 16 labels. A key has up to 32 letters, digits and `_`, the first a letter; a value 1 to 63
    /// letters, digits and `-_.:/@+`.
    #[schema(example = json!({ "group": "news" }))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether it runs.
    #[schema(default = true)]
    pub enabled: Option<bool>,
    /// Whether it is received and measured, and not sent.
    #[schema(default = false)]
    pub muted: Option<bool>,
    /// After how long without packets its stream counts as interrupted: `1s`, `500ms`, `off`.
    #[schema(default = "1s")]
    pub silence_after: Option<String>,
    /// What of its input is measured: `off`, `rtp` or `full`.
    #[schema(default = "full")]
    pub meters: Option<String>,
    /// Whether it may take in or send groups that belong to the protocols of a link.
    #[schema(default = false)]
    pub allow_link_local: Option<bool>,
    /// What it takes in.
    pub input: Input,
    /// Where it sends that: 1 to 64.
    #[schema(min_items = 1, max_items = 64)]
    pub outputs: Vec<Output>,
}

/// What a relay takes in: a group or one of this node's own addresses.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InputDefinition)]
pub struct Input {
    /// The link; `ens1f0.100` is VLAN 100 on it.
    #[schema(example = "ens1f0")]
    pub interface: String,
    /// A multicast group.
    #[schema(example = "239.1.1.1")]
    pub group: Option<String>,
    /// A unicast address of this node, in the place of a group.
    pub address: Option<String>,
    /// The UDP port.
    #[schema(minimum = 1, example = 5000)]
    pub port: u16,
    /// The senders that are accepted; any when empty.
    #[schema(max_items = 10)]
    pub sources: Option<Vec<String>>,
    /// `none`, a number, or the outer and the inner number.
    #[schema(value_type = Option<Object>)]
    pub vlan: Option<serde_json::Value>,
}

/// Where a relay sends: a group or a host.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OutputDefinition)]
pub struct Output {
    /// The link; `ens1f0.100` is VLAN 100 on it.
    #[schema(example = "ens1f1")]
    pub interface: String,
    /// A multicast group.
    #[schema(example = "239.2.1.1")]
    pub group: Option<String>,
    /// A host's address, in the place of a group.
    pub address: Option<String>,
    /// The UDP port.
    #[schema(minimum = 1, example = 5001)]
    pub port: u16,
    /// TTL or hop limit: 1 to 255 (16 by default), or `decrement`, which counts down what the datagram came with.
    #[schema(value_type = Option<Object>)]
    pub ttl: Option<serde_json::Value>,
    /// 0 to 63, or `keep`.
    #[schema(value_type = Option<Object>)]
    pub dscp: Option<serde_json::Value>,
    /// `link`, `keep` or an address.
    #[schema(default = "link")]
    pub source: Option<String>,
    /// 1 to 65535, or `keep`.
    #[schema(value_type = Option<Object>)]
    pub source_port: Option<serde_json::Value>,
    /// `none`, `keep`, a number, or the outer and the inner number.
    #[schema(value_type = Option<Object>)]
    pub vlan: Option<serde_json::Value>,
}

/// All relays that the API is to hold: this, or the list alone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RelaySet)]
pub struct Set {
    /// The relays.
    pub relays: Vec<Relay>,
}

#[cfg(test)]
mod tests {
    use super::{Input, Output, Relay};
    use crate::SCHEMA;
    use std::collections::BTreeSet;
    use utoipa::PartialSchema as _;

    #[test]
    fn the_document_has_every_key_of_the_file() {
        let schemas =
            [("relay", Relay::schema()), ("relay.input", Input::schema()), ("relay.outputs", Output::schema())];
        for (section, schema) in schemas {
            let (_, keys) = SCHEMA.iter().find(|(name, _)| *name == section).unwrap();
            let known: BTreeSet<&str> = keys.iter().copied().collect();
            let schema = serde_json::to_value(schema).unwrap();
            let shown: BTreeSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(shown, known, "{section}");
        }
    }
}
