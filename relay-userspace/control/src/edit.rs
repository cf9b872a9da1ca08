//! What can be done to several relays at once.

use relay_common::plan::Relay;
use std::collections::BTreeMap;

/// What is done to each of several relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It goes.
    Remove,
    /// It is changed.
    Change(Change),
}

/// What is changed of a relay: nothing of where it takes in and sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Whether it runs.
    pub enabled: Option<bool>,
    /// Whether it is received and measured, and not sent.
    pub muted: Option<bool>,
    /// Labels with their new values; one without goes.
    pub labels: BTreeMap<String, Option<String>>,
}

impl Edit {
    /// The word of the audit line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Change(change) if !change.labels.is_empty() => "change",
            Self::Change(Change { enabled: Some(true), muted: None, .. }) => "enable",
            Self::Change(Change { enabled: Some(false), muted: None, .. }) => "disable",
            Self::Change(Change { enabled: None, muted: Some(true), .. }) => "mute",
            Self::Change(Change { enabled: None, muted: Some(false), .. }) => "unmute",
            Self::Change(_) => "change",
        }
    }
}

impl Change {
    /// Whether it changes nothing of any relay.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Changes a relay.
    pub fn apply(&self, relay: &mut Relay) {
        relay.enabled = self.enabled.unwrap_or(relay.enabled);
        relay.muted = self.muted.unwrap_or(relay.muted);
        for (key, value) in &self.labels {
            match value {
                Some(value) => _ = relay.labels.insert(key.clone(), value.clone()),
                None => _ = relay.labels.remove(key),
            }
        }
    }
}
