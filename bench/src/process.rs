//! The relay under test: a child process whose lines are read, waited for and shown when something fails.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::Deadline;
use crate::sys;

/// How many of its last lines an error shows.
const LINES_SHOWN: usize = 20;

/// A child is asked to end and has so long before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A child process. It is asked to end on drop, and by the kernel when the thread that started it ends: killed, a
/// relay's control would leave its lanes behind.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Output {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    ended: usize,
}

impl Process {
    /// Starts `command`, whose standard output and standard error are both captured. Start it from a thread that lives
    /// as long as the child should: not inside [`Namespace::run`](crate::Namespace::run), but with
    /// [`Namespace::command`](crate::Namespace::command).
    pub fn start(name: &str, mut command: Command) -> Result<Self> {
        // Ctrl-C is for the one who started this, who then ends the child in order.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::die_with_parent(&mut command);
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let output = Arc::new(Output::default());
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(read_lines(stdout, Arc::clone(&output)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(read_lines(stderr, Arc::clone(&output)));
        }
        Ok(Self { name: name.to_owned(), child, output, readers })
    }

    /// The pid of the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().lines.clone()
    }

    /// How many lines there are so far, for [`wait_for_after`](Self::wait_for_after).
    pub fn mark(&self) -> usize {
        self.output.lock().lines.len()
    }

    /// Waits for a line that contains `text`, those already written included, and returns it.
    pub fn wait_for(&self, text: &str, within: Duration) -> Result<String> {
        self.wait_for_after(0, text, within)
    }

    /// Waits for a line that contains `text` and was written after `mark`.
    pub fn wait_for_after(&self, mark: usize, text: &str, within: Duration) -> Result<String> {
        let deadline = Deadline::after(within);
        let mut written = self.output.lock();
        loop {
            if let Some(line) = written.lines.iter().skip(mark).find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            let last_words = last_lines(&written.lines);
            if written.ended == self.readers.len() {
                bail!("{} ended without saying \"{text}\"; it said:\n{last_words}", self.name);
            }
            if deadline.passed() {
                bail!("{} did not say \"{text}\" within {within:?}; it said:\n{last_words}", self.name);
            }
            let wait = self.output.changed.wait_timeout(written, deadline.remaining());
            written = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Its last lines, for an error.
    pub fn last_words(&self) -> String {
        last_lines(&self.lines())
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("send {signal} to {}", self.name))
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for the end of the process and of its output.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Deadline::after(within);
        loop {
            if let Some(status) = self.child.try_wait()? {
                // Its own children may hold the pipes open for longer; give what is in them a moment, not for ever.
                let grace = Deadline::after(Duration::from_millis(200));
                while self.readers.iter().any(|reader| !reader.is_finished()) && !grace.passed() {
                    thread::sleep(Duration::from_millis(1));
                }
                return Ok(status);
            }
            if deadline.passed() {
                bail!("{} did not end within {within:?}; it said:\n{}", self.name, last_lines(&self.lines()));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks it to end (SIGTERM), waits, and makes anything but success an error that shows its last lines.
    pub fn stop(&mut self, within: Duration) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let status = self.wait(within)?;
        if status.success() {
            return Ok(());
        }
        let how = status.signal().map_or_else(|| status.to_string(), |signal| format!("killed by signal {signal}"));
        bail!("{} did not end well ({how}); it said:\n{}", self.name, last_lines(&self.lines()));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.signal(Signal::SIGTERM).is_ok() {
            self.wait(ENDS_WITHIN).ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_lines(pipe: impl Read + Send + 'static, output: Arc<Output>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            output.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
            output.changed.notify_all();
        }
        output.lock().ended += 1;
        output.changed.notify_all();
    })
}

fn last_lines(lines: &[String]) -> String {
    let shown = lines.get(lines.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default();
    if shown.is_empty() { "    (nothing)".to_owned() } else { format!("    {}", shown.join("\n    ")) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::Process;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("script", command).unwrap()
    }

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn lines_of_both_outputs_are_waited_for() {
        let mut process = shell("echo one; echo two >&2; exec sleep 60");
        assert_eq!(process.wait_for("two", LONG).unwrap(), "two");
        assert_eq!(process.wait_for("one", LONG).unwrap(), "one");
        let error = process.stop(LONG).unwrap_err().to_string();
        assert!(error.contains("signal 15"), "{error}");
    }

    #[test]
    fn a_process_that_ends_silently_is_an_error_with_its_last_words() {
        let process = shell("echo no such interface >&2; exit 3");
        let error = process.wait_for("ready", LONG).unwrap_err().to_string();
        assert!(error.contains("no such interface"), "{error}");
    }

    #[test]
    fn dropping_a_process_ends_it() {
        let process = shell("exec sleep 60");
        let pid = process.pid();
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_process_that_is_dropped_may_tidy_up() {
        let folder = std::env::temp_dir().join(format!("mcr-lab-process-{}", std::process::id()));
        let process = shell(&format!("trap 'echo > {}; exit' TERM; echo set; sleep 60 & wait", folder.display()));
        process.wait_for("set", LONG).unwrap();
        drop(process);
        std::fs::remove_file(folder).unwrap();
    }
}
