//! A definition, made and changed by what stands on the command line.

use super::document::{self, Definition};
use super::failure::Failure;
use super::relay::labels;
use crate::args::{Add, Parts, Set};
use relay_config::short;
use serde_json::{Value, json};

/// The definition of a new relay.
pub(super) fn of(add: &Add) -> anyhow::Result<Definition> {
    let mut definition = match &add.parts.file {
        Some(file) => document::read_one(file)?,
        None => Definition::new(),
    };
    if let Some(name) = &add.name {
        definition.insert("name".to_owned(), name.as_str().into());
    }
    if let Some(input) = &add.input {
        definition.insert("input".to_owned(), read_input(input)?);
    }
    if !add.outputs.is_empty() {
        definition.insert("outputs".to_owned(), read_outputs("--out", &add.outputs)?.into());
    }
    switches(&mut definition, &add.parts);
    labels::change(&mut definition, &add.parts.labels)?;
    Ok(definition)
}

/// Whether there is anything to change.
pub(super) fn says_something(set: &Set) -> bool {
    let Set { name: _, selector: _, input, outputs, add_outputs, remove_outputs, parts } = set;
    let mut of_parts = Definition::new();
    switches(&mut of_parts, parts);
    let lists = [outputs, add_outputs, remove_outputs, &parts.labels];
    input.is_some() || lists.iter().any(|list| !list.is_empty()) || !of_parts.is_empty() || parts.file.is_some()
}

/// Whether all that is to change can be changed of several relays at once.
pub(super) fn is_for_several(set: &Set) -> bool {
    let Set { name: _, selector: _, input, outputs, add_outputs, remove_outputs, parts } = set;
    let lists = [outputs, add_outputs, remove_outputs];
    let mut of_parts = Definition::new();
    switches(&mut of_parts, parts);
    of_parts.retain(|key, _| key != "enabled" && key != "muted");
    input.is_none() && lists.iter().all(|list| list.is_empty()) && of_parts.is_empty() && parts.file.is_none()
}

/// Changes a definition: only what is given.
pub(super) fn change(definition: &mut Definition, set: &Set) -> Result<(), Failure> {
    if let Some(input) = &set.input {
        definition.insert("input".to_owned(), read_input(input)?);
    }
    let mut outputs = match definition.get_mut("outputs").map(Value::take) {
        Some(Value::Array(outputs)) => outputs,
        _ => Vec::new(),
    };
    if !set.outputs.is_empty() {
        outputs = read_outputs("--out", &set.outputs)?;
    }
    // All are found before one is removed: numbers mean what mcr relay show shows.
    let gone = set.remove_outputs.iter().map(|which| find(&outputs, which)).collect::<Result<Vec<_>, _>>()?;
    let mut i = 0..;
    outputs.retain(|_| i.next().is_none_or(|i| !gone.contains(&i)));
    for output in read_outputs("--add-out", &set.add_outputs)? {
        match outputs.iter_mut().find(|other| leads_to(other) == leads_to(&output)) {
            Some(other) => *other = output,
            None => outputs.push(output),
        }
    }
    definition.insert("outputs".to_owned(), outputs.into());
    switches(definition, &set.parts);
    labels::change(definition, &set.parts.labels)
}

fn switches(definition: &mut Definition, parts: &Parts) {
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            definition.insert(key.to_owned(), value);
        }
    };
    set("description", parts.description.as_deref().map(Value::from));
    set("enabled", parts.disabled.then(|| false.into()));
    set("muted", parts.muted.then(|| true.into()));
    set("silence_after", parts.silence_after.as_deref().map(Value::from));
    set("meters", parts.meters.map(|level| level.name().into()));
    set("allow_link_local", parts.allow_link_local.then(|| true.into()));
}

fn read_input(text: &str) -> Result<Value, Failure> {
    short::input(text).map(Value::Object).map_err(|wrong| Failure::usage(format!("--in {text}: {wrong}")))
}

fn read_outputs(option: &str, texts: &[String]) -> Result<Vec<Value>, Failure> {
    let read = |text: &String| {
        short::output(text).map(Value::Object).map_err(|wrong| Failure::usage(format!("{option} {text}: {wrong}")))
    };
    texts.iter().map(read).collect()
}

/// What makes an output the same one: where it leads.
fn leads_to(output: &Value) -> (String, Value) {
    let vlan = output.get("vlan").filter(|vlan| **vlan != "none");
    let (link, vlans) = wire(output["interface"].as_str().unwrap_or_default(), vlan);
    (format!("{link}/{}", short::endpoint_of(output)), vlans)
}

/// A link and its tags: an interface's name can say them too, as `ens1f0.100` or `ens1f0.100.7`.
fn wire<'a>(interface: &'a str, vlan: Option<&Value>) -> (&'a str, Value) {
    let mut parts = interface.split('.');
    let link = parts.next().unwrap_or_default();
    let named: Option<Vec<u16>> = parts.map(|part| part.parse().ok()).collect();
    let said = vlan.map(|vlan| if vlan.is_number() { json!([vlan]) } else { vlan.clone() });
    match (named, said) {
        (Some(named), None) => (link, json!(named)),
        (Some(named), Some(said)) if json!(named) == said => (link, said),
        (_, said) => (interface, said.unwrap_or_else(|| json!([]))),
    }
}

/// The number of the output that is meant.
fn find(outputs: &[Value], which: &str) -> Result<usize, Failure> {
    let listed = || {
        let list: Vec<String> =
            outputs.iter().enumerate().map(|(i, output)| format!("[{i}] {}", short::place_of(output))).collect();
        list.join(", ")
    };
    if let Ok(number) = which.parse::<usize>() {
        if number < outputs.len() {
            return Ok(number);
        }
        return Err(Failure::usage(format!("--remove-out {which}: there is no such output, only {}", listed())));
    }
    // As an address can be written in more than one way, it is compared as it would be shown.
    let (interface, rest) = which.split_once('/').map_or((None, which), |(interface, rest)| (Some(interface), rest));
    let (address, port) =
        short::endpoint(rest).map_err(|wrong| Failure::usage(format!("--remove-out {which}: {wrong}")))?;
    let meant = short::endpoint_of(&json!({ "address": address.to_string(), "port": port }));
    let is_meant = |output: &Value| {
        let is_there = |interface: &str| {
            let (link, vlans) = wire(interface, None);
            output["interface"] == interface || leads_to(output) == (format!("{link}/{meant}"), vlans)
        };
        short::endpoint_of(output) == meant && interface.is_none_or(is_there)
    };
    let mut found = (0..outputs.len()).filter(|i| is_meant(&outputs[*i]));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::usage(format!("--remove-out {which}: there is no such output, only {}", listed()))),
        (Some(_), Some(_)) => Err(Failure::usage(format!(
            "--remove-out {which}: several outputs lead there; give the number of one: {}",
            listed()
        ))),
    }
}

#[cfg(test)]
mod tests;
