//! The configuration file against what runs, as the API shows it. The file is read for each who asks, and by whom it is
//! control's: another user may see another file, or none.

use crate::book::Book;
use crate::desk::Desk;
use crate::differs::Differs;
use crate::view::{Origin, View};
use relay_common::plan::Relay;
use relay_config as config;
use relay_config::model;
use relay_config::{Errors, keys, relay_to_json};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Reads the file, and says what it says otherwise.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn diff(desk: &Desk) -> Result<model::Diff, Errors> {
    let view = desk.view();
    let file = config::load(&view.config.path)?;
    let in_force = view.config.in_force();
    let book = Book::new(view.config.path.clone(), in_force.plan.clone(), of_api(&view));
    let differs = Differs::between(&in_force, &book, &file).unwrap_or_default();
    let not_in_effect = view.config.not_in_effect();
    let (before, after) = (by_name(&in_force.plan.relays), by_name(&file.plan.relays));
    let of = |relays: &BTreeMap<&str, &Relay>, names: &[String]| -> Vec<Map<String, Value>> {
        names.iter().filter_map(|name| Some(definition(relays.get(name.as_str())?))).collect()
    };
    let changed = differs.relays.changed.iter().filter_map(|name| {
        let (running, file) = (before.get(name.as_str())?, after.get(name.as_str())?);
        Some(model::ChangedRelay { name: name.clone(), running: definition(running), file: definition(file) })
    });
    let (running, wanted) = (keys(&in_force), keys(&file));
    let value = |keys: &BTreeMap<String, Value>, key: &String| keys.get(key).cloned().unwrap_or_default();
    let changed_key =
        |key: &String| model::ChangedKey { key: key.clone(), running: value(&running, key), file: value(&wanted, key) };
    Ok(model::Diff {
        file: view.config.path.display().to_string(),
        same: differs == Differs::default() && not_in_effect.is_empty(),
        added: of(&after, &differs.relays.added),
        changed: changed.collect(),
        removed: of(&before, &differs.relays.removed),
        keys: differs.keys.iter().map(changed_key).collect(),
        displaced: differs.displaced,
        not_in_effect,
    })
}

/// The relays that came through the API, whether or not they run.
fn of_api(view: &View) -> Vec<Relay> {
    let is_of_api = |relay: &&Relay| view.origins.get(&relay.name) == Some(Origin::Api);
    let running = view.plan.relays.iter().filter(is_of_api);
    running.chain(view.shadowed.iter().map(|(relay, _)| relay)).cloned().collect()
}

fn by_name(relays: &[Relay]) -> BTreeMap<&str, &Relay> {
    relays.iter().map(|relay| (relay.name.as_str(), relay)).collect()
}

fn definition(relay: &Relay) -> Map<String, Value> {
    match relay_to_json(relay) {
        Value::Object(definition) => definition,
        _ => Map::new(),
    }
}
