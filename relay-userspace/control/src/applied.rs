//! What a change did.

use relay_config::model::ChangedKey;

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
    /// Keys of the configuration file that are others by it, but those of relays.
    pub keys: Vec<ChangedKey>,
    /// Those that were taken, now or before, and count from a start of control on.
    pub not_in_effect: Vec<ChangedKey>,
}

impl Applied {
    /// The same, with more that is another.
    #[must_use]
    pub fn with(mut self, more: Vec<String>) -> Self {
        self.changes.extend(more);
        self
    }

    /// The same, with the keys that are others by it, and those that have no effect before control is started anew.
    #[must_use]
    pub fn of_keys(self, keys: Vec<ChangedKey>, not_in_effect: Vec<ChangedKey>) -> Self {
        let waits = |key: &ChangedKey| not_in_effect.iter().any(|waiting| waiting.key == key.key);
        let lines = keys.iter().filter(|key| !waits(key) && !is_told_of_http(&key.key)).map(ChangedKey::set).collect();
        Self { keys, not_in_effect, ..self.with(lines) }
    }

    /// Whether all was so already.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.changes.is_empty() && self.keys.is_empty()
    }
}

/// See [`Http::changes`](relay_config::Http::changes).
fn is_told_of_http(key: &str) -> bool {
    ["http.tokens ", "http.reads", "http.tls."].iter().any(|told| key.starts_with(told))
}

#[cfg(test)]
mod tests {
    use super::{Applied, ChangedKey};

    #[test]
    fn a_key_is_told_once() {
        let key = |key: &str| ChangedKey { key: key.to_owned(), file: 1.into(), running: 2.into() };
        let keys = vec![key("health.hold_down"), key("http.listen"), key("http.reads"), key("http.insecure")];
        let of_http = Applied::default().with(vec!["set http.reads to \"open\"".to_owned()]);
        let applied = of_http.of_keys(keys.clone(), vec![key("http.listen")]);
        let told =
            ["set http.reads to \"open\"", "set health.hold_down to 1 (was 2)", "set http.insecure to 1 (was 2)"];
        assert_eq!((applied.changes.as_slice(), applied.keys.clone()), (&told.map(str::to_owned)[..], keys));
        let waits = Applied::default().of_keys(vec![key("http.listen")], vec![key("http.listen")]);
        assert!(waits.changes.is_empty() && !waits.is_nothing());
    }
}
