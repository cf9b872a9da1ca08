//! bench/instructions.toml: how many instructions each case took, with which compiler, and why so many.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// A compiler's or a C library's patch may move a count by so much; less than this nobody needs to explain.
const TOLERANCE: f64 = 0.02;

/// The compiler whose code was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Compiler {
    pub(super) rustc: String,
    pub(super) host: String,
}

impl Compiler {
    /// Reads what `rustc -vV` says.
    pub(super) fn parse(about: &str) -> Self {
        let line = |start: &str| about.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_default().to_owned();
        Self { rustc: line("rustc "), host: line("host: ") }
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rustc {} for {}", self.rustc, self.host)
    }
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Case {
    pub(super) name: String,
    /// For each packet or relay; 0 in a new case, which is yet to be recorded.
    pub(super) instructions: f64,
    pub(super) reason: String,
}

/// The whole file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// The lines before the first key: how to read the rest.
    preface: String,
    pub(super) compiler: Compiler,
    pub(super) cases: Vec<Case>,
}

/// How a count compares with what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Grew,
    Shrank,
}

impl Verdict {
    pub(super) fn is_failure(self) -> bool {
        self == Self::Grew
    }

    pub(super) fn is_change(self) -> bool {
        self != Self::Same
    }

    /// One line for people.
    pub(super) fn line(self, case: &Case, counted: f64) -> String {
        let word = match self {
            Self::Same => "ok",
            Self::Grew if case.instructions == 0.0 => "new",
            Self::Grew => "GREW",
            Self::Shrank => "fell",
        };
        let hint = if self == Self::Shrank { ": --record it, so that it stays" } else { "" };
        format!("{word:6} {:36} {counted:>10.1} recorded {:>10.1}{hint}", case.name, case.instructions)
    }
}

impl Case {
    fn parse(case: &toml::Table) -> Result<Self> {
        let text = |key: &str| case.get(key).and_then(|value| value.as_str()).unwrap_or_default().trim().to_owned();
        let name = text("name");
        ensure!(!name.is_empty(), "a case has no name");
        let instructions = match case.get("instructions") {
            None => 0.0,
            Some(toml::Value::Float(number)) => *number,
            Some(toml::Value::Integer(number)) => *number as f64,
            Some(other) => bail!("instructions of \"{name}\" must be a number, not {other}"),
        };
        if let Some(key) = case.keys().find(|key| !["name", "instructions", "reason"].contains(&key.as_str())) {
            bail!("\"{name}\" has a key \"{key}\" that means nothing");
        }
        Ok(Self { name, instructions, reason: text("reason") })
    }

    pub(super) fn judge(&self, counted: f64) -> Verdict {
        if counted > self.instructions * (1.0 + TOLERANCE) {
            Verdict::Grew
        } else if counted < self.instructions * (1.0 - TOLERANCE) {
            Verdict::Shrank
        } else {
            Verdict::Same
        }
    }
}

impl Record {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse()?;
        let key = |key: &str| table.get(key).and_then(|value| value.as_str()).map(str::to_owned);
        let compiler =
            Compiler { rustc: key("rustc").context("no key rustc")?, host: key("host").context("no key host")? };
        let cases = table.get("case").and_then(|cases| cases.as_array()).context("no case")?;
        let cases = cases.iter().map(|case| Case::parse(case.as_table().context("a case is a table: [[case]]")?));
        let cases = cases.collect::<Result<Vec<_>>>()?;
        for (i, case) in cases.iter().enumerate() {
            ensure!(cases[..i].iter().all(|other| other.name != case.name), "\"{}\" is there twice", case.name);
        }
        let preface = text.lines().take_while(|line| line.is_empty() || line.starts_with('#'));
        let preface = preface.map(|line| format!("{line}\n")).collect();
        Ok(Self { preface, compiler, cases })
    }

    /// Refuses a number that nobody has explained, and a case without a number.
    pub(super) fn complete(&self) -> Result<()> {
        let unexplained: Vec<&str> = self.unexplained().collect();
        ensure!(unexplained.is_empty(), "write a reason for: {}", unexplained.join("; "));
        let unknown: Vec<&str> = self.cases.iter().filter(|c| c.instructions <= 0.0).map(|c| c.name.as_str()).collect();
        ensure!(unknown.is_empty(), "no number yet (cargo xtask test instructions --record): {}", unknown.join("; "));
        Ok(())
    }

    /// Cases without a reason.
    pub(super) fn unexplained(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().filter(|case| case.reason.is_empty()).map(|case| case.name.as_str())
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let Self { preface, compiler: Compiler { rustc, host }, cases } = self;
        let mut file = format!("{preface}rustc = {}\nhost = {}\n", quoted(rustc), quoted(host));
        for Case { name, instructions, reason } in cases {
            let (name, reason) = (quoted(name), quoted(reason));
            file += &format!("\n[[case]]\nname = {name}\ninstructions = {instructions:.1}\nreason = {reason}\n");
        }
        file
    }
}

#[cfg(test)]
mod tests;
