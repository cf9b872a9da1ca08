//! What of the memo tells how a node is while control is away, and nothing else of it.

use super::pages::{lines, read};
use crate::crew::check_memo;
use relay_common::label::Labels;
use serde::Deserialize;
use std::os::fd::{AsFd as _, OwnedFd};

/// What the last control wrote down of its node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Known {
    starts: Vec<[u32; 8]>,
    /// Its relays.
    #[serde(default)]
    pub relays: Vec<KnownRelay>,
}

/// A relay.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KnownRelay {
    /// Whether its input could not take in.
    #[serde(default)]
    pub dark: bool,
    /// Its outputs that could not send, by their numbers.
    #[serde(default)]
    pub waits: Vec<usize>,
    /// What it is.
    pub definition: Definition,
}

/// What is asked of a relay's definition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub enabled: bool,
    /// What people sort it by.
    #[serde(default)]
    pub labels: Labels,
    /// Where it takes in.
    pub input: At,
    /// Where it sends.
    pub outputs: Vec<At>,
}

/// A place on a link.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct At {
    /// The link.
    pub interface: String,
}

impl Known {
    /// Reads the newest whole one of two copies that a lane showed, if control wrote them.
    #[must_use]
    pub fn read(copies: &[OwnedFd; 2]) -> Option<Self> {
        let ours = copies.iter().filter(|copy| check_memo(copy.as_fd()).is_ok());
        let (_, bytes) = ours.filter_map(|copy| read(copy.as_fd())).max_by_key(|(number, _)| *number)?;
        let mut lines = lines(&bytes);
        let known: Self = serde_json::from_slice(lines.next()?).ok()?;
        let relays: Result<Vec<KnownRelay>, _> = lines.map(serde_json::from_slice).collect();
        Some(Self { relays: relays.ok()?, ..known })
    }

    /// How many lanes the node has.
    #[must_use]
    pub fn n_lanes(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }
}
