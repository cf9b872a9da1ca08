//! Descriptors that the runtime waits for.
#![expect(unsafe_code, reason = "tokio wants a promise that nobody replaces the descriptor")]

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;

/// A descriptor that the runtime waits for.
pub(crate) fn waited_for(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is registered, and nobody replaces it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}
