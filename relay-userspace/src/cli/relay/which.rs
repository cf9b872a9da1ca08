//! Which relays are meant by what stands on the command line.

use super::labels::labels;
use crate::api::model::Relay;
use crate::cli::client::encoded;
use crate::cli::document::name_of;
use crate::cli::failure::Failure;
use relay_common::selector::Selector;
use std::collections::BTreeSet;

/// Reads names and conditions.
pub(in crate::cli) fn selector(names: &[String], conditions: &[String]) -> Result<Selector, Failure> {
    Selector::parse(names, conditions).map_err(Failure::usage)
}

/// Whether relays are chosen, and not each called by its name.
pub(super) fn chooses(names: &[String], conditions: &[String]) -> bool {
    !conditions.is_empty() || names.iter().any(|name| name.contains(['*', '?', ',']))
}

/// The names of the relays that are meant, of those that are there.
///
/// # Errors
/// What is meant and not there.
pub(in crate::cli) fn chosen(relays: &[Relay], selector: &Selector) -> anyhow::Result<BTreeSet<String>> {
    let known: Vec<_> = relays.iter().map(|relay| (name_of(&relay.definition), labels(relay))).collect();
    let chosen = selector.choose(known.iter().map(|(name, labels)| (*name, labels)));
    let chosen = chosen.map_err(|none| anyhow::anyhow!("{none}: see mcr relay ls --labels"))?;
    Ok(chosen.into_iter().map(str::to_owned).collect())
}

/// The same for the API to choose.
pub(in crate::cli) fn query(selector: &Selector) -> String {
    let conditions = selector.conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let parts = [("name", selector.names.join(",")), ("selector", conditions)];
    let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
    parts.map(|(key, text)| format!("{key}={}", encoded(&text))).collect::<Vec<_>>().join("&")
}
