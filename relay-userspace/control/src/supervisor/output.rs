//! What lanes write on their standard error: a pipe for each lane, which control reads and nobody waits for.
//!
//! A lane writes when it cannot start or panics, and then it must not be held up: its end of the pipe never waits. What is
//! in the pipe outlives control, because each lane holds the other end for the next control; so a lane never writes
//! to a pipe that nobody can read from, either.

use crate::events::logging;
use crate::vault::{Held, Vault, tag};
use anyhow::ensure;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{pipe2, read};
use relay_common::written::{Line, Written};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// So much is read at one look: as much as a pipe holds. A lane that writes more waits for nobody, and loses it.
const MOST: usize = 64 << 10;

/// The pipe of one lane, whichever process the lane is.
#[derive(Debug)]
pub(super) struct Output {
    /// The end to read from.
    pipe: Arc<OwnedFd>,
    written: Written,
}

impl Output {
    /// The pipe of each lane: what lanes hold of a control before, or a new one, which the vault holds from now on.
    pub(super) fn of_lanes(n_lanes: u32, vault: &mut Vault) -> io::Result<Vec<Self>> {
        let one = |lane: u32| {
            let tag = tag::STDERR + u64::from(lane);
            let held = vault.0.get(&tag).map(|held| Arc::clone(&held.fd));
            let pipe = match held.filter(|held| check(held.as_fd()).is_ok()) {
                Some(held) => held,
                None => {
                    let (end, _) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
                    let end = Arc::new(end);
                    vault.0.insert(tag, Held { fd: Arc::clone(&end), note: "stderr".to_owned() });
                    end
                }
            };
            Ok(Self { pipe, written: Written::default() })
        };
        (0..n_lanes).map(one).collect()
    }

    /// The end that a lane writes to. Each process has one of its own, so that nothing that is done to it concerns another.
    pub(super) fn end_to_write(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.pipe.as_raw_fd());
        Ok(open(path.as_str(), OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty())?)
    }

    /// Reads what is there, and says the lines that may be said.
    pub(super) fn hear(&mut self, now: u64) -> Vec<Line> {
        let (mut lines, mut bytes, mut had) = (Vec::new(), [0; 4096], 0);
        while had < MOST {
            // That there is nothing now, or nobody any more who could write.
            let Ok(n @ 1..) = read(&*self.pipe, &mut bytes) else { break };
            had += n;
            lines.extend(self.written.add(&bytes[..n], now));
        }
        lines.extend(self.written.due(now));
        logging::count_dropped(self.written.take_dropped());
        lines
    }

    /// The same when the process has ended: what it began to write is a line, too.
    pub(super) fn hear_the_last(&mut self, now: u64) -> Vec<Line> {
        let mut lines = self.hear(now);
        lines.extend(self.written.end(now));
        logging::count_dropped(self.written.take_dropped());
        lines
    }

    /// By what the kernel knows the pipe.
    pub(super) fn inode(&self) -> u64 {
        fstat(&*self.pipe).map_or(0, |found| found.st_ino)
    }
}

/// Whether a descriptor that a lane has held can be the end of a pipe of this user. Reading from it never waits then.
fn check(held: BorrowedFd<'_>) -> anyhow::Result<()> {
    let found = fstat(held)?;
    let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
    let own = nix::unistd::geteuid().as_raw();
    ensure!((kind, found.st_uid) == (SFlag::S_IFIFO, own), "it is no pipe of ours");
    let how = OFlag::from_bits_truncate(fcntl(held, FcntlArg::F_GETFL)?);
    ensure!(how & OFlag::O_ACCMODE == OFlag::O_RDONLY, "it is not the end to read from");
    fcntl(held, FcntlArg::F_SETFL(how | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MOST, Output};
    use crate::vault::{Held, Vault, tag};
    use std::fs::File;
    use std::io::{ErrorKind, Write as _};
    use std::sync::Arc;

    fn texts(lines: Vec<super::Line>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn what_was_written_while_nobody_read_is_heard_by_the_next() {
        let mut vault = Vault::default();
        let of_first = Output::of_lanes(2, &mut vault).unwrap();
        let mut lane = File::from(of_first[1].end_to_write().unwrap());
        // The first control is gone; lanes hold what was in the vault.
        drop(of_first);
        lane.write_all(b"thread 'main' panicked\nover").unwrap();
        let mut of_next = Output::of_lanes(2, &mut vault).unwrap();
        assert_eq!(texts(of_next[0].hear(1)), [""; 0]);
        assert_eq!(texts(of_next[1].hear(1)), ["thread 'main' panicked"]);
        drop(lane);
        let mut again = File::from(of_next[1].end_to_write().unwrap());
        assert_eq!(texts(of_next[1].hear_the_last(1)), ["over"]);
        again.write_all(b"the next life\n").unwrap();
        assert_eq!(texts(of_next[1].hear(1)), ["the next life"]);
    }

    #[test]
    fn a_lane_that_writes_without_end_waits_for_nobody_and_nobody_for_it() {
        let mut outputs = Output::of_lanes(1, &mut Vault::default()).unwrap();
        let mut lane = File::from(outputs[0].end_to_write().unwrap());
        let flood = [b'\n'; MOST];
        assert_eq!(lane.write(&flood).unwrap(), MOST);
        assert_eq!(lane.write(&flood).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(texts(outputs[0].hear(1)), [""; 0]);
        lane.write_all(b"still here\n").unwrap();
        assert_eq!(texts(outputs[0].hear(1)), ["still here"]);
    }

    #[test]
    fn what_is_no_pipe_is_not_read_from() {
        let tag = tag::STDERR;
        let writes = |file: &str| File::options().write(true).open(file).unwrap().into();
        let (reads, other_end) = nix::unistd::pipe().unwrap();
        for wrong in [writes("/dev/null"), File::open("/dev/zero").unwrap().into(), other_end] {
            let wrong = Arc::new(wrong);
            let mut vault = Vault([(tag, Held { fd: Arc::clone(&wrong), note: String::new() })].into());
            Output::of_lanes(1, &mut vault).unwrap();
            assert!(!Arc::ptr_eq(&vault.0[&tag].fd, &wrong), "it was taken");
        }
        let right = Arc::new(reads);
        let mut vault = Vault([(tag, Held { fd: Arc::clone(&right), note: String::new() })].into());
        Output::of_lanes(1, &mut vault).unwrap();
        assert!(Arc::ptr_eq(&vault.0[&tag].fd, &right));
    }
}
