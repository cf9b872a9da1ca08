//! What this machine knows of a node whose control does not answer. The binary has the means; commands only ask.

use relay_common::health::Share;
use relay_common::selector::Selector;
use relay_config::model::Health;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

/// An answer that takes its time.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + 'a>>;

/// How lanes are asked whose control is away.
#[derive(Debug)]
pub struct Away<'a> {
    /// How long each lane has to answer.
    pub patience: Duration,
    /// Whether a control is there, and says nothing.
    pub is_silent: bool,
    /// The relays that count.
    pub relays: &'a Selector,
    /// How much of them must work.
    pub min: Option<Share>,
    /// For how long a node may be without a control.
    pub limit: Option<Duration>,
}

/// The node of a run directory on this machine.
pub trait LocalNode {
    /// Returns the process ID of the control that holds its lock.
    ///
    /// # Errors
    /// When this user may not see it.
    fn control(&self, run_dir: &Path) -> anyhow::Result<Option<i32>>;

    /// Returns whether it may have lanes that can be asked.
    fn has_lanes(&self, run_dir: &Path) -> bool;

    /// Asks its lanes how they are; nothing where none is there.
    ///
    /// # Errors
    /// When this user may not ask them.
    fn health<'a>(&self, run_dir: &'a Path, asked: Away<'a>) -> Later<'a, Option<Health>>;

    /// Kills a process and waits for its end. Returns whether it came within that time.
    ///
    /// # Errors
    /// When it cannot be killed.
    fn kill(&self, pid: u32, within: Duration) -> Later<'static, bool>;
}
