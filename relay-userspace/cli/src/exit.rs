//! How a command ends: its exit code, which scripts rely on.

use super::failure::Failure;
use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was done.
    Done = 0,
    /// It was refused or failed, or what was asked about is not well.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Control cannot be reached, or does not answer in time.
    Unreachable = 3,
    /// There was nothing to change, and the caller wants to know.
    Nothing = 4,
}

impl Exit {
    /// How a command ends that failed so.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Failure>() {
            Some(Failure::Unreachable(_) | Failure::Silent(_)) => Self::Unreachable,
            Some(Failure::Usage(_)) => Self::Usage,
            Some(Failure::Refused(_)) | None => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
