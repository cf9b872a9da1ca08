//! Processes as descriptors: one that can be waited for like a socket, and that never means another process.
#![expect(unsafe_code, reason = "pidfd_open, which nix does not wrap")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// A descriptor that becomes readable when the process ends.
pub fn watch(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the call takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = match i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(fd) if fd >= 0 => unsafe { OwnedFd::from_raw_fd(fd) },
        _ => return Err(io::Error::last_os_error()),
    };
    // SAFETY: the descriptor is owned by what is registered, and nobody replaces it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
