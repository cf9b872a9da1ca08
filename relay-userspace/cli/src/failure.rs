//! Why a command could not be carried out, in the words that people read.

use relay_config::model::Problem;
use std::fmt;

/// Why a command could not be carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// Control said no.
    Refused(Box<Problem>),
    /// Control cannot be reached.
    Unreachable(String),
    /// Control is there and does not answer in time.
    Silent(String),
    /// The command line is wrong.
    Usage(String),
}

impl Failure {
    /// A wrong command line.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// The status that control answered with, if it refused.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) | Self::Silent(text) | Self::Usage(text) => f.write_str(text),
            Self::Refused(problem) if problem.errors.is_empty() => f.write_str(&problem.detail),
            // The detail would say the same once more.
            Self::Refused(problem) => {
                let title = problem.title.trim_end_matches('.');
                let first = title.chars().next().map(|c| c.to_ascii_lowercase());
                write!(f, "{}{}:", first.map_or_else(String::new, String::from), title.get(1..).unwrap_or_default())?;
                problem.errors.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_config::model::Fault;

    fn problem(errors: Vec<Fault>) -> Failure {
        Failure::Refused(Box::new(Problem {
            kind: "/problems/invalid".into(),
            title: "What was asked for is wrong.".into(),
            status: 422,
            detail: "all of it in one text".into(),
            change: None,
            errors,
        }))
    }

    #[test]
    fn every_error_has_its_own_line() {
        let fault = |place: Option<&str>, key: &str| Fault {
            place: place.map(str::to_owned),
            key: key.into(),
            problem: "is bad".into(),
            remedy: "mend it".into(),
        };
        assert_eq!(problem(Vec::new()).to_string(), "all of it in one text");
        assert_eq!(
            problem(vec![fault(None, "relay \"a\" input"), fault(Some("a.toml:7"), "")]).to_string(),
            "what was asked for is wrong:\n  relay \"a\" input: is bad: mend it\n  a.toml:7: is bad: mend it"
        );
    }
}
