//! What a run says, and what two of them say of each other.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use bench::measure::compare;
use bench::measure::document;
use bench::measure::page;
use bench::measure::results::Results;

/// Makes the document and the plots of a run.
pub(crate) fn render(json: &Path, docs: &Path) -> Result<()> {
    tell(&page::write_run(&Results::read(json)?, docs)?);
    Ok(())
}

/// Makes the documents and the plots of what is kept.
pub(crate) fn render_kept(kept: &Path, docs: &Path) -> Result<()> {
    tell(&page::write_all(&page::kept(kept)?, docs)?);
    Ok(())
}

fn tell(written: &[PathBuf]) {
    for file in written {
        eprintln!("bench: wrote {}", file.display());
    }
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
