//! Definitions of relays in a file: TOML as in the configuration, or JSON as the API prints it.

use super::failure::Failure;
use anyhow::{Context as _, bail};
use relay_config as config;
use relay_config::parse_relay;
use serde_json::{Map, Value};
use std::io::Read as _;
use std::path::Path;

/// A relay in the form that it has in a file, as JSON.
pub(super) type Definition = Map<String, Value>;

/// What the API adds to a definition when it shows it.
const SHOWN: [&str; 3] = ["origin", "tag", "status"];

/// What stands in a file.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The relays.
    pub(super) relays: Vec<Definition>,
    /// What of it is not for the API, for people.
    pub(super) left_out: Vec<String>,
}

/// Reads a file, or standard input where it is called `-`.
pub(super) fn read(path: &Path) -> anyhow::Result<Document> {
    let (name, text) = text_of(path)?;
    parse(&name, &text)
}

/// The name of a file for people, and what stands in it; standard input where it is called `-`.
pub(super) fn text_of(path: &Path) -> anyhow::Result<(String, String)> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(("standard input".to_owned(), text));
    }
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    Ok((name, text))
}

/// Reads a file that has one relay.
pub(super) fn read_one(path: &Path) -> anyhow::Result<Definition> {
    let mut document = read(path)?;
    match document.relays.len() {
        1 => Ok(document.relays.remove(0)),
        n => bail!("{} has {n} relays: give a file with one, or use mcr apply", path.display()),
    }
}

fn parse(name: &str, text: &str) -> anyhow::Result<Document> {
    let document = if is_json(text) { parse_json(name, text)? } else { parse_toml(name, text)? };
    for relay in &document.relays {
        refuse_range(relay)?;
    }
    Ok(document)
}

/// JSON begins with an object, or with a list of such; `[` alone also begins a TOML section.
fn is_json(text: &str) -> bool {
    match text.trim_start().strip_prefix('[') {
        None => text.trim_start().starts_with('{'),
        Some(rest) => rest.trim_start().starts_with(['{', ']']),
    }
}

fn parse_json(name: &str, text: &str) -> anyhow::Result<Document> {
    let root: Value = serde_json::from_str(text).with_context(|| format!("{name} is not valid JSON"))?;
    let relays = match root {
        Value::Array(relays) => relays,
        Value::Object(mut root) => match root.remove("relays") {
            Some(Value::Array(relays)) => relays,
            Some(_) => bail!("{name}: relays is not a list: put it in [ ]"),
            None => vec![Value::Object(root)],
        },
        _ => bail!("{name} is no relay: give an object, or a list of objects"),
    };
    let alone = relays.len() == 1;
    let mut document = Document::default();
    for (i, relay) in relays.into_iter().enumerate() {
        let Value::Object(mut relay) = relay else { bail!("{name}: relay[{i}] is not an object: put it in {{ }}") };
        let of_file = relay.get("origin").is_some_and(|origin| origin == "file");
        SHOWN.iter().for_each(|key| drop(relay.remove(*key)));
        if of_file && !alone {
            document.left_out.push(format!("relay {}, which stands in the node's configuration file", name_of(&relay)));
        } else {
            document.relays.push(relay);
        }
    }
    Ok(document)
}

fn parse_toml(name: &str, text: &str) -> anyhow::Result<Document> {
    // In the words of mcr check, with its lines; control has none.
    config::parse(name, text)?;
    let root: Map<String, Value> = toml::from_str(text).with_context(|| format!("{name} cannot be read"))?;
    let mut document = Document::default();
    for (key, value) in root {
        match value {
            Value::Array(relays) if key == "relay" => {
                document.relays.extend(relays.into_iter().filter_map(|relay| match relay {
                    Value::Object(relay) => Some(relay),
                    _ => None,
                }));
            }
            _ => document.left_out.push(format!("{key}, which only the node's own configuration file can say")),
        }
    }
    Ok(document)
}

fn refuse_range(relay: &Definition) -> anyhow::Result<()> {
    // What is wrong with it, control says.
    let Ok(relays) = parse_relay(&Value::Object(relay.clone())) else { return Ok(()) };
    if relays.iter().any(|relay| relay.name.contains('/')) {
        let remedy = "write a [[relay]] for each, or put it into the node's configuration file and mcr reload";
        let n = relays.len();
        bail!(Failure::usage(format!(
            "relay \"{}\" is a range of {n}, and relays of the API are single ones: {remedy}",
            name_of(relay)
        )));
    }
    Ok(())
}

/// A relay's name, as far as it has one.
pub(super) fn name_of(relay: &Definition) -> &str {
    relay.get("name").and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[relay]]\nname = 'a'\ninput = { interface = 'i', group = '239.1.1.1', port = 5 }\n\
                       outputs = [{ interface = 'o', group = '239.1.1.2', port = 5 }]\n";

    #[test]
    fn toml_and_json_are_told_apart() {
        for json in ["{}", " [ {\"a\":1}]", "[]", "\n[\n]"] {
            assert!(is_json(json), "{json}");
        }
        for toml in ["", "[[relay]]", "[lanes]", " [ lanes ]", "# {", "name = 'a'"] {
            assert!(!is_json(toml), "{toml}");
        }
    }

    #[test]
    fn a_file_is_read_as_it_is_written() {
        let document = parse("f", &format!("[lanes]\npoll = 'wait'\n{ONE}")).unwrap();
        assert_eq!(document.left_out, ["lanes, which only the node's own configuration file can say"]);
        assert_eq!(document.relays.len(), 1);
        assert_eq!(document.relays[0]["input"]["port"], 5);
        assert!(!document.relays[0].contains_key("enabled"), "defaults are not for the file to say");
    }

    #[test]
    fn what_the_api_shows_can_be_given_back() {
        let shown =
            r#"{"tag":"t","relays":[{"name":"a","origin":"api","tag":"x","status":{}},{"name":"b","origin":"file"}]}"#;
        let document = parse("f", shown).unwrap();
        assert_eq!(Value::from(document.relays[0].clone()), serde_json::json!({ "name": "a" }));
        assert_eq!(document.left_out, ["relay b, which stands in the node's configuration file"]);
        let alone = parse("f", r#"{"name":"b","origin":"file"}"#).unwrap();
        assert_eq!(name_of(&alone.relays[0]), "b");
    }

    #[test]
    fn what_cannot_be_given_is_refused() {
        let told = |text: &str| format!("{:#}", parse("f", text).unwrap_err());
        assert!(told(&ONE.replace("239.1.1.1", "10.1.1.1-2")).starts_with("f:3: relay \"a\" input.group: "));
        assert!(told(&ONE.replace("= 5", "= '5-6'")).starts_with("relay \"a\" is a range of 2, and relays of the API"));
        assert!(told("{").starts_with("f is not valid JSON: "));
        assert_eq!(
            told("[{}, 1]".replace("{}", "{\"name\":\"a\"}").as_str()),
            "f: relay[1] is not an object: put it in { }"
        );
        assert_eq!(told("{\"relays\":1}"), "f: relays is not a list: put it in [ ]");
    }
}
