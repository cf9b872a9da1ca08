//! Copies of another process's descriptors: what they stand for stays as long as these are there.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Copies all descriptors of a process. One that is closed meanwhile is left out.
pub fn descriptors(pid: u32) -> io::Result<Vec<OwnedFd>> {
    // SAFETY: the call takes no pointers.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let numbers = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // SAFETY: as above.
    let copy = |number: i32| owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) });
    numbers
        .map(copy)
        .filter(|copied| !copied.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EBADF)))
        .collect()
}

fn owned(raw: libc::c_long) -> io::Result<OwnedFd> {
    let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the descriptor was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
