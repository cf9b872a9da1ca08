//! Where each relay that runs was written.

use super::view::Origin;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The names of the relays that run, by where they came from. Those of the file are thousands, and the same until it is taken
/// anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    of_file: Arc<BTreeSet<String>>,
    of_api: BTreeSet<String>,
}

impl Origins {
    /// Of two sets of names.
    #[must_use]
    pub const fn new(of_file: Arc<BTreeSet<String>>, of_api: BTreeSet<String>) -> Self {
        Self { of_file, of_api }
    }

    /// With the same file, and with others of the API.
    #[must_use]
    pub fn with_api(&self, of_api: BTreeSet<String>) -> Self {
        Self { of_file: Arc::clone(&self.of_file), of_api }
    }

    /// Where the relay of that name came from, if one runs.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Origin> {
        if self.of_api.contains(name) {
            return Some(Origin::Api);
        }
        self.is_of_file(name).then_some(Origin::File)
    }

    /// Whether the file has a relay of that name.
    #[must_use]
    pub fn is_of_file(&self, name: &str) -> bool {
        self.of_file.contains(name)
    }
}
