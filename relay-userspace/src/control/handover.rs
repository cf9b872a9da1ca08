//! What one control gives the next in the same process: its lock and the API's sockets, so that no other mcr can start in
//! between and nobody who asks is refused.
//!
//! They lie in the queue of a socket whose end the next control finds as its standard input. So each of them stays closed
//! on exec, and a lane that is started at that moment has none of them.

use super::lock::Lock;
use crate::kernel::passing::{self, Waits};
use anyhow::Context as _;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The variable that names the process that gives: a standard input from anywhere else is not looked at.
pub const GIVEN_BY: &str = "MCR_GIVEN_BY";
/// What is said of the descriptors takes some hundred bytes.
const LONGEST: usize = 8192;

/// What this control has to give. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Handover(Arc<Mutex<Gives>>);

#[derive(Debug, Default)]
struct Gives {
    lock: Option<Lock>,
    listening: Option<Listening>,
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
    pub listening: Option<Listening>,
}

/// What is said of the descriptors that come with it, in the order of these fields.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    lock: bool,
    unix: Option<(PathBuf, (u64, u64))>,
    tcp: bool,
}

impl Handover {
    fn gives(&self) -> MutexGuard<'_, Gives> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock. It is held from now on until the process ends that has it last.
    pub fn hold(&self, lock: Lock) {
        self.gives().lock = Some(lock);
    }

    /// The sockets that the API listens at.
    pub fn listening(&self, listening: Listening) {
        self.gives().listening = Some(listening);
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

    /// The end of a socket where the next control finds everything.
    fn give(&self) -> io::Result<OwnedFd> {
        let (near, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let gives = self.gives();
        let listening = gives.listening.as_ref();
        let tcp = listening.and_then(|listening| listening.tcp.as_ref());
        let lock = gives.lock.as_ref().map(|lock| lock.as_fd());
        let all = [lock, listening.map(|listening| listening.unix.as_fd()), tcp.map(|tcp| tcp.as_fd())];
        let descriptors: Vec<_> = all.into_iter().flatten().map(|fd| fd.as_raw_fd()).collect();
        let unix = listening.map(|listening| listening.place.clone());
        let note = serde_json::to_vec(&Note { lock: gives.lock.is_some(), unix, tcp: tcp.is_some() })?;
        passing::send(near.as_fd(), &note, &descriptors, Waits::No)?;
        Ok(far)
    }

    /// Becomes another binary, or this one anew, with the arguments that this one was started with, and gives it what there
    /// is. Returns only if that failed.
    #[must_use]
    pub fn become_binary(&self, binary: &Path) -> io::Error {
        let mut command = Command::new(binary);
        let mut arguments = std::env::args_os();
        command.arg0(arguments.next().as_deref().unwrap_or_else(|| OsStr::new("mcr"))).args(arguments);
        match self.give() {
            Ok(end) => {
                command.stdin(Stdio::from(end)).env(GIVEN_BY, std::process::id().to_string());
            }
            // It opens everything anew: whoever asks at that moment is refused.
            Err(error) => {
                tracing::warn!(%error, "the sockets of the API cannot be given to the next control");
                command.env_remove(GIVEN_BY);
            }
        }
        command.exec()
    }
}

/// What the control before this one in this process gave. It can be asked for once.
///
/// # Errors
/// When what was given cannot be taken.
pub fn given() -> anyhow::Result<Given> {
    let own = std::process::id().to_string();
    if std::env::var_os(GIVEN_BY).is_none_or(|by| by != *own) {
        return Ok(Given::default());
    }
    let end = io::stdin().as_fd().try_clone_to_owned().context("no descriptor left: raise LimitNOFILE")?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?).context("cannot give the standard input up")?;
    Ok(take(&end).unwrap_or_else(|error| {
        tracing::warn!(%error, "what the control before this one gave cannot be taken");
        Given::default()
    }))
}

fn take(end: &OwnedFd) -> io::Result<Given> {
    let mut message = vec![0; LONGEST];
    let received = passing::receive(end.as_fd(), &mut message, Waits::No)?;
    let note: Note = serde_json::from_slice(&message[..received.bytes])?;
    let mut descriptors = received.descriptors.into_iter();
    let mut next = || descriptors.next().ok_or(io::ErrorKind::UnexpectedEof);
    let lock = note.lock.then(&mut next).transpose()?;
    let unix = note.unix.map(|place| next().map(|fd| (fd, place))).transpose()?;
    let tcp = note.tcp.then(next).transpose()?;
    let listening = unix.map(|(unix, place)| Listening { unix, place, tcp, stays: Arc::default() });
    Ok(Given { lock, listening })
}

/// This binary, also where another lies in its place by now.
#[must_use]
pub fn own_path() -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    const RUNS: &str = "/proc/self/exe";
    let file = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    // By its own name a process is known by that, too.
    let named =
        std::fs::read_link(RUNS).ok().filter(|path| file(path).is_some_and(|named| Some(named) == file(RUNS.as_ref())));
    named.unwrap_or_else(|| PathBuf::from(RUNS))
}

#[cfg(test)]
mod tests {
    use super::{Handover, Listening, take};
    use crate::control::lock;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;

    #[test]
    fn everything_that_is_given_is_taken_in_its_order() {
        let folder = std::env::temp_dir().join(format!("mcr-handover-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("mcr.sock");
        let handover = Handover::default();
        let taken = take(&handover.give().unwrap()).unwrap();
        assert!(taken.lock.is_none() && taken.listening.is_none());

        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let unix = UnixListener::bind(&path).unwrap();
        let place = (path.clone(), (1, 2));
        let listening =
            Listening { unix: unix.into(), place: place.clone(), tcp: Some(tcp.into()), stays: Arc::default() };
        handover.listening(listening);
        let taken = take(&handover.give().unwrap()).unwrap().listening.unwrap();
        assert_eq!(taken.place, place);
        assert_eq!(TcpListener::from(taken.tcp.unwrap()).local_addr().unwrap(), address);
        assert_eq!(UnixListener::from(taken.unix).local_addr().unwrap().as_pathname(), Some(path.as_path()));

        handover.hold(lock::take(&folder, None).unwrap());
        handover.has_ended();
        let taken = take(&handover.give().unwrap()).unwrap();
        assert!(taken.listening.is_none());
        assert!(lock::take(&folder, None).is_err(), "the lock is held");
        drop(lock::take(&folder, taken.lock).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
