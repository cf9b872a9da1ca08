//! What people know a relay by, besides its name: labels and a description.

use super::error::{Errors, Fault, Place};
use super::section::text;
use super::value::{Kind, Value};
use relay_common::label::{Labels, MAX_DESCRIPTION, MAX_KEY, MAX_LABELS, MAX_VALUE, is_description, is_key, is_value};

/// Reads the labels of a relay; those that are wrong are noted and left out.
pub(super) fn labels(value: &Value, path: &str, errors: &mut Errors) -> Labels {
    let Kind::Table(entries) = &value.kind else {
        let remedy = "write keys and values in { }, as in { group = \"news\" }";
        let place = Place { line: value.line, key: path.to_owned() };
        errors.add(&place, Fault::new(format!("is {}, not a table", value.kind_name()), remedy));
        return Labels::new();
    };
    if entries.len() > MAX_LABELS {
        let fault = Fault::new(format!("has {} labels", entries.len()), format!("keep at most {MAX_LABELS}"));
        errors.add(&Place { line: value.line, key: path.to_owned() }, fault);
        return Labels::new();
    }
    let mut labels = Labels::new();
    for (key, line, value) in entries {
        match label(key, value) {
            Ok(value) => _ = labels.insert(key.clone(), value),
            Err(fault) => errors.add(&Place { line: *line, key: format!("{path}.{}", short(key)) }, fault),
        }
    }
    labels
}

fn label(key: &str, value: &Value) -> Result<String, Fault> {
    if !is_key(key) {
        let problem = format!("\"{}\" cannot be the key of a label", short(key));
        return Err(Fault::new(problem, format!("use up to {MAX_KEY} letters, digits and '_', the first a letter")));
    }
    let value = text(value)?;
    if is_value(value) {
        return Ok(value.to_owned());
    }
    let problem = match value.chars().count() {
        0 => "is empty".to_owned(),
        n if n > MAX_VALUE => format!("has {n} characters"),
        _ => format!("\"{value}\" cannot be the value of a label"),
    };
    Err(Fault::new(problem, format!("use 1 to {MAX_VALUE} letters, digits, and any of - _ . : / @ +")))
}

/// A stranger can send a key of a megabyte.
fn short(key: &str) -> String {
    if key.chars().count() > MAX_KEY { key.chars().take(MAX_KEY).chain(['…']).collect() } else { key.to_owned() }
}

/// Reads the description of a relay.
pub(super) fn description(value: &Value) -> Result<String, Fault> {
    let text = text(value)?;
    if is_description(text) {
        return Ok(text.to_owned());
    }
    let remedy = format!("write one line of at most {MAX_DESCRIPTION} characters");
    match text.chars().count() {
        n if n > MAX_DESCRIPTION => Err(Fault::new(format!("has {n} characters"), remedy)),
        _ => Err(Fault::new("has a line break, a tab or another control character", remedy)),
    }
}

#[cfg(test)]
mod tests {
    use crate::{parse, parse_relay, relay_to_json};
    use std::fmt::Write as _;

    fn file(lines: &str) -> String {
        format!(
            "[[relay]]\nname = 'a'\n{lines}\ninput = {{ interface = 'in0', group = '239.1.1.1', port = 5 }}\n\
             outputs = [{{ interface = 'out0', group = '239.2.1.1', port = 6 }}]\n"
        )
    }

    #[test]
    fn labels_and_description_are_read_and_told() {
        let text = file("description = 'News HD'\nlabels = { group = 'news', site = 'salford-1' }");
        let relay = parse("f", &text).unwrap().plan.relays.remove(0);
        assert_eq!(relay.description, "News HD");
        assert_eq!(
            relay.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
            ["group=news", "site=salford-1"]
        );
        assert_eq!(parse_relay(&relay_to_json(&relay)).unwrap(), [relay]);
    }

    #[test]
    fn every_relay_of_a_range_has_them() {
        let text =
            file("labels = { group = 'news' }").replace("239.1.1.1", "239.1.1.0-1").replace("239.2.1.1", "239.2.1.0-1");
        let relays = parse("f", &text).unwrap().plan.relays;
        assert!(relays.len() == 2 && relays.iter().all(|relay| relay.labels["group"] == "news"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_its_key_and_a_remedy() {
        let told = |lines: &str| parse("f", &file(lines)).unwrap_err().to_string();
        let value = "use 1 to 63 letters, digits, and any of - _ . : / @ +";
        let key = "use up to 32 letters, digits and '_', the first a letter";
        for (lines, said) in [
            ("labels = 'news'", "f:3: relay \"a\" labels: is a text, not a table: write keys and values in { }, as in { group = \"news\" }".to_owned()),
            ("labels = { group = 7 }", "f:3: relay \"a\" labels.group: is a number, not a text: put it in quotes".to_owned()),
            ("[relay.labels]\ngroup = ''\n[[relay]]\nname='b'", format!("f:4: relay \"a\" labels.group: is empty: {value}")),
            ("labels = { group = 'a b' }", format!("f:3: relay \"a\" labels.group: \"a b\" cannot be the value of a label: {value}")),
            ("labels = { 'a-b' = 'c' }", format!("f:3: relay \"a\" labels.a-b: \"a-b\" cannot be the key of a label: {key}")),
            ("description = \"a\\nb\"", "f:3: relay \"a\" description: has a line break, a tab or another control character: write one line of at most 256 characters".to_owned()),
        ] {
            assert!(told(lines).contains(&said), "{}", told(lines));
        }
        let long = "v".repeat(64);
        assert!(told(&format!("labels = {{ group = '{long}' }}")).contains("labels.group: has 64 characters"));
        assert!(told(&format!("description = '{}'", "é".repeat(257))).contains("description: has 257 characters"));
        let many = (0..17).fold(String::new(), |mut text, i| {
            let _ = write!(text, "{}l{i} = 'a'", if i > 0 { ", " } else { "" });
            text
        });
        assert!(
            told(&format!("labels = {{ {many} }}")).contains("f:3: relay \"a\" labels: has 17 labels: keep at most 16")
        );
    }
}
