//! What the API shows but does not gather itself.

use super::limits::Counts;
use super::model;
use crate::events::Logged;

/// Sees the node. `live`, `health` and `ready` are called where every other client waits meanwhile, so they must be
/// quick whatever hangs; the others are called on threads of their own.
pub trait Sight: Send + Sync + 'static {
    /// Whether control's loop turns.
    fn live(&self) -> model::Health;
    /// Whether packets can flow.
    fn health(&self) -> model::Health;
    /// Whether packets can flow, this node is active and nothing is pending.
    fn ready(&self) -> model::Health;
    /// The node at a glance.
    fn status(&self) -> model::Status;
    /// All relays, by name.
    fn relays(&self) -> model::Relays;
    /// One of them.
    fn relay(&self, name: &str) -> Option<model::Relay>;
    /// The links.
    fn links(&self) -> Vec<model::Link>;
    /// An event as it goes over the wire.
    fn event(&self, logged: &Logged) -> model::Event;
    /// All numbers, as Prometheus' text or as OpenMetrics; `http` is what the API itself has counted.
    fn metrics(&self, openmetrics: bool, http: &Counts) -> String;
    /// What the log says now.
    fn log(&self) -> model::Log;
    /// Changes what the log says.
    ///
    /// # Errors
    /// With what is wrong and what is right, when this is no level.
    fn set_log(&self, log: &model::Log) -> Result<(), String>;
}
