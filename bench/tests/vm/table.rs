//! The table of what was proved: a line for each case, which xtask prints in the end.

use std::fmt::Write;

use anyhow::{Result, ensure};

use crate::guest::Guest;
use crate::parts::Parts;
use crate::play::{Case, Played};

/// Characters of a reason.
const WHY: usize = 160;

/// The lines of one guest, and what failed in it.
#[derive(Debug)]
pub(crate) struct Table {
    guest: &'static str,
    driver: &'static str,
    kernel: String,
    lines: String,
    failures: Vec<String>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(guest: &'static str, driver: &'static str, kernel: &str) -> Self {
        Self { guest, driver, kernel: kernel.to_owned(), lines: String::new(), failures: Vec::new() }
    }

    /// Enters how a case with streams ended.
    pub(crate) fn played(&mut self, case: &Case, played: Result<Played>) {
        match played {
            Ok(played) => {
                let copies = if played.calls.are_told() { played.calls.copying().to_string() } else { "-".to_owned() };
                let mode = |(link, zero_copy): &(&str, bool)| {
                    format!("{link} {}", if *zero_copy { "zero-copy" } else { "copy" })
                };
                let modes: Vec<String> = case.links.iter().map(mode).collect();
                self.line(
                    case.name,
                    &modes.join(", "),
                    &played.sent().to_string(),
                    &played.lost().to_string(),
                    &copies,
                );
            }
            Err(error) => self.failed(case.name, &error),
        }
    }

    /// Enters how a case without streams ended: what was seen, in words.
    pub(crate) fn seen(&mut self, case: &str, seen: Result<String>) {
        match seen {
            Ok(seen) => self.line(case, &seen, "-", "-", "-"),
            Err(error) => self.failed(case, &error),
        }
    }

    /// Enters a case that cannot be played here.
    pub(crate) fn skipped(&mut self, case: &str, why: &str) {
        self.line(case, &format!("skipped: {why}"), "-", "-", "-");
    }

    /// Writes the table down where no guest was needed.
    pub(crate) fn close_without_guest(self, parts: &Parts) -> Result<()> {
        parts.write_table(self.guest, &self.lines)
    }

    /// Writes the table down; an error, with the guest's console, when a case failed.
    pub(crate) fn close(self, parts: &Parts, guest: &Guest) -> Result<()> {
        parts.write_table(self.guest, &self.lines)?;
        let failures = self.failures.join("\n\n");
        ensure!(failures.is_empty(), "{failures}\n\nthe guest's console:\n{}", guest.console());
        Ok(())
    }

    fn failed(&mut self, case: &str, error: &anyhow::Error) {
        // What went wrong first, short: the log of a long run may keep no more than its end.
        let why = error.root_cause().to_string();
        let why: String = why.lines().next().unwrap_or_default().replace('\t', " ").chars().take(WHY).collect();
        self.line(case, &format!("FAILED: {why}"), "-", "-", "-");
        self.failures.push(format!("{case}: {error:#}"));
    }

    fn line(&mut self, case: &str, mode: &str, frames: &str, lost: &str, copies: &str) {
        let Self { driver, kernel, .. } = self;
        // Writing to a string cannot fail.
        let _ = writeln!(self.lines, "{case}\t{driver}\t{kernel}\t{mode}\t{frames}\t{lost}\t{copies}");
    }
}

/// What a guest's kernel says when the emulator is at fault, and what that is. No program in the guest can bring these about.
const EMULATOR_AT_FAULT: [(&str, &str); 2] = [
    // The kernel changes its own instructions while other processors run them, by way of a breakpoint (int3).
    ("Oops: int3", "an emulated processor met a breakpoint that was gone by then"),
    // An idle processor sets its timer once and sleeps. Without that one interrupt it sleeps for ever.
    ("Possible timer handling issue on cpu=", "an emulated processor lost its timer's interrupt"),
];

/// Plays what a guest has to show, and once more in another guest if the emulator was at fault.
pub(crate) fn in_a_guest(play: impl Fn() -> Result<()>) {
    let Err(error) = play() else { return };
    let error = format!("{error:#}");
    let fault = EMULATOR_AT_FAULT.iter().find(|(sign, _)| error.contains(sign));
    let Some((_, what)) = fault else { panic!("{error}") };
    eprintln!("played once more, for {what}: {error}");
    play().unwrap();
}

#[test]
fn only_what_the_emulator_did_is_played_once_more() {
    let played = std::cell::Cell::new(0);
    let fails_first = |error: &'static str| {
        in_a_guest(|| {
            played.set(played.get() + 1);
            ensure!(played.get() > 1, error);
            Ok(())
        });
    };
    fails_first("console: rcu: Possible timer handling issue on cpu=0 timer-softirq=9408");
    assert_eq!(played.get(), 2);

    played.set(0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fails_first("1 packet lost")));
    assert!(caught.is_err() && played.get() == 1, "played {} times", played.get());
}
