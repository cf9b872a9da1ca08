//! `/metrics`: everything that is counted, in Prometheus' text format or, when asked for, in OpenMetrics.
//!
//! [`families`] is the one list of what there is: a new counter is one line there. The page docs/metrics.md is made
//! from it.

mod exposition; // how the two formats write a line
mod family; // what a family is and where its numbers stand
mod scrape; // what is read once for all families
mod table; // all families

pub use exposition::Format;
pub use family::{Family, Type};
pub use table::families;

use super::Requests;
use crate::control::desk::Desk;
use exposition::Exposition;
use relay_common::decide::Verdict;
use scrape::Scrape;
use std::fmt;
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

/// Everything that is counted, as text.
#[must_use]
pub fn write(desk: &Desk, sources: &Sources, format: Format, now: u64) -> String {
    let view = desk.view();
    Scrape::new(desk, &view, sources, now).write(format)
}

impl Scrape<'_> {
    fn write(&self, format: Format) -> String {
        let mut out = Exposition::new(format);
        for family in families() {
            family.write(self, &mut out);
        }
        out.finish()
    }
}

#[cfg(test)]
mod tests;
