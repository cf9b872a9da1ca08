//! Sockets that are held for what they are, a membership or a port, and neither send nor receive anything.
#![expect(unsafe_code, reason = "nix does not wrap SO_ATTACH_FILTER; this is setsockopt(2) itself")]

use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

/// A program of one instruction: accept no byte.
#[expect(clippy::cast_possible_truncation, reason = "the kernel's codes have 16 bits")]
const NOTHING: libc::sock_filter = libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };

/// Makes a datagram socket mute for good, whoever holds it: every send fails (`EPIPE`), also with an address of its own
/// choice, and nothing is ever received. Groups can still be joined and left on it.
///
/// A lane holds such sockets for the next control. Whoever takes a lane over has them too.
///
/// # Errors
/// When the kernel refuses.
pub fn mute(socket: impl AsFd) -> io::Result<()> {
    let fd = socket.as_fd();
    // Without a peer the kernel says ENOTCONN and shuts the socket down all the same (inet_shutdown).
    match shutdown(fd.as_raw_fd(), Shutdown::Both) {
        Ok(()) | Err(Errno::ENOTCONN) => {}
        Err(errno) => return Err(errno.into()),
    }
    // A send that fails has still given the socket a port, and a shutdown does not keep datagrams out.
    let mut instructions = [NOTHING];
    let program = libc::sock_fprog { len: 1, filter: instructions.as_mut_ptr() };
    set(fd, libc::SO_ATTACH_FILTER, &program)?;
    set(fd, libc::SO_LOCK_FILTER, &1_i32)
}

fn set<T>(socket: impl AsFd, option: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("an option is a few bytes");
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; `value` is a live reference to exactly `length`
    // bytes, of which the kernel only reads, and the instructions that a program names live as long as it: see above.
    let answer = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(value).cast(), length)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::mute;
    use std::net::UdpSocket;

    #[test]
    fn a_mute_socket_neither_sends_nor_receives() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has no such address.
            let Ok(far) = UdpSocket::bind(address) else { continue };
            let socket = UdpSocket::bind(address).unwrap();
            socket.set_nonblocking(true).unwrap();
            far.set_nonblocking(true).unwrap();
            mute(&socket).unwrap();
            for bytes in [&b"a datagram"[..], b""] {
                let sent = socket.send_to(bytes, far.local_addr().unwrap());
                assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::EPIPE));
            }
            far.send_to(b"an answer", socket.local_addr().unwrap()).unwrap();
            let mut bytes = [0; 16];
            // Loopback has delivered it by now.
            socket.recv_from(&mut bytes).unwrap_err();
            far.recv_from(&mut bytes).unwrap_err();
        }
    }
}
