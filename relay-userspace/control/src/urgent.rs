//! What does not wait for the changes that were asked for before it: relays are silenced. Whoever does that at three in the
//! morning does not wait for thousands of relays that somebody else has sent.

use super::desk::{Ask, Asked, Switch};
use super::edit::{Change, Edit};
use relay_common::plan::Relay;
use std::collections::BTreeSet;

/// Relays that are silenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urgent {
    /// Which.
    pub relays: BTreeSet<String>,
    /// Whether they are muted.
    pub mutes: bool,
    /// Whether they are disabled.
    pub disables: bool,
}

impl Urgent {
    /// What of a change cannot wait, if it is such a one.
    #[must_use]
    pub fn of(asked: &Asked) -> Option<Self> {
        if asked.how.dry {
            return None;
        }
        match &asked.ask {
            Ask::Switch { name, switch } => {
                let (mutes, disables) = (*switch == Switch::Muted(true), *switch == Switch::Enabled(false));
                let relays = BTreeSet::from([name.clone()]);
                (mutes || disables).then_some(Self { relays, mutes, disables })
            }
            Ask::Many { names, edit: Edit::Change(Change { enabled, muted, labels }), .. } => {
                let (mutes, disables) = (*muted == Some(true), *enabled == Some(false));
                let only = *muted != Some(false) && *enabled != Some(true) && labels.is_empty();
                (only && (mutes || disables)).then(|| Self { relays: names.clone(), mutes, disables })
            }
            _ => None,
        }
    }

    /// What it did to the relays.
    #[must_use]
    pub const fn how(&self) -> &'static str {
        if self.disables { "disabled" } else { "muted" }
    }

    /// The relay that a change would have heard again.
    #[must_use]
    pub fn undone_by(&self, ask: &Ask) -> Option<String> {
        let undoes = |enabled: Option<bool>, muted: Option<bool>| {
            self.mutes && muted == Some(false) || self.disables && enabled == Some(true)
        };
        let sounds =
            |relay: &&Relay| self.relays.contains(&relay.name) && undoes(Some(relay.enabled), Some(relay.muted));
        match ask {
            Ask::Put { relay, .. } | Ask::Create(relay) => Some(relay).filter(sounds).map(|relay| relay.name.clone()),
            Ask::PutAll { relays, .. } | Ask::Import { relays, .. } => {
                relays.iter().find(sounds).map(|relay| relay.name.clone())
            }
            Ask::Switch { name, switch } => {
                let undoes = match *switch {
                    Switch::Enabled(enabled) => undoes(Some(enabled), None),
                    Switch::Muted(muted) => undoes(None, Some(muted)),
                };
                (undoes && self.relays.contains(name)).then(|| name.clone())
            }
            Ask::Many { names, edit: Edit::Change(change), .. } => {
                let both = names.iter().find(|name| self.relays.contains(*name));
                both.filter(|_| undoes(change.enabled, change.muted)).cloned()
            }
            // Nobody silences a relay of the file by the API, and what goes is not heard.
            Ask::Many { edit: Edit::Remove, .. }
            | Ask::Remove { .. }
            | Ask::Adopt { .. }
            | Ask::Reload
            | Ask::Try { .. }
            | Ask::Confirm
            | Ask::Rollback
            | Ask::Restart
            | Ask::Upgrade { .. } => None,
        }
    }
}
