//! Running a program, and saying so: a line before, the time after, the whole command when it fails.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::clock::Stopwatch;

/// A test that takes so many seconds is slow.
const SLOW: f64 = 2.0;

/// Runs `command`, which is `what` in words for people.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<()> {
    timed(what, || {
        let status = command.status().with_context(|| cannot_start(command))?;
        if !status.success() {
            bail!("{what}: `{}` failed ({status})", shown(command));
        }
        Ok(())
    })
}

/// Says `what` is being done, does it, says how long it took.
pub(crate) fn timed<T>(what: &str, doing: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("xtask: {what} …");
    let stopwatch = Stopwatch::start();
    let done = doing()?;
    eprintln!("xtask: {what}: done in {:.1} s", stopwatch.elapsed().as_secs_f64());
    Ok(done)
}

/// What `command` writes to its standard output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::piped()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", shown(command), output.status, complaint.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` did not print UTF-8", shown(command)))
}

/// Whether `command` succeeds; what it prints is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Runs `command` in sight of the user, and keeps what it wrote to its standard output.
pub(crate) fn watch(command: &mut Command) -> Result<(ExitStatus, String)> {
    watch_as("", command)
}

/// The same, each line shown behind `prefix`: for programs that run side by side. What a slow test took is shown too.
pub(crate) fn watch_as(prefix: &str, command: &mut Command) -> Result<(ExitStatus, String)> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let mut seen = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut since = Stopwatch::start();
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context("cannot read what the program prints")?;
            let took = slow_test(&line, since.elapsed().as_secs_f64());
            since = Stopwatch::start();
            let shown = [prefix.as_bytes(), &line, took.as_bytes(), b"\n"].concat();
            std::io::stdout().lock().write_all(&shown)?;
            seen.push_str(&String::from_utf8_lossy(&line));
            seen.push('\n');
        }
    }
    let status = child.wait().with_context(|| format!("`{}` cannot be waited for", shown(command)))?;
    Ok((status, seen))
}

/// What to say of the time of a test that has just ended. Tests that run one at a time end a line each.
fn slow_test(line: &[u8], seconds: f64) -> String {
    if line.starts_with(b"test ") && seconds >= SLOW { format!(" ({seconds:.1} s)") } else { String::new() }
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", shown(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_names_the_whole_command() {
        let error = step("trying", Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "trying: `sh -c exit 3` failed (exit status: 3)");
    }

    #[test]
    fn a_watched_program_gives_its_status_and_its_words() {
        let (status, seen) = watch(Command::new("sh").args(["-c", "printf 'one\\ntwo'; exit 1"])).unwrap();
        assert_eq!((status.code(), seen.as_str()), (Some(1), "one\ntwo\n"));
    }

    #[test]
    fn a_slow_test_is_shown_with_its_time() {
        assert_eq!(slow_test(b"test a::b ... ok", 2.46), " (2.5 s)");
        assert_eq!(slow_test(b"test a::b ... ok", 0.1) + &slow_test(b"running 3 tests", 9.0), "");
    }

    #[test]
    fn what_cannot_start_is_named() {
        let error = capture(&mut Command::new("mcr-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("cannot start `mcr-no-such-program`"), "{error}");
    }
}
