//! A lane is started and handed everything, by a thread that may wait.

use crate::clock::now_ns;
use crate::control::lane_user::LaneUser;
use crate::control::station::{LaneSocket, Station, start_message};
use crate::control::talk::{PATIENCE, START_PATIENCE};
use crate::control::vault::{Held, Vault};
use crate::kernel::passing::Waits;
use crate::kernel::process;
use crate::lane::handoff::{self, Message, Refusal, kind};
use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use relay_common::plan::Lanes;
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
}

/// The connection to a lane that is being started.
struct Line {
    socket: OwnedFd,
    serial: u32,
}

/// Starts a lane and hands it everything. When this returns it relays; when it fails the lane is gone. Its process comes
/// twice: once for whoever talks with it, once for whoever waits for its end.
pub(super) fn start(
    station: &Station,
    sockets: &[Arc<LaneSocket>],
    (lanes, user): (&Lanes, &LaneUser),
    table: BorrowedFd<'_>,
    (life, stderr): (u64, OwnedFd),
) -> anyhow::Result<(Started, OwnedFd)> {
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
    let watched = process.try_clone().context("no descriptor left: raise LimitNOFILE")?;
    let mut line = Line { socket: ours, serial: 0 };
    if let Err(error) = line.hand_over(station, sockets, lanes, table) {
        let ending = ended_within(process.as_fd(), ENDING_PATIENCE).then(|| process::ending(process.as_fd())).flatten();
        let ending = ending.map_or_else(|| "it hangs and is killed".to_owned(), |ending| ending.to_string());
        let _ = process::kill(process.as_fd());
        ended_within(process.as_fd(), KILL_PATIENCE);
        process::ending(process.as_fd());
        let number = station.number;
        return Err(error.context(format!("lane {number} did not start ({ending})")));
    }
    let Line { socket, serial } = line;
    Ok((Started { pid: child.id(), process, socket, serial, life }, watched))
}

/// Has a lane that was just started hold what must outlive control.
pub(super) fn hand_vault_over(started: &mut Started, vault: &Vault) -> anyhow::Result<()> {
    let socket = started.socket.try_clone().context("no descriptor left: raise LimitNOFILE")?;
    let mut line = Line { socket, serial: started.serial };
    let hold = |(tag, held): (&u64, &Held)| (Message::hold(*tag, held.note.as_bytes()), vec![held.fd.as_raw_fd()]);
    line.ask_all(&vault.0.iter().map(hold).collect::<Vec<_>>(), PATIENCE)?;
    started.serial = line.serial;
    Ok(())
}

/// Waits until a process has ended; says whether it has.
pub(super) fn ended_within(process: BorrowedFd<'_>, patience: Duration) -> bool {
    wait(process, PollFlags::POLLIN, deadline(patience)).is_ok()
}

impl Line {
    fn hand_over(
        &mut self,
        station: &Station,
        sockets: &[Arc<LaneSocket>],
        lanes: &Lanes,
        table: BorrowedFd<'_>,
    ) -> anyhow::Result<()> {
        let outfit = station.outfit(table).into_array().map(|part| part.as_raw_fd());
        let mut all = vec![(start_message(station, lanes), outfit.to_vec())];
        all.extend(sockets.iter().map(|socket| (socket.take_message(), vec![socket.bound.fd.as_raw_fd()])));
        all.push((Message::of(kind::GO), Vec::new()));
        self.ask_all(&all, START_PATIENCE)
    }

    /// Asks for one thing after the other. The next is said before the last is answered: on a busy machine each turn of
    /// the talk takes longer than what is asked for.
    fn ask_all(&mut self, all: &[(Message, Vec<RawFd>)], patience: Duration) -> anyhow::Result<()> {
        let mut answered = self.serial;
        for ahead in 0..all.len() + AHEAD {
            if let Some((message, fds)) = all.get(ahead) {
                self.say(*message, fds, deadline(patience))?;
            }
            if ahead >= AHEAD {
                answered = answered.wrapping_add(1);
                self.hear(answered, deadline(patience))?;
            }
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
