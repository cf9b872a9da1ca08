//! Text as it was written: values with their lines, whether they came as TOML or as JSON.

use super::error::{Errors, Fault, Place};
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

/// A value and its line.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) line: Option<usize>,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Value>),
    /// Keys with their lines.
    Table(Vec<(String, Option<usize>, Value)>),
    /// A date, a time or both.
    Moment(Datetime),
    /// Something that no key of ours takes.
    Other(&'static str),
}

impl Value {
    /// What it is, for people.
    pub(super) const fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Text(_) => "a text",
            Kind::Integer(_) => "a number",
            Kind::Boolean(_) => "a boolean",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
            Kind::Moment(_) => "a date",
            Kind::Other(name) => name,
        }
    }
}

/// Reads TOML. Where the syntax is wrong, only that is told: the rest would be guessed from what is left.
pub(super) fn from_toml(name: &str, text: &str) -> Result<Value, Errors> {
    let mut errors = Errors::new(name);
    let lines = Lines::of(text);
    let (root, wrong) = DeTable::parse_recoverable(text);
    for error in wrong {
        let line = error.span().map(|span| lines.line(&span));
        let problem = format!("is not valid TOML: {}", error.message().trim().replace('\n', ", "));
        errors.add(&Place { line, key: String::new() }, Fault::new(problem, "correct the syntax"));
    }
    errors.or(()).map(|()| table_from_toml(root.get_ref(), None, &lines))
}

fn table_from_toml(table: &DeTable<'_>, line: Option<usize>, lines: &Lines) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let name = key.get_ref().clone().into_owned();
        (name, Some(lines.line(&key.span())), value_from_toml(value.get_ref(), &value.span(), lines))
    });
    Value { line, kind: Kind::Table(entries.collect()) }
}

fn value_from_toml(value: &DeValue<'_>, span: &Range<usize>, lines: &Lines) -> Value {
    let line = Some(lines.line(span));
    let kind = match value {
        DeValue::Table(table) => return table_from_toml(table, line, lines),
        DeValue::String(text) => Kind::Text(text.clone().into_owned()),
        DeValue::Boolean(value) => Kind::Boolean(*value),
        DeValue::Integer(integer) => {
            // A number that is too large for us is too large for every key; its text is not needed for that.
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or(Kind::Integer(i64::MAX), Kind::Integer)
        }
        DeValue::Array(list) => {
            Kind::List(list.iter().map(|value| value_from_toml(value.get_ref(), &value.span(), lines)).collect())
        }
        DeValue::Float(_) => Kind::Other("a number with a fraction"),
        DeValue::Datetime(moment) => Kind::Moment(*moment),
    };
    Value { line, kind }
}

/// Takes over JSON, which has no lines.
pub(super) fn from_json(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::Other("null"),
        Json::Bool(value) => Kind::Boolean(*value),
        Json::Number(number) => number.as_i64().map_or(Kind::Other("not a whole number"), Kind::Integer),
        Json::String(text) => Kind::Text(text.clone()),
        Json::Array(list) => Kind::List(list.iter().map(from_json).collect()),
        Json::Object(map) => {
            Kind::Table(map.iter().map(|(key, value)| (key.clone(), None, from_json(value))).collect())
        }
    };
    Value { line: None, kind }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect())
    }

    fn line(&self, span: &Range<usize>) -> usize {
        1 + self.0.partition_point(|start| *start <= span.start)
    }
}
