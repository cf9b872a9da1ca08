//! The log of events: the last thousand, and whoever follows.

use super::{Event, Level};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Events that are kept for whoever comes later.
pub const KEPT: usize = 1000;

/// An event with its number and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Its number, from 1.
    pub id: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What.
    pub event: Event,
}

/// The log. Clones are the same log.
#[derive(Clone, Debug)]
pub struct EventLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kept: Mutex<VecDeque<Arc<Logged>>>,
    followers: broadcast::Sender<Arc<Logged>>,
}

impl Default for EventLog {
    fn default() -> Self {
        let (followers, _) = broadcast::channel(KEPT);
        Self(Arc::new(Inner { kept: Mutex::new(VecDeque::with_capacity(KEPT)), followers }))
    }
}

impl EventLog {
    /// Writes an event down, says it in the log, and tells whoever follows.
    pub fn record(&self, event: Event) {
        let fields = serde_json::Value::Object(event.fields.clone());
        match event.kind.level() {
            Level::Info => tracing::info!(event = event.kind.name(), %fields, "{}", event.text),
            Level::Warn => tracing::warn!(event = event.kind.name(), %fields, "{}", event.text),
            Level::Error => tracing::error!(event = event.kind.name(), %fields, "{}", event.text),
        }
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let id = kept.back().map_or(0, |last| last.id) + 1;
        let logged = Arc::new(Logged { id, unix_ms: crate::clock::unix_ms(), event });
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&logged));
        // Nobody follows: nothing to tell.
        let _ = self.0.followers.send(logged);
    }

    /// What is kept of everything after that number, and whatever comes: nothing is missed between the two.
    #[must_use]
    pub fn follow(&self, after: u64) -> (Vec<Arc<Logged>>, broadcast::Receiver<Arc<Logged>>) {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let since = kept.iter().filter(|logged| logged.id > after).cloned().collect();
        (since, self.0.followers.subscribe())
    }
}
