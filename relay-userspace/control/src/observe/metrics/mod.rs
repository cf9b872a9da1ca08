//! `/metrics`: everything that is counted, in Prometheus' text format or, when asked for, in OpenMetrics.
//!
//! [`families`] is the one list of what there is: a new counter is one line there. The page docs/metrics.md is made
//! from it.

mod exposition; // how the two formats write a line
mod family; // what a family is and where its numbers stand
mod process; // what control's process takes
mod scrape; // what is read once for all families
mod table; // all families

pub use exposition::Format;
pub use family::{Family, Type};
pub use table::families;

use super::Requests;
use crate::desk::Desk;
use exposition::Exposition;
use relay_common::decide::Verdict;
use scrape::Scrape;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Reads what the XDP program decided, by verdict. Nothing when the kernel does not answer.
pub type Verdicts = Arc<dyn Fn() -> Vec<(Verdict, u64)> + Send + Sync>;

/// What can be measured of a node besides what control shows.
#[derive(Clone)]
pub struct Sources {
    /// The verdicts of the XDP program.
    pub verdicts: Verdicts,
    /// What was asked of the API.
    pub requests: Arc<Requests>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("requests", &self.requests).finish_non_exhaustive()
    }
}

/// Writes what is counted in these families.
///
/// # Errors
/// When it cannot be written there.
pub fn write(
    desk: &Desk,
    sources: &Sources,
    families: &[&'static Family],
    format: Format,
    now: u64,
    to: &mut dyn io::Write,
) -> io::Result<()> {
    let view = desk.view();
    Scrape::new(desk, &view, sources, now).write(families, format, to)
}

/// The families that are meant by words, each a name or a pattern with `*`; all by none.
///
/// # Errors
/// When a word means none.
pub fn chosen(words: &[&str]) -> Result<Vec<&'static Family>, String> {
    for word in words {
        if !families().any(|family| family.is_meant(word)) {
            let word: String = word.chars().take(64).collect();
            return Err(format!("family: {word:?} is none of mcr's numbers: /metrics without it lists all there are"));
        }
    }
    let is_meant = |family: &&Family| words.is_empty() || words.iter().any(|word| family.is_meant(word));
    Ok(families().filter(is_meant).collect())
}

impl Scrape<'_> {
    fn write(&self, families: &[&'static Family], format: Format, to: &mut dyn io::Write) -> io::Result<()> {
        let mut out = Exposition::new(format, to);
        for family in families {
            family.write(self, &mut out);
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests;
