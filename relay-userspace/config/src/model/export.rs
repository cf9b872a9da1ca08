//! A whole node in one document.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// All that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The configuration file.
    pub file: ExportedFile,
    /// The relays that came through the API, by name.
    #[schema(value_type = Vec<Object>)]
    pub relays: Vec<Map<String, Value>>,
    /// The names of relays of the API that do not run, because the configuration file has their name, their input or their
    /// place: they are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<String>,
}

/// A configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportedFile {
    /// Its text, byte by byte.
    pub text: String,
}
