//! What a change did.

use super::not_in_effect::NotInEffect;

/// The answer to a change that is in force, confirmed by every lane; or, asked dry, what it would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The generation in force.
    pub generation: u64,
    /// What was done, one line each: `add relay "ch1"`, `change relay "ch2"`, `remove relay "ch3"`.
    pub changes: Vec<String>,
    /// The names of the relays that are new, changed and gone.
    pub created: Vec<String>,
    /// See `created`.
    pub changed: Vec<String>,
    /// See `created`.
    pub removed: Vec<String>,
    /// Why it is in force and not kept, where it was to be made all the same.
    pub not_kept: Option<String>,
    /// Keys of the configuration file that were taken and count from a start of control on.
    pub not_in_effect: Vec<NotInEffect>,
}

impl Applied {
    /// The same, with more that is another.
    #[must_use]
    pub fn with(mut self, more: Vec<String>) -> Self {
        self.changes.extend(more);
        self
    }
}
