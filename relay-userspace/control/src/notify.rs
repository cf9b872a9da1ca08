//! What systemd is told (sd_notify): nothing happens without it.

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use nix::unistd::pipe2;
use relay_engine::clock::now_ns;
use relay_engine::sys::fd_passing::{self as passing, Waits};
use std::env;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Control waits no longer than this for a systemd that hangs to take a state.
const PATIENCE: Duration = Duration::from_secs(1);
/// systemd deals with what it is told within milliseconds.
const DEALT_WITH_MS: u16 = 2000;
/// Whether systemd is told nothing.
static SILENT: AtomicBool = AtomicBool::new(false);
/// A sign of life comes every second: the next one does as well.
const LITTLE_PATIENCE: Duration = Duration::from_millis(1);

/// Tells systemd that control lives, if it watches.
pub fn alive() {
    if env::var_os("WATCHDOG_USEC").is_some() {
        notify_within("WATCHDOG=1", LITTLE_PATIENCE);
    }
}

/// Tells systemd that control is about to end, if it wants to know.
pub fn stopping() {
    notify_within("STOPPING=1", LITTLE_PATIENCE);
}

/// Tells systemd that the configuration is being read anew, until `READY=1`.
pub fn reloading() {
    if is_wanted() {
        notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", now_ns() / 1000));
    }
}

/// Tells systemd what `systemctl status` is to show of the node, if it is not what it shows already.
pub fn status(line: &str) {
    static SHOWN: Mutex<String> = Mutex::new(String::new());
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // What could not be told is told with the next look.
    if *shown != line && notify_within(&format!("STATUS={line}"), LITTLE_PATIENCE) {
        line.clone_into(&mut shown);
    }
}

/// Whether anybody wants to be told.
#[must_use]
pub fn is_wanted() -> bool {
    is_there() && !SILENT.load(Relaxed)
}

/// Whether systemd runs this, be it that it listens to another control yet.
#[must_use]
pub fn is_there() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
}

/// Whether what is written there goes to systemd's journal. That stands in the environment of whoever was started by the unit, also
/// where the output was then put elsewhere.
#[must_use]
pub fn is_journal(output: impl AsFd) -> bool {
    env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stream(&stream, output))
}

fn is_stream(stream: &str, output: impl AsFd) -> bool {
    fstat(output).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

/// Nothing is told while another control is the one that systemd knows: it would not be listened to.
pub fn keep_silent(silent: bool) {
    SILENT.store(silent, Relaxed);
}

/// Whether another process can take this one's place for whoever watches it. PID 1 is watched by the kernel.
#[must_use]
pub fn can_name_main() -> bool {
    is_wanted() && std::process::id() != 1
}

/// Names the process that takes this one's place, and waits until systemd has dealt with that.
pub fn main_is(pid: u32) {
    notify(&format!("MAINPID={pid}"));
    if let Ok(read) = until_read() {
        let _ = poll(&mut [PollFd::new(read.as_fd(), PollFlags::POLLIN)], PollTimeout::from(DEALT_WITH_MS));
    }
}

/// Tells systemd a state such as `READY=1`, if it wants to know.
pub fn notify(state: &str) {
    notify_within(state, PATIENCE);
}

/// Whether systemd has been told that.
fn notify_within(state: &str, patience: Duration) -> bool {
    if !is_wanted() {
        return false;
    }
    let told = connected().and_then(|systemd| tell(&systemd, state, patience));
    if let Err(error) = &told {
        tracing::warn!(%error, "cannot tell systemd {state}");
    }
    told.is_ok()
}

fn tell(systemd: &UnixDatagram, state: &str, patience: Duration) -> io::Result<()> {
    systemd.set_write_timeout(Some(patience))?;
    systemd.send(state.as_bytes()).map(drop)
}

/// Has systemd keep a descriptor until the unit is neither active nor to be started again.
pub fn keep(name: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    tell_with(&format!("FDSTORE=1\nFDNAME={name}"), descriptor)
}

/// What hangs up when systemd has dealt with everything that it was told before.
pub fn until_read() -> io::Result<OwnedFd> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    tell_with("BARRIER=1", theirs.as_fd())?;
    Ok(ours)
}

/// systemd is not waited for: what it has no room for now is an error.
fn tell_with(state: &str, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    passing::send(connected()?.as_fd(), state.as_bytes(), &[descriptor.as_raw_fd()], Waits::No)
}

fn connected() -> io::Result<UnixDatagram> {
    let path = env::var_os("NOTIFY_SOCKET").ok_or(io::ErrorKind::NotFound)?;
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::{LITTLE_PATIENCE, is_stream, tell};
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_stream_is_known_by_what_it_is() {
        use std::os::linux::fs::MetadataExt as _;
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let about = file.metadata().unwrap();
        assert!(is_stream(&format!("{}:{}", about.st_dev(), about.st_ino()), &file));
        assert!(!is_stream(&format!("{}:{}", about.st_dev(), about.st_ino() + 1), &file));
    }

    #[test]
    fn a_systemd_that_reads_nothing_holds_nobody_up() {
        let (control, systemd) = UnixDatagram::pair().unwrap();
        // Far more than it has room for.
        let full = (0..100_000).find_map(|_| tell(&control, "WATCHDOG=1", LITTLE_PATIENCE).err());
        assert_eq!(full.unwrap().kind(), ErrorKind::WouldBlock);
        systemd.recv(&mut [0; 16]).unwrap();
        tell(&control, "READY=1", LITTLE_PATIENCE).unwrap();
    }
}
