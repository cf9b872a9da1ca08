//! Health, as it goes over the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the node is: the body of /livez, /healthz and /readyz.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `failing`: what the status code says. A check may fail and the answer be `ok`: `verdicts` says what it means.
    pub status: String,
    /// The verdicts that failing checks give: `fault` (packets cannot be carried), `drift` (they can, but what was asked of
    /// the node is not in force or not kept), `partial` (a part waits for a link, a neighbour, an address).
    #[serde(default)]
    pub verdicts: Vec<String>,
    /// How much works; absent for /livez.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
    /// Only of `mcr health --json`: control is away for so many seconds, and the lanes were asked instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_s: Option<f64>,
    /// Every check, failing ones first.
    pub checks: Vec<Check>,
}

/// How much of a node, or of the relays that were asked for, works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Partial {
    /// Of its enabled relays: each counts the same, and as much as it has outputs that can send.
    pub relays: Share,
    /// Of the links that they use.
    pub links: Share,
    /// How much of the relays must work, in percent; absent where nothing is demanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Whole percents of the relays that are missing, rounded up: 0 only if nothing is.
    pub missing: u32,
}

/// How much of several things works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// In percent, 100 only if nothing is missing.
    pub percent: f64,
    /// How many of them work as a whole.
    pub whole: u32,
    /// How many there are.
    pub of: u32,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Its stable name: `control`, `lanes`, `program`, `maps`, `sockets`, `hold_down` (fault), `config`, `change`, `state`,
    /// `http`, `reports` (drift), `pending` (partial); for readiness also `role`.
    pub name: String,
    /// The verdict that it gives when it fails; `role` gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Whether all is well.
    pub ok: bool,
    /// What is wrong and what to do; empty when all is well.
    pub text: String,
}
