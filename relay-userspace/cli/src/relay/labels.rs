//! The labels of relays that are shown, and labels on the command line.

use crate::document::Definition;
use crate::failure::Failure;
use relay_common::label::Labels;
use relay_config::model::Relay;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The labels of a relay; none where its node is older.
pub(crate) fn labels(relay: &Relay) -> Labels {
    let labels = relay.definition.get("labels").and_then(Value::as_object);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

/// Labels for people.
pub(crate) fn said(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// What words as `group=news`, and `group-`, make of labels, whatever there is of them.
pub(super) fn read(words: &[String]) -> Result<BTreeMap<String, Option<String>>, Failure> {
    words.iter().map(|word| one(word).map(|(key, value)| (key.to_owned(), value.map(str::to_owned)))).collect()
}

/// A key and its value; without, it is taken away.
fn one(word: &str) -> Result<(&str, Option<&str>), Failure> {
    let remedy = "write group=news to set one, group- to take one away";
    match (word.split_once('='), word.strip_suffix('-')) {
        (Some((key, value)), _) => Ok((key, Some(value))),
        (None, Some(key)) => Ok((key, None)),
        (None, None) => Err(Failure::usage(format!("--label {word}: is no label: {remedy}"))),
    }
}

/// Changes the labels of a definition by words as `group=news`, and `group-`, which takes one away.
pub(crate) fn change(definition: &mut Definition, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Ok(());
    }
    let mut labels = match definition.remove("labels") {
        Some(Value::Object(labels)) => labels,
        _ => Map::new(),
    };
    for word in words {
        match one(word)? {
            (key, Some(value)) => _ = labels.insert(key.to_owned(), value.into()),
            (key, None) => _ = labels.remove(key),
        }
    }
    definition.insert("labels".to_owned(), labels.into());
    Ok(())
}
