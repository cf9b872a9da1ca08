//! What the configuration file says otherwise than what runs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The configuration file against what runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    /// Where the file is.
    pub file: String,
    /// Whether what runs is what the file says.
    pub same: bool,
    /// Relays that a reload would add, as the file has them.
    #[schema(value_type = Vec<Object>)]
    pub added: Vec<Map<String, Value>>,
    /// Relays that it would change.
    pub changed: Vec<ChangedRelay>,
    /// Relays that it would remove, as they run.
    #[schema(value_type = Vec<Object>)]
    pub removed: Vec<Map<String, Value>>,
    /// Relays of the API that would not run as they do, because the file has their name or what they need.
    pub displaced: Vec<String>,
    /// Other keys that a reload would set.
    pub keys: Vec<ChangedKey>,
    /// Keys of the file that were taken and are not in effect before control is started anew (`mcr restart`).
    pub not_in_effect: Vec<ChangedKey>,
}

/// A relay that is another in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedRelay {
    /// Its name.
    pub name: String,
    /// How it runs.
    #[schema(value_type = Object)]
    pub running: Map<String, Value>,
    /// How the file has it.
    #[schema(value_type = Object)]
    pub file: Map<String, Value>,
}

/// A key that has another value in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedKey {
    /// Its path, as in `health.hold_down` and `interface "in0" mode`.
    pub key: String,
    /// The value that is in force; null where it is the default that is not written.
    pub running: Value,
    /// The file's; null likewise.
    pub file: Value,
}

impl ChangedKey {
    /// What a reload does to it, for people.
    #[must_use]
    pub fn set(&self) -> String {
        format!("set {} to {} (was {})", self.key, key_value(&self.file), key_value(&self.running))
    }

    /// That it is taken and has no effect, and what to do, for people.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { key, file, running } = self;
        let remedy = if key == "state.file" { "move the old file there, then mcr restart" } else { "mcr restart" };
        let (file, running) = (key_value(file), key_value(running));
        format!("{key} is {file} in the file and not in effect, {running} is: {remedy}, or put it back")
    }
}

/// Returns whether a key says how lanes are started, so that no reload can change it.
#[must_use]
pub fn is_of_lanes(key: &str) -> bool {
    key.starts_with("lanes.")
}

/// A value as it is written in the file; what is not written is the default.
#[must_use]
pub fn key_value(value: &Value) -> String {
    if value.is_null() { "the default".to_owned() } else { value.to_string() }
}
