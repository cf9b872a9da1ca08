//! A newer binary in the place of this one. Control becomes the new binary (execve keeps its process number, so whoever
//! watches it sees no death), the lanes relay on meanwhile, the new control takes them over and renews them one by one,
//! each at the edge of a batch.

use crate::lane::handoff::PROTOCOL;
use anyhow::{Context as _, bail, ensure};
use relay_common::journal;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What must be the same in two binaries for one to take over from the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layouts {
    /// The version, for people.
    pub version: String,
    /// Of the journal and the owner words.
    pub journal: u32,
    /// Of what control and a lane say to each other.
    pub protocol: u32,
}

impl Layouts {
    /// Those of this binary.
    #[must_use]
    pub fn own() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), journal: journal::LAYOUT, protocol: PROTOCOL }
    }

    /// Whether lanes of one can be taken over by a control of the other.
    #[must_use]
    pub const fn fits(&self, other: &Self) -> bool {
        self.journal == other.journal && self.protocol == other.protocol
    }
}

/// What this binary is known by: another file is another binary, also under the same name.
#[must_use]
pub fn own_binary() -> String {
    std::fs::metadata("/proc/self/exe").map_or_else(
        |_| "unknown".to_owned(),
        |file| format!("{}-{}-{}-{}", file.dev(), file.ino(), file.len(), file.mtime_nsec()),
    )
}

/// Asks another binary for its layouts and refuses one that could not take over.
///
/// # Errors
/// Why it cannot, with the remedy.
pub fn check(binary: &Path) -> anyhow::Result<Layouts> {
    ensure!(binary.is_absolute(), "{} is not an absolute path: name the binary by one", binary.display());
    let asked = Command::new(binary).arg("layouts").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let asked = asked.with_context(|| format!("cannot start {}", binary.display()))?;
    let layouts: Option<Layouts> = serde_json::from_slice(&asked.stdout).ok().filter(|_| asked.status.success());
    let Some(layouts) = layouts else {
        bail!("{} is no mcr that can take over: end this one (mcr stop) and start that", binary.display())
    };
    let own = Layouts::own();
    if !own.fits(&layouts) {
        bail!(
            "mcr {} cannot take over from mcr {}: the layouts differ (journal {} and {}, protocol {} and {}); end this \
             one (mcr stop) and start that",
            layouts.version,
            own.version,
            own.journal,
            layouts.journal,
            own.protocol,
            layouts.protocol
        );
    }
    Ok(layouts)
}

/// Becomes another binary, with the arguments that this one was started with. Returns only if that failed.
#[must_use]
pub fn become_binary(binary: &Path) -> std::io::Error {
    Command::new(binary).args(std::env::args_os().skip(1)).exec()
}

#[cfg(test)]
mod tests {
    use super::{Layouts, check};
    use std::path::Path;

    #[test]
    fn only_equal_layouts_fit() {
        let own = Layouts::own();
        assert!(own.fits(&Layouts { version: "9".to_owned(), ..own.clone() }));
        assert!(!own.fits(&Layouts { journal: own.journal + 1, ..own.clone() }));
        assert!(!own.fits(&Layouts { protocol: own.protocol + 1, ..own.clone() }));
    }

    #[test]
    fn what_is_no_mcr_is_refused_with_the_remedy() {
        let refused = |path: &str| format!("{:#}", check(Path::new(path)).unwrap_err());
        assert!(refused("/bin/true").contains("is no mcr that can take over: end this one (mcr stop)"));
        assert!(refused("/nonexistent/mcr").contains("cannot start /nonexistent/mcr"));
        assert!(refused("mcr").contains("absolute"));
    }
}
