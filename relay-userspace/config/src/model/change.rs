//! A change that was asked for, and what became of it, as it goes over the wire.

use super::{ChangedKey, Problem, Progress};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to a change: it is in force, every lane has confirmed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// The number of the change: see `/api/v1/changes/{id}`.
    #[serde(default)]
    pub change: u64,
    /// The generation in force.
    pub generation: u64,
    /// Whether it was only asked what would change.
    pub dry_run: bool,
    /// What was done, for people.
    pub changes: Vec<String>,
    /// Relays that are new.
    pub created: Vec<String>,
    /// Relays that are others.
    pub changed: Vec<String>,
    /// Relays that are gone.
    pub removed: Vec<String>,
    /// Why the change is in force and not kept, where it was asked for with `volatile`. It is kept as soon as that works.
    #[serde(default)]
    pub not_kept: Option<String>,
    /// Keys of the configuration file, but those of relays, that are others by it.
    #[serde(default)]
    pub keys: Vec<ChangedKey>,
    /// Those that were taken, now or before, and are not in effect before control is started anew (`mcr restart`).
    #[serde(default)]
    pub not_in_effect: Vec<ChangedKey>,
}

/// A change that was asked for, and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Its number: no other change of this node has it, also after a restart.
    pub id: u64,
    /// Who asked, as in the audit line.
    pub who: String,
    /// For what: `create`, `set`, `change`, `remove`, `enable`, `disable`, `mute`, `unmute`, `replace`, `adopt`, `reload`,
    /// `restart`, `upgrade`.
    pub what: String,
    /// Of which relay, if it was one.
    pub relay: Option<String>,
    /// Whether it was only asked what would change.
    pub dry_run: bool,
    /// `queued`, `running`, `done` (in force on every lane, and on disk unless `not_kept` says otherwise), `refused` or `failed` (nothing has changed; what failed may be
    /// asked for again), or `unkept` (in force, and nobody knows whether it is on disk).
    pub state: String,
    /// When it was asked for, as RFC 3339 in UTC.
    pub asked: String,
    /// For how many seconds it waited, or waits.
    pub waited_s: f64,
    /// For how many seconds it was carried out, or is being.
    #[serde(default)]
    pub took_s: Option<f64>,
    /// The step that it is at, while it is running.
    #[serde(default)]
    pub step: Option<Progress>,
    /// What it did, once it is done.
    #[serde(default)]
    pub applied: Option<Done>,
    /// Why it was refused, failed, or is perhaps not kept.
    #[serde(default)]
    pub problem: Option<Problem>,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// The generation that was in force then.
    pub generation: u64,
    /// What was done, for people: the first hundred lines.
    pub changes: Vec<String>,
    /// How many relays are new.
    pub created: u64,
    /// How many are others.
    pub changed: u64,
    /// How many are gone.
    pub removed: u64,
    /// Why it is in force and not on disk yet, where it was asked for with `volatile`. It is written as soon as that works.
    #[serde(default)]
    pub not_kept: Option<String>,
}
