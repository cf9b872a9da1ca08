//! Holds the kernel's lock of all network settings (rtnl) for some seconds, from the moment on when one of the kernel's own
//! workers wants it: `hold-rtnl SECONDS FUNCTION FILE`, the function in which that worker waits. It goes on holding until
//! the file is there, so that whoever looks meanwhile has looked in time, however slow the machine is.
//!
//! Two threads hand the lock on to each other, so that a worker that comes finds somebody before it, while others who want
//! the lock get it between two turns.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use std::{env, fs, io};

use anyhow::{Context, Result, ensure};
use bench::clock::Deadline;
use bench::sys::rtnl::Lock;

/// How long a turn is.
const TURN: Duration = Duration::from_millis(50);
/// A worker that has not come by then does not come, and nobody looks for longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    let mut words = env::args().skip(1);
    let mut word = || words.next().context("usage: hold-rtnl SECONDS FUNCTION FILE");
    let (seconds, function, file) = (Duration::from_secs(word()?.parse()?), word()?, PathBuf::from(word()?));
    let (deadline, is_over) = (Deadline::after(PATIENCE), AtomicBool::new(false));
    let take_turns = || -> Result<()> {
        let lock = Lock::new().context("make a page that is missing (userfaultfd)")?;
        while !is_over.load(Ordering::Relaxed) && !deadline.passed() {
            let _held = lock.take().context("take the lock")?;
            thread::sleep(TURN);
            if !is_over.load(Ordering::Relaxed) && waits(&function)? {
                say(&format!("{function} waits"))?;
                thread::sleep(seconds);
                while !file.exists() {
                    ensure!(!deadline.passed(), "{} has not come within {PATIENCE:?}", file.display());
                    thread::sleep(TURN);
                }
                ensure!(waits(&function)?, "{function} has not waited for so long");
                is_over.store(true, Ordering::Relaxed);
                say(&format!("{function} has waited for {seconds:?} and more"))?;
            }
        }
        Ok(())
    };
    say("holding")?;
    thread::scope(|scope| {
        let turns = [scope.spawn(take_turns), scope.spawn(take_turns)];
        turns.into_iter().try_for_each(|turn| turn.join().expect("no thread panics"))
    })?;
    ensure!(is_over.load(Ordering::Relaxed), "{function} has not come within {PATIENCE:?}");
    Ok(())
}

/// Tells whoever started it.
fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Whether one of the kernel's workers is in that function.
fn waits(function: &str) -> Result<bool> {
    let is_worker = |process: &fs::DirEntry| {
        fs::read_to_string(process.path().join("comm")).is_ok_and(|name| name.starts_with("kworker"))
    };
    let stands_in = |process: fs::DirEntry| {
        fs::read_to_string(process.path().join("stack")).is_ok_and(|stack| stack.contains(function))
    };
    Ok(fs::read_dir("/proc")?.flatten().filter(is_worker).any(stands_in))
}
