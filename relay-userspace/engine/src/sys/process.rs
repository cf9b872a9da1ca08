//! Processes as descriptors: one that can be waited for like a socket, and that never means another process.
#![expect(unsafe_code, reason = "pidfd_open and pidfd_send_signal, which nix does not wrap")]

use crate::clock::processor_time_ns;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use relay_common::hang::Activity;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal.
    Killed(Signal),
    /// It is gone; the kernel tells how only to its parent, which we are not.
    Unknown,
}

impl Ending {
    /// Whether something went wrong, as far as is known.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Exited(0) | Self::Unknown)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Killed(signal) => write!(f, "signal {} ({signal})", *signal as i32),
            Self::Unknown => f.write_str("it is gone"),
        }
    }
}

/// A descriptor that becomes readable when the process ends.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the process has ended, buried or not.
#[must_use]
pub fn has_ended(process: BorrowedFd<'_>) -> bool {
    let mut fds = [nix::poll::PollFd::new(process, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut fds, nix::poll::PollTimeout::ZERO).is_ok_and(|n| n > 0)
}

/// What a process does, and how long it has run in all, in nanoseconds; nothing of one that is gone.
#[must_use]
pub fn activity(pid: u32) -> Option<(Activity, u64)> {
    let ran = processor_time_ns(pid)?;
    // Where /proc hides the processes of others it also hides those of the same user that cannot be dumped.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    Some((stat.and_then(|stat| activity_of(&stat)).unwrap_or(Activity::Hidden), ran))
}

/// See proc_pid_stat(5): the name, which may hold anything, stands in parentheses; the state follows.
fn activity_of(stat: &str) -> Option<Activity> {
    Some(match stat.rsplit_once(')')?.1.split_whitespace().next()? {
        "R" => Activity::Ready,
        "t" => Activity::Traced,
        _ => Activity::Waits,
    })
}

/// How the process ended, once it has; a child is buried by that.
pub fn ending(process: BorrowedFd<'_>) -> Option<Ending> {
    match waitid(Id::PIDFd(process), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
        Ok(WaitStatus::Exited(_, code)) => Some(Ending::Exited(code)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(Ending::Killed(signal)),
        // Not a child of ours: its descriptor is readable once it has ended.
        Err(Errno::ECHILD) => has_ended(process).then_some(Ending::Unknown),
        _ => None,
    }
}

/// Ends the process with the signal that nothing can catch. That it has ended already is no error.
pub fn kill(process: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes numbers only; without a siginfo the kernel makes one as for kill(2).
    let done = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), libc::SIGKILL, std::ptr::null::<()>(), 0)
    };
    match Errno::result(done) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes a descriptor end with the next program that this process becomes.
pub fn close_on_exec(fd: BorrowedFd<'_>) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{activity, activity_of};
    use relay_common::hang::Activity;

    #[test]
    fn what_a_process_does_is_read_whatever_it_is_called() {
        let rest = "1 2 2 0 -1 4194560 1 0 0 0 7 5 0 0 20 0 1 0 99";
        assert_eq!(activity_of("12 (a)"), None);
        assert_eq!(activity_of(&format!("12 (a) b) S {rest}")), Some(Activity::Waits));
        assert_eq!(activity_of(&format!("12 (a) t {rest}")), Some(Activity::Traced));
        let (before, now) = (activity(std::process::id()).unwrap(), activity(std::process::id()).unwrap());
        assert!(before.1 > 0 && now.1 > before.1, "{before:?}, {now:?}");
        // No process has so high a number.
        assert_eq!(activity(1 << 23), None);
    }
}
