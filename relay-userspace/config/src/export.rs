//! A whole node in one document: the text of its configuration file, and the relays that came through its API.

use super::error::{Errors, Fault, Place};
use super::section::{Section, text};
use super::value::{self, Kind, Value};
use super::{Configuration, check, clashes, json, parse};
use relay_common::plan::{Plan, Relay};
use serde_json::{Map, json};
use std::collections::HashMap;

const ROOT: &[&str] = &["file", "relay"];
const FILE: &[&str] = &["text"];
/// What ends a text that stands in a document as it is.
const QUOTES: &str = "'''";
/// What the API shows of a node and import has no need of.
const SHOWN: &str = "shadowed";
const HEAD: &str = "# A whole node, written by mcr export; mcr import takes it in.\n\
                    # The text of [file] is the node's configuration file as it is in force; each [[relay]] came through the API.\n\n";

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The configuration file.
    pub file: Configuration,
    /// The relays of the API.
    pub relays: Vec<Relay>,
}

/// The document of a node, as TOML: the configuration file's text, and relays as [`relay_to_json`](super::relay_to_json)
/// writes them.
///
/// # Errors
/// When a relay is none.
pub fn export_to_toml(file: &str, relays: &[Map<String, serde_json::Value>]) -> Result<String, toml::ser::Error> {
    let origin = |relay: &Map<String, serde_json::Value>| {
        let mut relay = relay.clone();
        relay.insert("origin".to_owned(), "api".into());
        relay
    };
    let relays: Vec<_> = relays.iter().map(origin).collect();
    let relays = if relays.is_empty() { String::new() } else { toml::to_string(&json!({ "relay": relays }))? };
    Ok(format!("{HEAD}[file]\ntext = {}\n\n{relays}", quoted(file)))
}

/// A text as a value of TOML: as it is, where that can be.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_plain) && !text.contains(QUOTES) && !text.ends_with('\'') {
        return format!("{QUOTES}\n{text}{QUOTES}");
    }
    toml::Value::String(text.to_owned()).to_string()
}

/// Reads a document, TOML or JSON. The lines of errors are the document's, also where the configuration file's text is wrong.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse_export(name: &str, document: &str) -> Result<Export, Errors> {
    let mut errors = Errors::new(name);
    let mut root = if document.trim_start().starts_with('{') {
        match serde_json::from_str(document) {
            Ok(json) => of_json(&json),
            Err(error) => {
                let place = Place { line: Some(error.line()), key: String::new() };
                errors.add(&place, Fault::new(format!("is not valid JSON: {error}"), "correct the syntax"));
                return Err(errors);
            }
        }
    } else {
        value::from_toml(name, document)?
    };
    take_origins(&mut root, &mut errors);
    let Some(section) = Section::open(&root, "", ROOT, &mut errors) else { return Err(errors) };
    let file = read_file(&section, document, &mut errors);
    let mut lines = HashMap::new();
    let relays: Vec<Relay> = (section.elements("relay", &mut errors).iter().enumerate())
        .filter_map(|(i, value)| {
            let relay = json::read_one(value, i, &mut errors)?;
            lines.insert(format!("relay \"{}\"", relay.name), value.line);
            Some(relay)
        })
        .collect();
    let Some(file) = file.filter(|_| errors.errors.is_empty()) else { return Err(errors.sorted()) };
    for mut error in together(&file.plan, &relays) {
        let line = lines.iter().find(|(path, _)| error.key.starts_with(path.as_str()));
        error.line = error.line.or_else(|| line.and_then(|(_, line)| *line));
        errors.errors.push(error);
    }
    errors.or(Export { file, relays })
}

/// What only all relays together can get wrong.
fn together(file: &Plan, relays: &[Relay]) -> Vec<super::ConfigError> {
    let of_api = check(&Plan { relays: relays.to_vec(), ..file.clone() });
    let beside = of_api.map(|()| clashes(file, relays).into_values().collect());
    beside.unwrap_or_else(|errors| errors.errors)
}

/// JSON has the names that the API has.
fn of_json(json: &serde_json::Value) -> Value {
    let mut root = value::from_json(json);
    if let Kind::Table(entries) = &mut root.kind {
        entries.retain(|(key, ..)| key != SHOWN);
        for (key, ..) in entries.iter_mut().filter(|(key, ..)| key == "relays") {
            "relay".clone_into(key);
        }
    }
    root
}

/// Where a relay came from is told for people: those of the file stand in its text.
fn take_origins(root: &mut Value, errors: &mut Errors) {
    let Kind::Table(entries) = &mut root.kind else { return };
    let lists = entries.iter_mut().filter(|(key, ..)| key == "relay").map(|(.., value)| &mut value.kind);
    let relays = lists.filter_map(|kind| if let Kind::List(list) = kind { Some(list) } else { None }).flatten();
    for relay in relays {
        let Kind::Table(keys) = &mut relay.kind else { continue };
        keys.retain(|(key, line, value)| {
            let is_origin = key == "origin";
            if is_origin && !matches!(&value.kind, Kind::Text(origin) if origin == "api") {
                let remedy = "write \"api\"; relays of the configuration file stand in the text of [file]";
                let place = Place { line: *line, key: "relay origin".to_owned() };
                errors.add(&place, Fault::new("is not \"api\"", remedy));
            }
            !is_origin
        });
    }
}

fn read_file(section: &Section<'_>, document: &str, errors: &mut Errors) -> Option<Configuration> {
    let Some(value) = section.value("file") else {
        let remedy = "add [file] with the text of a configuration file; mcr apply takes relays alone";
        errors.add(&section.place_of("file"), Fault::new("is missing", remedy));
        return None;
    };
    let file = Section::open(value, "file", FILE, errors)?;
    let text = file.require("text", |value| text(value).map(str::to_owned), "''' … '''", errors)?;
    let first = text.place.line.filter(|line| {
        let line = document.lines().nth(line.saturating_sub(1));
        line.is_some_and(|line| line.trim_end().ends_with(QUOTES))
    });
    match parse("", &text.value) {
        Ok(file) => Some(file),
        Err(wrong) => {
            for error in wrong.errors {
                // Where its lines stand in the document as they are, they are the document's.
                let (line, key) = match (first, error.line) {
                    (Some(first), Some(line)) => (Some(first + line), error.key),
                    (_, Some(line)) => (text.place.line, format!("file.text line {line} {}", error.key)),
                    (_, None) => (text.place.line, format!("file.text {}", error.key)),
                };
                errors.errors.push(super::ConfigError { line, key: key.trim_end().to_owned(), ..error });
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Export, export_to_toml, parse_export};
    use crate::{parse, relay_to_json};
    use serde_json::{Map, Value, json};

    fn relay(name: &str, group: u8) -> String {
        format!(
            "[[relay]]\nname = '{name}'\ninput = {{ interface = 'in0', group = '239.1.1.{group}', port = 5 }}\n\
             outputs = [{{ interface = 'out0', group = '239.2.1.{group}', port = 6 }}]\n"
        )
    }

    fn definitions(text: &str) -> Vec<Map<String, Value>> {
        let relays = parse("test", text).unwrap().plan.relays;
        relays.iter().filter_map(|relay| relay_to_json(relay).as_object().cloned()).collect()
    }

    fn errors(document: &str) -> String {
        parse_export("node.toml", document).unwrap_err().to_string()
    }

    #[test]
    fn what_was_exported_is_read_whatever_stands_in_the_file() {
        let relays = definitions(&(relay("two", 2) + &relay("three", 3)));
        let plain = format!("# Ours.\n\n[lanes]\ncores = [1]\n{}", relay("one", 1));
        let awkward = plain.replace('\n', "\r\n");
        let quotes = format!("{plain}# '''\n");
        for file in [String::new(), plain.clone(), plain + "# it's", awkward, quotes, "# '".to_owned()] {
            let document = export_to_toml(&file, &relays).unwrap();
            let Export { file: read, relays: of_api } = parse_export("node.toml", &document).unwrap();
            assert_eq!(&*read.text, file, "{document}");
            let of_api: Vec<_> = of_api.iter().filter_map(|relay| relay_to_json(relay).as_object().cloned()).collect();
            assert_eq!(of_api, relays);
            assert_eq!(export_to_toml(&read.text, &of_api).unwrap(), document);
            let json = json!({ "file": { "text": file }, "relays": relays }).to_string();
            assert_eq!(parse_export("-", &json).unwrap().relays.len(), 2);
        }
    }

    #[test]
    fn every_error_has_the_line_of_the_document() {
        let file = relay("one", 1).replace("port = 5", "port = 0");
        let two = relay("two", 2).replace("239.2.1.2", "10.0.0.1");
        let document = format!("[file]\ntext = '''\n{file}'''\n\n{two}origin = 'file'\n");
        let said = errors(&document);
        let lines: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["node.toml:5", "node.toml:12", "node.toml:13"], "{said}");
        assert!(said.contains("relay \"one\" input.port") && said.contains("relay \"two\" outputs[0].group"), "{said}");
        let escaped = format!("[file]\ntext = {}\n", toml::Value::String(format!("# '''\r\n{file}")));
        assert!(errors(&escaped).contains("file.text line 4 relay \"one\" input.port"), "{}", errors(&escaped));
    }

    #[test]
    fn what_does_not_go_together_is_told_at_its_line() {
        let document = format!("[file]\ntext = '''\n{}'''\n{}", relay("one", 1), relay("two", 1));
        let said = errors(&document);
        assert!(said.starts_with("node.toml:8: relay \"two\" input: "), "{said}");
        let twice = format!("[file]\ntext = ''\n{}{}", relay("two", 2), relay("two", 3));
        assert!(errors(&twice).contains("two"), "{}", errors(&twice));
    }

    #[test]
    fn what_is_no_export_is_told_to_be_none() {
        assert!(errors(&relay("one", 1)).contains("file: is missing"), "{}", errors(&relay("one", 1)));
        assert!(errors("[lanes]\ncores = [1]\n[file]\ntext = ''\n").contains("lanes: unknown key"));
        assert!(errors("{").contains("is not valid JSON"));
    }
}
