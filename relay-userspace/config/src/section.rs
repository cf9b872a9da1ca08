//! Reads one table, key by key, and notes everything that is wrong with it.

use super::error::{At, Errors, Fault, Place};
use super::suggest::nearest;
use super::value::{Kind, Value};

/// A table that is being read.
pub(super) struct Section<'a> {
    entries: &'a [(String, Option<usize>, Value)],
    keys: &'static [&'static str],
    place: Place,
    /// Between the section's own path and a key: a space after a name in quotes, else a dot.
    joint: &'static str,
}

impl<'a> Section<'a> {
    /// Opens a table whose keys are known; unknown ones are noted right away. `None` if it is no table.
    pub(super) fn open(
        value: &'a Value,
        path: &str,
        keys: &'static [&'static str],
        errors: &mut Errors,
    ) -> Option<Self> {
        let place = Place { line: value.line, key: path.to_owned() };
        let Kind::Table(entries) = &value.kind else {
            errors.add(
                &place,
                Fault::new(
                    format!("is {}, not a table", value.kind_name()),
                    "write its keys in { }, or below a heading of its own",
                ),
            );
            return None;
        };
        let joint = if path.is_empty() {
            ""
        } else if path.ends_with('"') {
            " "
        } else {
            "."
        };
        let section = Self { entries, keys, place, joint };
        for (key, line, _) in entries.iter().filter(|(key, ..)| !keys.contains(&key.as_str())) {
            let remedy = nearest(key, keys).map_or_else(
                || format!("remove it; the keys here are {}", keys.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            errors.add(&Place { line: *line, key: section.path(key) }, Fault::new("unknown key", remedy));
        }
        Some(section)
    }

    /// Where the section stands.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// The path of a key of this section.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{}{key}", self.place.key, self.joint)
    }

    /// Where a key stands, or the section if the key is missing.
    pub(super) fn place_of(&self, key: &str) -> Place {
        let line = self.find(key).map_or(self.place.line, |(_, line, _)| *line);
        Place { line, key: self.path(key) }
    }

    /// The value of a key as it was written.
    pub(super) fn value(&self, key: &'static str) -> Option<&'a Value> {
        debug_assert!(self.keys.contains(&key), "{key} is missing in the schema");
        self.find(key).map(|(_, _, value)| value)
    }

    /// Reads an optional key; `None` if it is missing or wrong.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
        errors: &mut Errors,
    ) -> Option<At<T>> {
        let value = self.value(key)?;
        let place = Place { line: value.line, key: self.path(key) };
        match parse(value) {
            Ok(value) => Some(At { value, place }),
            Err(fault) => {
                errors.add(&place, fault);
                None
            }
        }
    }

    /// Reads a key that must be there.
    pub(super) fn require<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
        example: &str,
        errors: &mut Errors,
    ) -> Option<At<T>> {
        if self.value(key).is_none() {
            errors.add(&self.place_of(key), Fault::new("is missing", format!("add {key} = {example}")));
        }
        self.read(key, parse, errors)
    }

    /// Reads a list, element by element; those that are wrong are noted and left out.
    pub(super) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, Fault>,
        errors: &mut Errors,
    ) -> Vec<At<T>> {
        let mut list = Vec::new();
        for (i, value) in self.elements(key, errors).iter().enumerate() {
            let place = Place { line: value.line, key: format!("{}[{i}]", self.path(key)) };
            match parse(value) {
                Ok(value) => list.push(At { value, place }),
                Err(fault) => errors.add(&place, fault),
            }
        }
        list
    }

    /// The elements of a list; none if the key is missing or not a list.
    pub(super) fn elements(&self, key: &'static str, errors: &mut Errors) -> &'a [Value] {
        match self.value(key).map(|value| (value, &value.kind)) {
            None => &[],
            Some((_, Kind::List(list))) => list,
            Some((value, _)) => {
                let place = Place { line: value.line, key: self.path(key) };
                let problem = format!("is {}, not a list", value.kind_name());
                errors.add(&place, Fault::new(problem, "put it in [ ] (or, for a section, its name in [[ ]])"));
                &[]
            }
        }
    }

    fn find(&self, key: &str) -> Option<&'a (String, Option<usize>, Value)> {
        self.entries.iter().find(|(name, ..)| name == key)
    }
}

/// A text.
pub(super) fn text(value: &Value) -> Result<&str, Fault> {
    match &value.kind {
        Kind::Text(text) => Ok(text),
        _ => Err(Fault::new(format!("is {}, not a text", value.kind_name()), "put it in quotes")),
    }
}

/// True or false.
pub(super) fn boolean(value: &Value) -> Result<bool, Fault> {
    match value.kind {
        Kind::Boolean(value) => Ok(value),
        _ => Err(Fault::new(format!("is {}, not a boolean", value.kind_name()), "write true or false, without quotes")),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, Fault> {
    let allowed = || words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let Kind::Text(text) = &value.kind else {
        return Err(Fault::new(format!("is {}, not a text", value.kind_name()), format!("use one of {}", allowed())));
    };
    let found = words.iter().find(|(word, _)| word == text);
    found
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| Fault::new(format!("\"{text}\" is not known here"), format!("use one of {}", allowed())))
}
