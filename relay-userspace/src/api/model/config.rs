//! Whether the configuration file is in force, and what of it is not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Config {
    /// Where it is.
    pub file: String,
    /// Whether it is in force as it is now.
    pub in_force: bool,
    /// Why not, where it was refused or could not be brought into force.
    pub error: Option<String>,
    /// What it says otherwise than what is in force, where nobody has asked for it yet.
    #[serde(default)]
    pub differs: Option<Differs>,
    /// Since when the configuration was in force that runs in its place: the last one that did before the node came up.
    #[serde(default)]
    pub last_good: Option<String>,
}

/// What the configuration file says otherwise than what is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Differs {
    /// In a sentence, with the first names.
    pub text: String,
    /// How many relays are new in it.
    pub added: u64,
    /// How many are others.
    pub changed: u64,
    /// How many are gone.
    pub removed: u64,
    /// The keys besides relays that have another value.
    pub keys: Vec<String>,
}
