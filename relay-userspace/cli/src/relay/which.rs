//! Which relays are meant by what stands on the command line.

use super::labels::labels;
use crate::client::{Client, Question, encoded};
use crate::document::name_of;
use crate::failure::Failure;
use crate::screen::plain;
use relay_common::selector::Selector;
use relay_config::model::{Relay, Relays};
use std::collections::BTreeSet;

/// Relays that are named when there are too many.
const NAMED: usize = 10;

/// Reads names and conditions.
pub(crate) fn selector(names: &[String], conditions: &[String]) -> Result<Selector, Failure> {
    Selector::parse(names, conditions).map_err(Failure::usage)
}

/// Whether relays are chosen, and not each called by its name.
pub(super) fn chooses(names: &[String], conditions: &[String]) -> bool {
    !conditions.is_empty() || names.iter().any(|name| name.contains(['*', '?', ',']))
}

/// The names of the relays that are meant. One that is called by its name is not looked for.
pub(crate) async fn meant(client: &Client, names: &[String], conditions: &[String]) -> anyhow::Result<Vec<String>> {
    if !chooses(names, conditions) {
        return Ok(names.to_vec());
    }
    let path = format!("/api/v1/relays?{}", query(&selector(names, conditions)?));
    let relays: Relays = client.ask(Question::get(path)).await?.read()?;
    Ok(relays.relays.iter().map(|relay| name_of(&relay.definition).to_owned()).collect())
}

/// The only relay that is meant by what can be done with one at a time.
pub(crate) async fn meant_alone(
    client: &Client,
    name: Option<&String>,
    conditions: &[String],
    what: &str,
) -> anyhow::Result<String> {
    let names: Vec<String> = name.into_iter().cloned().collect();
    match meant(client, &names, conditions).await?.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(too_many(several, what).into()),
    }
}

/// Several relays are meant, and cannot be.
pub(super) fn too_many(names: &[String], what: &str) -> Failure {
    let more = names.len().saturating_sub(NAMED);
    let named: Vec<String> = names.iter().take(NAMED).map(|name| plain(name)).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Failure::usage(format!("{} relays are meant ({}{more}): {what}", names.len(), named.join(", ")))
}

/// The names of the relays that are meant, of those that are there.
///
/// # Errors
/// What is meant and not there.
pub(crate) fn chosen(relays: &[Relay], selector: &Selector) -> anyhow::Result<BTreeSet<String>> {
    let known: Vec<_> = relays.iter().map(|relay| (name_of(&relay.definition), labels(relay))).collect();
    let chosen = selector.choose(known.iter().map(|(name, labels)| (*name, labels)));
    let chosen = chosen.map_err(|none| anyhow::anyhow!("{none}: see mcr relay ls --labels"))?;
    Ok(chosen.into_iter().map(str::to_owned).collect())
}

/// The same for the API to choose.
pub(crate) fn query(selector: &Selector) -> String {
    let conditions = selector.conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let parts = [("name", selector.names.join(",")), ("selector", conditions)];
    let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
    parts.map(|(key, text)| format!("{key}={}", encoded(&text))).collect::<Vec<_>>().join("&")
}
