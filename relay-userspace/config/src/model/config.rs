//! Whether the configuration file is in force, and what of it is not.

use super::diff::ChangedKey;
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
    /// Keys that were taken and are not in effect before control is started anew (`mcr restart`).
    #[serde(default)]
    pub not_in_effect: Vec<ChangedKey>,
    /// That what is in force is given up unless it is confirmed (`POST /api/v1/confirm`).
    #[serde(default)]
    pub on_trial: Option<OnTrial>,
    /// Since when the configuration was in force that runs in its place: the last one that did before the node came up.
    #[serde(default)]
    pub last_good: Option<String>,
}

/// What came through the API is in force and not on disk. It is written as soon as that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotKept {
    /// The state file.
    pub file: String,
    /// Since when, as RFC 3339 in UTC.
    pub since: String,
    /// Why.
    pub problem: String,
}

/// What is in force is on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OnTrial {
    /// Until when, as RFC 3339 in UTC.
    pub until: String,
    /// How many seconds are left.
    pub seconds_left: u64,
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
