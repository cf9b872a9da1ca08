//! What a run says, and what two of them say of each other.

use std::path::Path;

use anyhow::Result;
use bench::measure::results::Results;

/// Makes the document and the plots.
pub(crate) fn render(_json: &Path, _docs: &Path) -> Result<()> {
    Ok(())
}

/// Prints the figures in short.
pub(crate) fn summary(_results: &Results) -> Result<()> {
    Ok(())
}

/// Prints what changed.
pub(crate) fn compare(_old: &Path, _new: &Path) -> Result<()> {
    Ok(())
}
