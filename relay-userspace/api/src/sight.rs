//! What the API shows but does not gather itself.

use super::limits::Counts;
use relay_config::Errors;
use relay_config::model;
use relay_control::capture::{Captured, Pieces};
use relay_control::observe::health::Minimum;
use relay_control::observe::metrics::Family;
use std::io::{self, Write};
use std::pin::Pin;

/// Sees the node. `live`, and `health` and `ready` without a minimum, are called where every other client waits meanwhile,
/// so they must be quick whatever hangs; `diff` is called on the thread that is for files, the others on threads of their own.
pub trait Sight: Send + Sync + 'static {
    /// Whether control's loop turns.
    fn live(&self) -> model::Health;
    /// Whether packets can flow; with a minimum, also whether so much of these relays works.
    fn health(&self, minimum: Option<&Minimum>) -> model::Health;
    /// Whether packets can flow, this node is the one to send, and enough of its relays, or of these, works.
    fn ready(&self, minimum: Option<&Minimum>) -> model::Health;
    /// The node at a glance.
    fn status(&self) -> model::Status;
    /// The configuration file as it is now against what runs.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    fn diff(&self) -> Result<model::Diff, Errors>;
    /// All relays, by name.
    fn relays(&self) -> model::Relays;
    /// One of them.
    fn relay(&self, name: &str) -> Option<model::Relay>;
    /// The links.
    fn links(&self) -> Vec<model::Link>;
    /// The numbers of these families, as Prometheus' text or as OpenMetrics; `http` is what the API itself has counted.
    ///
    /// # Errors
    /// When they cannot be written there.
    fn metrics(
        &self,
        openmetrics: bool,
        families: &[&'static Family],
        http: &Counts,
        to: &mut dyn Write,
    ) -> io::Result<()>;
    /// Why a relay's stream is dark, or that it is not: about a second passes while its link is watched. Nothing when
    /// there is no relay of that name.
    fn why(&self, name: &str) -> Option<Pin<Box<dyn Future<Output = model::Why> + Send>>>;
    /// Begins to show a relay's packets, as pieces of a pcapng file; dropping the receiver ends it. Nothing when there is
    /// no relay of that name.
    ///
    /// # Errors
    /// When packets are shown to somebody else already.
    fn capture(&self, name: &str, asked: Captured) -> Option<Result<Pieces, &'static str>>;
    /// What the log says now.
    fn log(&self) -> model::Log;
    /// Whether the log can be told to say this.
    ///
    /// # Errors
    /// With what is wrong and what is right, when this is no level.
    fn check_log(&self, log: &model::Log) -> Result<(), String>;
    /// Changes what the log says.
    ///
    /// # Errors
    /// With what is wrong and what is right, when this is no level.
    fn set_log(&self, log: &model::Log) -> Result<(), String>;
}
