//! A process that stands still as a debugger holds it.

use std::io;
use std::ptr;

/// A process that stands still until this is dropped, by the thread that has made it.
#[derive(Debug)]
#[must_use = "the process goes on when this is dropped"]
pub struct Traced(libc::pid_t);

impl Traced {
    /// Holds a process; when this returns it stands.
    pub fn hold(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        request(libc::PTRACE_SEIZE, pid)?;
        let held = Self(pid);
        request(libc::PTRACE_INTERRUPT, pid)?;
        // SAFETY: no status is asked for.
        let waited = unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL) };
        if waited == pid { Ok(held) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // It may have been killed.
        let _ = request(libc::PTRACE_DETACH, self.0);
    }
}

fn request(what: libc::c_uint, pid: libc::pid_t) -> io::Result<()> {
    let nothing = ptr::null_mut::<libc::c_void>();
    // SAFETY: none of these requests reads or writes memory of this process.
    let done = unsafe { libc::ptrace(what, pid, nothing, nothing) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
