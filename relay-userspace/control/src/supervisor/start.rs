//! A lane is started and handed everything, by a thread that may wait.

use crate::lane_user::LaneUser;
use crate::station::{LaneSocket, Station, start_message};
use crate::talk::START_PATIENCE;
use crate::vault::Vault;
use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use relay_common::plan::Lanes;
use relay_engine::clock::now_ns;
use relay_engine::lane::handoff::{self, Message, Refusal, kind, said};
use relay_engine::sys::fd_passing::Waits;
use relay_engine::sys::process;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Why a lane ended is known so soon after it hung up.
const ENDING_PATIENCE: Duration = Duration::from_millis(100);
/// So long after it was killed a process is gone, on the worst of machines.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// Requests that are made before the first of them is answered: fewer than a Unix socket holds at the least
/// (net.unix.max_dgram_qlen), so that neither side waits for the other to read.
const AHEAD: usize = 8;

/// A lane that was started, for whoever talks with it.
#[derive(Debug)]
pub struct Started {
    /// Its process number.
    pub pid: u32,
    /// Its process.
    pub process: OwnedFd,
    /// The connection to it.
    pub socket: OwnedFd,
    /// The number of the last request.
    pub serial: u32,
    /// Which life of the lane this is.
    pub life: u64,
    /// What it is to hold and did not take, by tags.
    pub lacks: Vec<u64>,
}

/// A lane that was started, holds what must outlive control, and waits to be told to go. Nothing of the lane's is its own
/// yet: when control dies it ends.
#[derive(Debug)]
pub(super) struct Next {
    pid: u32,
    process: OwnedFd,
    line: Line,
    number: u32,
}

/// The connection to a lane that is being started.
#[derive(Debug)]
struct Line {
    socket: OwnedFd,
    serial: u32,
    unanswered: VecDeque<Said>,
    /// What was to be held and was not taken, by tags.
    refused: Vec<u64>,
}

/// A request that was not answered yet.
#[derive(Debug)]
struct Said {
    serial: u32,
    /// What is to be held.
    tag: Option<u64>,
}

/// Starts a lane and gives it its memory and what it is to hold. Not all of it is answered when this returns:
/// see [`Next::when_there`].
pub(super) fn prepare(
    station: &Station,
    (lanes, user): (&Lanes, &LaneUser),
    table: BorrowedFd<'_>,
    vault: &Vault,
    stderr: OwnedFd,
) -> anyhow::Result<Next> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).context("no socket pair")?;
    let mut command = Command::new("/proc/self/exe");
    command.arg("lane").arg(station.number.to_string()).stdin(Stdio::from(theirs)).stdout(Stdio::null());
    command.stderr(Stdio::from(stderr));
    // It becomes its user by itself: a binary that only control's user may execute can be started by nobody else.
    if let Some((uid, gid)) = user.becomes() {
        command.arg("--user").arg(uid.to_string()).arg("--group").arg(gid.to_string());
    }
    let child = command.spawn().context("cannot start a lane")?;
    // Our copies of what is the lane's.
    drop(command);
    // A lane that is given nothing ends when our end of the pair closes.
    let process = process::open(child.id()).context("cannot watch the lane")?;
    let line = Line { socket: ours, serial: 0, unanswered: VecDeque::new(), refused: Vec::new() };
    let mut next = Next { pid: child.id(), process, line, number: station.number };
    match next.line.begin(station, lanes, table, vault) {
        Ok(()) => Ok(next),
        Err(error) => Err(next.failed(error)),
    }
}

impl Next {
    /// Waits until it has taken everything that it was given so far.
    pub(super) fn when_there(mut self) -> anyhow::Result<Self> {
        match self.line.finish() {
            Ok(()) => Ok(self),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Gives it its sockets and tells it to go, in the place of one that waits and has told its turn. When this returns it
    /// relays; when it fails it is gone. Its process comes twice: once for whoever talks with it, once for whoever waits for
    /// its end.
    pub(super) fn go(
        mut self,
        sockets: &[Arc<LaneSocket>],
        turn: Option<u32>,
        life: u64,
    ) -> anyhow::Result<(Started, OwnedFd)> {
        let watched = self.process.try_clone().context("no descriptor left: raise LimitNOFILE");
        let watched = match watched.and_then(|watched| self.line.go(sockets, turn).map(|()| watched)) {
            Ok(watched) => watched,
            Err(error) => return Err(self.failed(error)),
        };
        let Self { pid, process, line: Line { socket, serial, refused, .. }, .. } = self;
        Ok((Started { pid, process, socket, serial, life, lacks: refused }, watched))
    }

    /// Ends it.
    pub(super) fn end(self) {
        let _ = process::kill(self.process.as_fd());
        ended_within(self.process.as_fd(), KILL_PATIENCE);
        process::ending(self.process.as_fd());
    }

    fn failed(self, error: anyhow::Error) -> anyhow::Error {
        let process = self.process.as_fd();
        let ending = ended_within(process, ENDING_PATIENCE).then(|| process::ending(process)).flatten();
        let ending = ending.map_or_else(|| "it hangs and is killed".to_owned(), |ending| ending.to_string());
        let number = self.number;
        self.end();
        error.context(format!("lane {number} did not start ({ending})"))
    }
}

/// Waits until a process has ended; says whether it has.
pub(super) fn ended_within(process: BorrowedFd<'_>, patience: Duration) -> bool {
    wait(process, PollFlags::POLLIN, deadline(patience)).is_ok()
}

impl Line {
    fn begin(&mut self, station: &Station, lanes: &Lanes, table: BorrowedFd<'_>, vault: &Vault) -> anyhow::Result<()> {
        let outfit = station.outfit(table).into_array().map(|part| part.as_raw_fd());
        self.ask(start_message(station, lanes), &outfit)?;
        // Before it relays: whenever control dies afterwards, this lane has what the next one needs.
        for (tag, held) in &vault.0 {
            self.ask(Message::hold(*tag, held.note.as_bytes()), &[held.fd.as_raw_fd()])?;
        }
        Ok(())
    }

    fn go(&mut self, sockets: &[Arc<LaneSocket>], turn: Option<u32>) -> anyhow::Result<()> {
        for socket in sockets {
            self.ask(socket.take_message(), &[socket.bound.fd.as_raw_fd()])?;
        }
        let go = said::Go { turn: turn.map_or(0, |turn| turn.wrapping_add(1)), ..said::Go::default() };
        self.ask(Message::of(kind::GO).saying(go), &[])?;
        self.finish()
    }

    /// Asks for something. The next is said before the last is answered: on a busy machine each turn of the talk takes
    /// longer than what is asked for.
    fn ask(&mut self, message: Message, fds: &[RawFd]) -> anyhow::Result<()> {
        if self.unanswered.len() == AHEAD {
            self.hear_next()?;
        }
        self.say(message, fds, deadline(START_PATIENCE))?;
        let tag = (message.kind == kind::HOLD).then_some(message.tag);
        self.unanswered.push_back(Said { serial: self.serial, tag });
        Ok(())
    }

    /// Waits until everything is answered.
    fn finish(&mut self) -> anyhow::Result<()> {
        while !self.unanswered.is_empty() {
            self.hear_next()?;
        }
        Ok(())
    }

    fn hear_next(&mut self) -> anyhow::Result<()> {
        let Some(Said { serial, tag }) = self.unanswered.pop_front() else { return Ok(()) };
        match (self.hear(serial, deadline(START_PATIENCE)), tag) {
            // A lane that relays and lacks something is better than none.
            (Err(error), Some(tag)) if error.is::<Refusal>() => self.refused.push(tag),
            (heard, _) => heard?,
        }
        Ok(())
    }

    fn say(&mut self, message: Message, fds: &[RawFd], deadline: u64) -> anyhow::Result<()> {
        self.serial = self.serial.wrapping_add(1);
        let message = Message { serial: self.serial, ..message };
        loop {
            match handoff::send(self.socket.as_fd(), &message, fds, Waits::No) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(self.socket.as_fd(), PollFlags::POLLOUT, deadline).context("the lane does not answer")?;
                }
                said => return said.context("cannot reach the lane"),
            }
        }
    }

    fn hear(&self, serial: u32, deadline: u64) -> anyhow::Result<()> {
        let answer = loop {
            match handoff::receive(self.socket.as_fd(), Waits::No) {
                Ok(Some((message, _))) => break message,
                Ok(None) => bail!("the lane ended"),
                // It hung up without reading all that we said. What it said before can still be read.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(self.socket.as_fd(), PollFlags::POLLIN, deadline).context("the lane does not answer")?;
                }
                Err(error) => return Err(error).context("cannot hear the lane"),
            }
        };
        match answer.kind {
            kind::DONE if answer.serial == serial => Ok(()),
            kind::REFUSED => Err(Refusal::of(&answer).into()),
            other => bail!("the lane answered {other} to request {serial} with {}", answer.serial),
        }
    }
}

fn deadline(patience: Duration) -> u64 {
    now_ns().saturating_add(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX))
}

fn wait(fd: BorrowedFd<'_>, flags: PollFlags, deadline: u64) -> Result<(), Errno> {
    loop {
        let left = deadline.saturating_sub(now_ns()).div_ceil(1_000_000);
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, flags)], timeout) {
            Ok(0) => return Err(Errno::ETIMEDOUT),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(()),
        }
    }
}
