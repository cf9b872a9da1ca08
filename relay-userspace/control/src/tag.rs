//! Tags: what a relay, or a set of them, is called in ETag and If-Match. The same relay has the same tag for ever.

use relay_common::plan::Relay;
use relay_config::relay_to_json;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The tag of a relay, without quotes.
#[must_use]
pub fn of_relay(relay: &Relay) -> String {
    of_definition(&relay_to_json(relay))
}

/// The tag of a relay whose definition is at hand.
#[must_use]
pub fn of_definition(definition: &Value) -> String {
    hex(&Sha256::digest(definition.to_string()))
}

/// The tag of a set of relays, whatever their order.
#[must_use]
pub fn of_relays<'a>(relays: impl IntoIterator<Item = &'a Relay>) -> String {
    of_tags(relays.into_iter().map(of_relay).collect())
}

/// The tag of a set of relays whose tags are at hand.
#[must_use]
pub fn of_tags(mut tags: Vec<String>) -> String {
    tags.sort_unstable();
    hex(&Sha256::digest(tags.join(",")))
}

/// Half of the hash: nobody gains by a collision, and tags are read by people too.
fn hex(hash: &[u8]) -> String {
    hash[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
        text
    })
}
