//! An AF_XDP socket with a receive ring and nothing else: the socket map takes it, and frames can be sent its way.
#![expect(unsafe_code, reason = "nix knows neither the address family nor the option")]

use std::io::Error;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// Makes the socket.
pub(crate) fn xdp_socket() -> OwnedFd {
    // SAFETY: the call takes numbers only.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    assert!(fd >= 0, "socket(AF_XDP): {}", Error::last_os_error());
    // SAFETY: the descriptor was made in the line above and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let entries: u32 = 64;
    let len = libc::socklen_t::try_from(size_of_val(&entries)).unwrap();
    // SAFETY: the value is alive and as long as is said.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_XDP, libc::XDP_RX_RING, (&raw const entries).cast(), len)
    };
    assert_eq!(answer, 0, "setsockopt(XDP_RX_RING): {}", Error::last_os_error());
    socket
}
