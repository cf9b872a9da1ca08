//! What is wrong with a configuration: where, what, and what to do.

use serde::Serialize;
use std::fmt;

/// Errors that are told at once. Nobody mends more before asking again, and a stranger's body must not become a
/// hundred times its own length.
const MOST: usize = 1000;

/// One error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The line, from 1; none where the whole file is meant or where there are no lines.
    pub line: Option<usize>,
    /// The key, as in `relay "channel-1" outputs[0].group`; empty where the whole file is meant.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// All errors of one configuration, in the order of their lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Errors {
    /// The file; empty where it is none.
    pub file: String,
    /// The errors.
    pub errors: Vec<ConfigError>,
}

/// Where something was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) line: Option<usize>,
    pub(super) key: String,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What is wrong with a value, apart from its place.
#[derive(Debug)]
pub(super) struct Fault {
    problem: String,
    remedy: String,
}

impl Fault {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }

    /// The error that this is at a key of no file.
    pub(super) fn at(self, key: String) -> ConfigError {
        ConfigError { line: None, key, problem: self.problem, remedy: self.remedy }
    }
}

impl Errors {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new() }
    }

    /// The errors of what is no file: each tells its key, and no place.
    pub(super) fn of_no_file() -> Self {
        Self::new("")
    }

    /// Errors that were found by themselves, of no file.
    #[must_use]
    pub fn of(errors: Vec<ConfigError>) -> Self {
        Self { errors, ..Self::of_no_file() }
    }

    /// Where an error stands, as `relay.toml:7`; nowhere when it is of no file.
    #[must_use]
    pub fn place(&self, error: &ConfigError) -> Option<String> {
        let line = error.line.map_or_else(String::new, |line| format!(":{line}"));
        (!self.file.is_empty()).then(|| format!("{}{line}", self.file))
    }

    pub(super) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "create it, or name another file",
            std::io::ErrorKind::PermissionDenied => "let the user that runs mcr read it",
            _ => "name a file that can be read",
        };
        let mut errors = Self::new(file);
        errors.add(&Place::default(), Fault::new(format!("cannot be read: {error}"), remedy));
        errors
    }

    pub(super) fn not_text(file: &str, bytes: &[u8], valid: usize) -> Self {
        let line = Some(1 + bytes[..valid].iter().filter(|byte| **byte == b'\n').count());
        let mut errors = Self::new(file);
        errors.add(&Place { line, key: String::new() }, Fault::new("is not UTF-8 text", "save the file as UTF-8"));
        errors
    }

    pub(super) fn add(&mut self, place: &Place, fault: Fault) {
        let Place { line, key } = place.clone();
        let problem = match self.errors.len() {
            MOST => "is not all: there are more errors".to_owned(),
            n if n > MOST => return,
            _ => return self.errors.push(ConfigError { line, key, problem: fault.problem, remedy: fault.remedy }),
        };
        self.errors.push(ConfigError { line, key: String::new(), problem, remedy: "mend these first".to_owned() });
    }

    /// The value, if nothing is wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.errors.is_empty() { Ok(value) } else { Err(self.sorted()) }
    }

    /// The same in the order of their lines.
    pub(super) fn sorted(mut self) -> Self {
        self.errors.sort_by_key(|error| error.line);
        // What is not closed makes one who reads on complain of the same again and again.
        self.errors.dedup();
        self
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            if let Some(place) = self.place(error) {
                write!(f, "{place}: ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}

impl std::error::Error for Errors {}
