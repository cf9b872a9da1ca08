//! What one control gives the next, in the same process or beside it: its lock and the API's sockets, so that no other mcr
//! can start in between and nobody who asks is refused; and what hangs up when the unit is stopped, so that lanes are at no
//! moment without it.
//!
//! They lie in the queue of a socket whose end the next control finds as its standard input. So each of them stays closed
//! on exec, and a lane that is started at that moment has none of them.

use super::lock::Lock;
use super::predecessor::Predecessor;
use super::sources::hold_signals;
use crate::events::logging::LogHandle;
use anyhow::{Context as _, anyhow};
use nix::sys::signal::{Signal, raise};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use relay_engine::sys::fd_passing::{self as passing, Waits};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, sleep};
use std::time::Duration;

/// The variable that names the process that gives: a standard input from anywhere else is not looked at.
pub const GIVEN_BY: &str = "MCR_GIVEN_BY";
/// What is said of the descriptors takes some hundred bytes.
const LONGEST: usize = 8192;
/// Characters of a reason that fit in beside the rest.
const LONGEST_REASON: usize = 1000;
/// A newer binary that has taken the same lanes over once is ready by then.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// The binary that runs.
const RUNS: &str = "/proc/self/exe";

/// What this control has to give. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Handover(Arc<Mutex<Gives>>);

#[derive(Debug, Default)]
struct Gives {
    lock: Option<Lock>,
    listening: Option<Listening>,
    /// What hangs up when the unit is stopped.
    unit: Option<Arc<OwnedFd>>,
    /// What was given, until this control is ready: the lock, the sockets, and the binary that was before.
    given: (Option<OwnedFd>, Option<Arc<Listening>>, Option<OwnedFd>),
    /// Whether somebody has asked for the configuration file to be taken, and that is not done.
    owes_reload: bool,
    /// Why this binary is not ready, for the one that comes back.
    fails: Option<String>,
    /// Why a newer binary was not, and this one came back.
    went_back: Option<String>,
}

/// What to make of a Unix socket that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// Nothing runs yet: nobody could ask this node, so it is not started.
    Anew,
    /// Lanes have this control: it is in charge of them whoever can ask it.
    InCharge,
}

/// The sockets that the API listens at.
#[derive(Debug)]
pub struct Listening {
    /// The Unix socket.
    pub unix: OwnedFd,
    /// Where it lies, and which file that is, by device and inode.
    pub place: (PathBuf, (u64, u64)),
    /// The TCP socket.
    pub tcp: Option<OwnedFd>,
    /// Whether they stay when this control ends: another has them.
    pub stays: Arc<AtomicBool>,
}

/// What the control before this one gave.
#[derive(Debug, Default)]
pub struct Given {
    /// The lock, which it holds.
    pub lock: Option<OwnedFd>,
    /// The API's sockets.
    pub listening: Option<Arc<Listening>>,
    /// That control, if it runs on beside this one.
    pub before: Option<Predecessor>,
    /// The same again, for the control that follows this one.
    pub handover: Handover,
}

/// What is said of the descriptors that come with it, in the order of these fields.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    lock: bool,
    unix: Option<(PathBuf, (u64, u64))>,
    tcp: bool,
    back: bool,
    #[serde(default)]
    unit: bool,
    /// The one that gives runs on.
    beside: bool,
    /// The one that gives was to follow this one, and is not ready.
    #[serde(default)]
    fails: Option<String>,
}

impl Handover {
    fn gives(&self) -> MutexGuard<'_, Gives> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock. It is held from now on, until the last process ends that has it.
    pub fn hold(&self, lock: Lock) {
        self.gives().lock = Some(lock);
    }

    /// The sockets that the API listens at.
    pub fn listening(&self, listening: Listening) {
        self.gives().listening = Some(listening);
    }

    /// The API has a TCP socket by now.
    pub fn hears(&self, tcp: OwnedFd) {
        if let Some(listening) = &mut self.gives().listening {
            listening.tcp = Some(tcp);
        }
    }

    /// What hangs up when the unit is stopped, as the control before this one or this one knows it.
    #[must_use]
    pub fn unit(&self) -> Option<Arc<OwnedFd>> {
        self.gives().unit.clone()
    }

    /// This is what hangs up from now on. What was given closes only here.
    pub fn keep_unit(&self, unit: Option<Arc<OwnedFd>>) {
        self.gives().unit = unit;
    }

    /// Whether somebody has asked for the configuration file to be taken (SIGHUP), and that is still to be done: whoever
    /// follows this control is told to.
    pub fn owe_reload(&self, owes: bool) {
        self.gives().owes_reload = owes;
    }

    /// Whether it is.
    #[must_use]
    pub fn owes_reload(&self) -> bool {
        self.gives().owes_reload
    }

    /// Another control follows: the API's sockets stay when this API ends.
    pub fn keep_listening(&self) {
        if let Some(listening) = &self.gives().listening {
            listening.stays.store(true, Relaxed);
        }
    }

    /// Whether they do.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.gives().listening.as_ref().is_some_and(|listening| listening.stays.load(Relaxed))
    }

    /// The API has ended. Where no control follows nobody listens any more.
    pub fn has_ended(&self) {
        let mut gives = self.gives();
        gives.listening.take_if(|listening| !listening.stays.load(Relaxed));
    }

    /// Why the newer binary that had this one's place is not there.
    #[must_use]
    pub fn went_back(&self) -> Option<String> {
        self.gives().went_back.clone()
    }

    /// This control is ready: there is no going back to the binary before.
    pub fn is_ready(&self) {
        self.gives().given = (None, None, None);
    }

    /// The binary before this one, if this one is not ready. It is given once.
    fn back(&self) -> Option<OwnedFd> {
        self.gives().given.2.take()
    }

    /// The control beside which this one was started ends: lock and sockets are this one's.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn leads(&self) -> io::Result<()> {
        let gives = self.gives();
        if let Some(listening) = &gives.listening {
            listening.stays.store(false, Relaxed);
        }
        if let Some(given) = &gives.given.1 {
            let (path, file) = &given.place;
            let is_there = std::fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == *file);
            let is_left = gives.listening.as_ref().is_some_and(|listening| listening.place != given.place);
            if is_left && is_there {
                std::fs::remove_file(path)?;
            }
        }
        gives.lock.as_ref().map_or(Ok(()), Lock::sign)
    }

    /// Shares everything with a control that is started beside this one, at the other end of that line.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn give_beside(&self, line: BorrowedFd<'_>) -> io::Result<()> {
        self.send(line, None, true)
    }

    fn send(&self, line: BorrowedFd<'_>, back: Option<&OwnedFd>, beside: bool) -> io::Result<()> {
        let gives = self.gives();
        let held = gives.lock.as_ref().map(Lock::as_fd);
        let lock = held.or_else(|| gives.given.0.as_ref().map(OwnedFd::as_fd));
        let listening = gives.listening.as_ref().or(gives.given.1.as_deref());
        let (unix, tcp) = (listening.map(|all| all.unix.as_fd()), listening.and_then(|all| all.tcp.as_ref()));
        let (tcp, back, ours) = (tcp.map(OwnedFd::as_fd), back.map(OwnedFd::as_fd), gives.unit.as_deref());
        let ours = ours.map(OwnedFd::as_fd);
        let descriptors: Vec<_> = [lock, unix, tcp, back, ours].iter().flatten().map(AsRawFd::as_raw_fd).collect();
        let unix = listening.map(|listening| listening.place.clone());
        let fails = gives.fails.clone();
        let (tcp, back) = (tcp.is_some(), back.is_some());
        let note = Note { lock: lock.is_some(), unix, tcp, back, unit: ours.is_some(), beside, fails };
        passing::send(line, &serde_json::to_vec(&note)?, &descriptors, Waits::No)
    }

    /// What starts a binary as this one was started, for one that is given something.
    #[must_use]
    pub fn command(binary: &Path) -> Command {
        let mut command = Command::new(binary);
        let mut arguments = std::env::args_os();
        command.arg0(arguments.next().as_deref().unwrap_or_else(|| OsStr::new("mcr"))).args(arguments);
        command.env(GIVEN_BY, std::process::id().to_string());
        command
    }

    /// Becomes another binary, or this one anew, with the arguments that this one was started with, and gives it what there
    /// is. It comes back to this one if it is not ready in time, where that is wanted. Returns only if it failed.
    #[must_use]
    pub fn become_binary(&self, binary: &Path, comes_back: bool) -> io::Error {
        // A stop that comes now waits until the next one listens: it would end by it before it can hold it back.
        if let Err(error) = hold_signals() {
            tracing::warn!(%error, "a stop that comes now leaves lanes without a control");
        } else if self.owes_reload()
            && let Err(error) = raise(Signal::SIGHUP)
        {
            tracing::warn!(%error, "the configuration file is not taken, which somebody has asked for: mcr reload");
        }
        let give = || {
            let back = comes_back.then(|| File::open(RUNS).map(OwnedFd::from)).transpose()?;
            let (near, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
            self.send(near.as_fd(), back.as_ref(), false)?;
            io::Result::Ok(far)
        };
        let mut command = Self::command(binary);
        match give() {
            Ok(end) => {
                command.stdin(Stdio::from(end));
            }
            // It opens everything anew: whoever asks at that moment is refused.
            Err(error) => {
                tracing::warn!(%error, "the sockets of the API cannot be given to the next control");
                command.env_remove(GIVEN_BY);
            }
        }
        command.exec()
    }

    /// Becomes the binary before this one again, when this one is not ready in time.
    ///
    /// # Errors
    /// When there is no thread to look at the clock.
    pub fn come_back_in_time(&self, log: LogHandle) -> anyhow::Result<()> {
        if self.gives().given.2.is_none() {
            return Ok(());
        }
        let late = self.clone();
        let look = move || {
            sleep(READY_WITHIN);
            if let Some(error) = late.come_back(&log, &anyhow!("not ready within {} s", READY_WITHIN.as_secs())) {
                tracing::error!("{error:#}");
            }
        };
        Builder::new().name("mcr-late".to_owned()).spawn(look).context("no thread to look at the clock").map(drop)
    }

    /// Becomes the binary before this one again, if this one is not ready. Returns only if that failed.
    #[must_use]
    pub fn come_back(&self, log: &LogHandle, because: &anyhow::Error) -> Option<anyhow::Error> {
        let back = self.back()?;
        tracing::error!("{because:#}: mcr goes back to the binary before this one");
        log.flush();
        self.gives().fails = Some(format!("{because:#}").chars().take(LONGEST_REASON).collect());
        let error = self.become_binary(Path::new(&format!("/proc/self/fd/{}", back.as_raw_fd())), false);
        Some(anyhow::Error::new(error).context("cannot become the binary before this one"))
    }
}

/// What the control before this one gave, in this process or as its parent. It can be asked for once.
///
/// # Errors
/// When what was given cannot be taken.
pub fn given() -> anyhow::Result<Given> {
    let by = std::env::var(GIVEN_BY).ok().and_then(|by| by.parse::<u32>().ok());
    let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
    if by.is_none_or(|by| by != own && by != parent) {
        return Ok(Given::default());
    }
    let end = io::stdin().as_fd().try_clone_to_owned().context("no descriptor left: raise LimitNOFILE")?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?).context("cannot give the standard input up")?;
    take(end).or_else(|error| {
        if by == Some(parent) {
            return Err(error);
        }
        // Everything can be opened anew.
        tracing::warn!("what the control before this one gave cannot be taken: {error:#}");
        Ok(Given::default())
    })
}

fn take(end: OwnedFd) -> anyhow::Result<Given> {
    let mut message = vec![0; LONGEST];
    let received = passing::receive(end.as_fd(), &mut message, Waits::No)?;
    let note: Note = serde_json::from_slice(&message[..received.bytes])?;
    let mut descriptors = received.descriptors.into_iter();
    let mut next = || descriptors.next().context("a descriptor is missing");
    let lock = note.lock.then(&mut next).transpose()?;
    let unix = note.unix.map(|place| next().map(|fd| (fd, place))).transpose()?;
    let tcp = note.tcp.then(&mut next).transpose()?;
    let back = note.back.then(&mut next).transpose()?;
    let unit = note.unit.then(next).transpose()?.map(Arc::new);
    // As long as the other is the one, they stay whatever becomes of this one.
    let stays = Arc::new(AtomicBool::new(note.beside));
    let listening = unix.map(|(unix, place)| Arc::new(Listening { unix, place, tcp, stays }));
    let before = note.beside.then(|| Predecessor::new(end)).transpose()?;
    let again = lock.as_ref().map(OwnedFd::try_clone).transpose()?;
    let given = (again, listening.clone(), back);
    let gives = Gives { unit, given, went_back: note.fails, ..Gives::default() };
    Ok(Given { lock, listening, before, handover: Handover(Arc::new(Mutex::new(gives))) })
}

/// A binary that was started by a number or a link is called by that. This process keeps its name.
pub fn keep_name() {
    const NAME: &str = "/proc/self/comm";
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    if std::fs::read_to_string(NAME).is_ok_and(|name| name.trim_end() == "exe" || is_number(name.trim_end())) {
        // It is for people.
        let _ = std::fs::write(NAME, "mcr");
    }
}

/// This binary, also where another lies in its place by now.
#[must_use]
pub fn own_path() -> PathBuf {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    // By its own name a process is known by that, too.
    let named =
        std::fs::read_link(RUNS).ok().filter(|path| file(path).is_some_and(|named| Some(named) == file(RUNS.as_ref())));
    named.unwrap_or_else(|| PathBuf::from(RUNS))
}

#[cfg(test)]
mod tests;
