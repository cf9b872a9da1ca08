//! A newer binary in the place of this one. Control becomes the new binary (execve keeps its process number, so whoever
//! watches it sees no death), the lanes relay on meanwhile, the new control takes them over and renews them one by one,
//! each at the edge of a batch.

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use relay_common::journal;
use relay_engine::clock::now_ns;
use relay_engine::lane::handoff::PROTOCOL;
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A binary that is asked for its layouts answers in milliseconds.
const ANSWERS_WITHIN_NS: u64 = 2_000_000_000;
/// How often it is looked whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Layouts take a hundred bytes.
const LONGEST: u64 = 64 << 10;

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

/// Asks another binary for its layouts and refuses one that could not take over, or that does not answer in time:
/// that one is ended.
///
/// # Errors
/// Why it cannot, with the remedy.
pub fn check(binary: &Path) -> anyhow::Result<Layouts> {
    ensure!(binary.is_absolute(), "{} is not an absolute path: name the binary by one", binary.display());
    let layouts: Option<Layouts> = ask(binary)?.and_then(|printed| serde_json::from_slice(&printed).ok());
    let Some(layouts) = layouts else {
        bail!("{} does not answer as an mcr: name the newer mcr; this one goes on", binary.display())
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

/// What a binary prints when it is asked for its layouts; nothing when it fails.
fn ask(binary: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let deadline = now_ns() + ANSWERS_WITHIN_NS;
    let left = || Duration::from_nanos(deadline.saturating_sub(now_ns()));
    let late =
        || format!("{} did not answer within {} s: is it mcr?", binary.display(), ANSWERS_WITHIN_NS / 1_000_000_000);
    let (children, started) = mpsc::channel();
    let (pages, printed) = mpsc::channel();
    let path = binary.to_owned();
    let starts = move || {
        let child = start(&path).map(|mut child| (child.stdout.take(), child));
        let (stdout, child) = match child {
            Ok((stdout, child)) => (stdout, Ok(child)),
            Err(error) => (None, Err(error)),
        };
        if let Err(mpsc::SendError(Ok(child))) = children.send(child) {
            // Nobody waits for it any more.
            end(child);
            return;
        }
        let mut page = Vec::new();
        let is_read = stdout.is_some_and(|stdout| stdout.take(LONGEST).read_to_end(&mut page).is_ok());
        let _ = pages.send(if is_read { page } else { Vec::new() });
    };
    // To start it, too, can take for ever: its file may lie where nobody answers.
    thread::Builder::new().name("mcr-layouts".to_owned()).spawn(starts).context("no thread to ask it")?;
    let child = started.recv_timeout(left()).map_err(|_| anyhow::Error::msg(late()))?;
    let mut child = child.with_context(|| format!("cannot start {}: name the newer mcr", binary.display()))?;
    let page = printed.recv_timeout(left()).ok();
    let mut status = child.try_wait()?;
    while page.is_some() && status.is_none() && !left().is_zero() {
        thread::sleep(LOOK_AGAIN);
        status = child.try_wait()?;
    }
    let Some((page, status)) = page.zip(status) else {
        end(child);
        bail!(late());
    };
    Ok(status.success().then_some(page))
}

/// In a process group of its own: what it starts ends with it.
fn start(binary: &Path) -> io::Result<Child> {
    let mut command = Command::new(binary);
    command.arg("layouts").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn()
}

/// Ends a child and what it has started. One that hangs in the kernel is let alone.
fn end(mut child: Child) {
    // It is not buried yet, so nobody else has its number.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
    for _ in 0..100 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use super::{LOOK_AGAIN, Layouts, check};
    use relay_engine::clock::now_ns;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::Duration;

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
        assert!(refused("/bin/true").contains("does not answer as an mcr: name the newer mcr"));
        assert!(refused("/nonexistent/mcr").contains("cannot start /nonexistent/mcr"));
        assert!(refused("mcr").contains("absolute"));
    }

    #[test]
    fn one_that_does_not_answer_is_ended_with_all_that_it_started() {
        let folder = std::env::temp_dir().join(format!("mcr-upgrade-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (script, pids) = (folder.join("mcr"), folder.join("pids"));
        // Neither ends by itself, and the second holds the pipe open.
        let text = format!("#!/bin/sh\nsleep 1000 &\necho $$ $! > {}\nwait\n", pids.display());
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let began = now_ns();
        let refused = format!("{:#}", check(&script).unwrap_err());
        let took = Duration::from_nanos(now_ns() - began);
        assert!(refused.contains("did not answer within 2 s"), "{refused}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        let started = fs::read_to_string(&pids).unwrap();
        let is_there = |pid: &str| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
        };
        // The second was handed to whoever buries orphans.
        while started.split_whitespace().any(is_there) {
            assert!(Duration::from_nanos(now_ns() - began) < Duration::from_secs(20), "{started}");
            std::thread::sleep(LOOK_AGAIN);
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
