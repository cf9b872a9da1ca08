//! What a run says, and what two of them say of each other.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use bench::measure::compare;
use bench::measure::document;
use bench::measure::page;
use bench::measure::results::Results;

/// Makes the document and the plots.
pub(crate) fn render(json: &Path, docs: &Path) -> Result<()> {
    for file in page::write_all(&Results::read(json)?, docs)? {
        eprintln!("bench: wrote {}", file.display());
    }
    Ok(())
}

/// Prints the highest rates, and how many times as much MCR takes.
pub(crate) fn in_short(results: &Results) -> Result<()> {
    Ok(write!(io::stdout().lock(), "{}", document::in_short(results))?)
}

/// Prints what changed.
pub(crate) fn compare(old: &Path, new: &Path) -> Result<ExitCode> {
    let comparison = compare::compare(&Results::read(old)?, &Results::read(new)?);
    write!(io::stdout().lock(), "{comparison}")?;
    Ok(if comparison.has_regressed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
