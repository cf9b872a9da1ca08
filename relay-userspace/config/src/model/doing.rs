//! What control is at, as it goes over the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What control is at. It hears everything meanwhile, and packets do not notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Doing {
    /// What, and for whom: `reload by uid 0`.
    pub what: String,
    /// The number of the change, if it is one that was asked for.
    #[serde(default)]
    pub change: Option<u64>,
    /// For how many seconds.
    pub since_s: f64,
    /// The step of it that it is at.
    pub step: Option<Progress>,
}

/// How far a step has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// What: `joining groups`.
    pub what: String,
    /// How often it was done.
    pub done: u64,
    /// How often it is to be done; 0 where it is done once.
    pub total: u64,
    /// For how many seconds it has been at that.
    pub since_s: f64,
}
