//! `cargo xtask tidy`: the rules of the house that no compiler knows.

use std::io::Write;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

use self::tree::Tree;

mod common; // relay-common knows no Linux, no clock, no socket
mod layers; // which crate may depend on which
mod paths; // every file that a page names is there
mod shape; // how long a file is, and how it begins
mod tree; // the files, as text
mod unsafe_code; // unsafe has an address
mod advice; // what a text tells to do

/// Check the rules of the house that no compiler knows; docs/ARCHITECTURE.md lists them.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    path: String,
    /// 0 when it is about the whole file.
    line: usize,
    what: String,
}

impl Fault {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

struct Check {
    rule: &'static str,
    find: fn(&Tree) -> Vec<Fault>,
}

const CHECKS: [Check; 8] = [
    Check { rule: "a Rust file has at most 400 lines", find: shape::long_files },
    Check { rule: "a Rust file begins by saying what it is (`//!`)", find: shape::silent_files },
    Check { rule: "unsafe lives at the addresses of docs/ARCHITECTURE.md", find: unsafe_code::strays },
    Check { rule: "relay-common knows no Linux, no clock, no socket: zerocopy only, no std", find: common::effects },
    Check { rule: "the inner crates of relay-userspace depend in one direction", find: layers::upward },
    Check { rule: "the two ways in README.md name files that exist", find: paths::ways },
    Check { rule: "every file that README.md, CONTRIBUTING.md and docs/ name exists", find: paths::named_files },
    Check {
        rule: "advice names its command: `mcr restart` keeps the lanes, `mcr stop` ends them",
        find: advice::vague,
    },
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tree = Tree::read(workspace.root())?;
    let mut out = std::io::stdout().lock();
    let mut broken = 0;
    for Check { rule, find } in CHECKS {
        let faults = find(&tree);
        writeln!(out, "{} {rule}", if faults.is_empty() { "ok    " } else { "BROKEN" })?;
        for Fault { path, line, what } in &faults {
            writeln!(out, "         {path}:{line}: {what}")?;
        }
        broken += usize::from(!faults.is_empty());
    }
    if broken > 0 {
        bail!("{broken} of {} rules of the house are broken", CHECKS.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
