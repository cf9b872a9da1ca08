//! Labels: what people sort relays by. A label is a key and a value, as in `group = "news"`.

use alloc::collections::BTreeMap;
use alloc::string::String;

/// The labels of one relay.
pub type Labels = BTreeMap<String, String>;

/// Labels that one relay can have: as many as a person keeps apart, and a metric's line can carry.
pub const MAX_LABELS: usize = 16;
/// Characters of a key.
pub const MAX_KEY: usize = 32;
/// Characters of a value.
pub const MAX_VALUE: usize = 63;
/// Characters of a relay's description.
pub const MAX_DESCRIPTION: usize = 256;

/// Whether a text can be a key: what can be part of the name of a Prometheus label.
#[must_use]
pub fn is_key(text: &str) -> bool {
    text.len() <= MAX_KEY
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a text can be a value: nothing that means something in a selector or to a shell.
#[must_use]
pub fn is_value(text: &str) -> bool {
    (1..=MAX_VALUE).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '@' | '+'))
}

/// Whether a text can be a description: one line.
#[must_use]
pub fn is_description(text: &str) -> bool {
    text.chars().count() <= MAX_DESCRIPTION && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names_of_prometheus_and_values_mean_nothing_elsewhere() {
        let long = "k".repeat(MAX_KEY);
        assert!(["group", "A1_b", long.as_str()].into_iter().all(is_key));
        assert!(["", "1a", "_a", "a-b", "a.b", "é", &alloc::format!("{long}k")].into_iter().all(|key| !is_key(key)));
        let long = "v".repeat(MAX_VALUE);
        assert!(["news", "1", "-", "a/b:c@d+e.f_g", long.as_str()].into_iter().all(is_value));
        assert!(["", "a b", "a,b", "a=b", "!a", "é", &alloc::format!("{long}v")].into_iter().all(|v| !is_value(v)));
        assert!(is_description("") && is_description(&"é".repeat(MAX_DESCRIPTION)));
        assert!(
            !is_description(&"é".repeat(MAX_DESCRIPTION + 1)) && !is_description("a\nb") && !is_description("\u{1b}")
        );
    }
}
