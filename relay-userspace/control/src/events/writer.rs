//! Lines on their way to standard error. Whoever has something to say puts it here and goes on; a thread of its own writes,
//! and waits for whoever reads. What does not fit meanwhile is left out, counted, and told where it is missing.

use super::logging::count_dropped;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem::take;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// So many bytes wait at most: a start with thousands of relays passes.
const MOST: usize = 4 << 20;

/// Lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Lines {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that did not fit since the last of them.
    missing: u64,
    /// Whether lines that were taken out are not written yet.
    is_writing: bool,
}

impl Lines {
    /// Adds a line; it is left out, and counted, if there is no room.
    pub(super) fn put(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes + line.len() > MOST {
            waiting.missing += 1;
            drop(waiting);
            return count_dropped(1);
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_vec());
        drop(waiting);
        self.changed.notify_all();
    }

    /// Writes all lines to `out` from now on, in a thread of its own that has no rights. `told` makes a line of it that so
    /// many are missing.
    pub(super) fn write_to(
        self: &Arc<Self>,
        mut out: impl Write + AsFd + Send + 'static,
        told: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<()> {
        let lines = Arc::clone(self);
        let write = move || {
            crate::rights::keep_nothing();
            loop {
                let (taken, missing) = lines.take();
                let unwritten = taken.iter().filter(|line| write_all(&mut out, line).is_err()).count();
                count_dropped(unwritten as u64);
                if missing > 0 {
                    let _ = write_all(&mut out, told(missing).as_bytes());
                }
                lines.lock().is_writing = false;
                lines.changed.notify_all();
            }
        };
        thread::Builder::new().name("mcr-log".to_owned()).spawn(write).map(drop)
    }

    /// Waits until everything is written, but no longer than that.
    pub(super) fn flush(&self, patience: Duration) {
        let is_written = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        // What is not written by then is in nobody's way any more.
        drop(self.changed.wait_timeout_while(self.lock(), patience, is_written));
    }

    fn take(&self) -> (VecDeque<Vec<u8>>, u64) {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() && waiting.missing == 0 {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        (waiting.bytes, waiting.is_writing) = (0, true);
        (take(&mut waiting.lines), take(&mut waiting.missing))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As [`Write::write_all`], also where somebody else has made the file one that does not wait.
pub(super) fn write_all(out: &mut (impl Write + AsFd), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives each line that is formatted to the others.
#[derive(Clone, Debug)]
pub(super) struct Put(pub(super) Arc<Lines>);

impl Write for Put {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Put {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, MOST};
    use nix::fcntl::{FcntlArg, fcntl};
    use std::io::{BufRead as _, BufReader};
    use std::sync::Arc;
    use std::time::Duration;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn nobody_waits_for_who_does_not_read_and_what_is_missing_is_told_in_its_place() {
        let lines = Arc::new(Lines::default());
        let (read, write) = std::io::pipe().unwrap();
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        lines.write_to(write, |missing| format!("{missing} are missing\n")).unwrap();
        // Until nothing more fits: what the pipe and the thread have, and what waits.
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let n = 2 * MOST / line.len();
        (0..n).for_each(|_| lines.put(&line));
        lines.flush(Duration::from_millis(1));
        // Somebody reads again: each line is there, or said to be missing where it was.
        let mut read = BufReader::new(read).lines().map(Result::unwrap);
        let (mut written, mut missing) = (0, 0);
        while written + missing < n {
            let line = read.next().unwrap();
            match line.strip_suffix(" are missing") {
                Some(number) => missing += number.parse::<usize>().unwrap(),
                None => written += usize::from(line.starts_with('x')),
            }
        }
        assert!(written >= MOST / line.len() && missing > 0, "{written} of {n}, {missing} are missing");
        assert_eq!(written + missing, n);
        lines.put(b"after that\n");
        assert_eq!(read.next().unwrap(), "after that");
    }

    #[test]
    fn all_is_written_before_the_end_if_somebody_reads() {
        let lines = Arc::new(Lines::default());
        let (read, write) = std::io::pipe().unwrap();
        lines.write_to(write, |missing| format!("{missing} are missing\n")).unwrap();
        (0..100).for_each(|n| lines.put(format!("{n}\n").as_bytes()));
        lines.flush(SOON);
        let waiting = lines.lock();
        assert!(waiting.lines.is_empty() && !waiting.is_writing);
        let last = BufReader::new(read).lines().map(Result::unwrap).find(|line| line == "99");
        assert!(last.is_some());
    }

    #[test]
    fn nobody_who_reads_any_more_is_no_reason_to_wait() {
        let lines = Arc::new(Lines::default());
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        lines.write_to(write, |missing| format!("{missing} are missing\n")).unwrap();
        lines.put(b"to nobody\n");
        lines.flush(SOON);
        assert!(lines.lock().lines.is_empty());
    }
}
