//! Descriptors that go from one process to another beside a message.
#![expect(unsafe_code, reason = "a descriptor that the kernel has just made for us becomes owned here")]

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, UnixCredentials, accept4, getsockopt, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors that one message brings.
pub const MOST: usize = 8;

/// Whether a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Until it is done.
    Yes,
    /// Never: what cannot be done now is refused with `WouldBlock`.
    No,
}

impl Waits {
    const fn flags(self) -> MsgFlags {
        match self {
            Self::Yes => MsgFlags::empty(),
            Self::No => MsgFlags::MSG_DONTWAIT,
        }
    }
}

/// Sends a message with descriptors beside it.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], descriptors: &[RawFd], waits: Waits) -> io::Result<()> {
    let rights = [ControlMessage::ScmRights(descriptors)];
    let control = if descriptors.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL | waits.flags();
    let n = sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(message)], control, flags, None)?;
    if n == message.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Who sent a message, as the kernel says it: nobody can send in another's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

/// A message that came.
#[derive(Debug)]
pub struct Received {
    /// How long it is; 0 when the other side is gone.
    pub bytes: usize,
    /// The descriptors beside it.
    pub descriptors: Vec<OwnedFd>,
    /// Who sent it, where that was [asked for](ask_for_senders).
    pub sender: Option<Sender>,
}

/// Has the kernel say with each message from now on who sent it.
pub fn ask_for_senders(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::PassCred, &true)?)
}

/// Takes a message. One that does not fit is an error.
pub fn receive(socket: BorrowedFd<'_>, message: &mut [u8], waits: Waits) -> io::Result<Received> {
    let mut space = nix::cmsg_space!([RawFd; MOST], UnixCredentials);
    let mut parts = [IoSliceMut::new(message)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | waits.flags();
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let is_whole = !received.flags.contains(MsgFlags::MSG_TRUNC);
    let (mut descriptors, mut sender) = (Vec::new(), None);
    // Where more descriptors came than there is room for, or than this process may have, nix shows none of them.
    for control in received.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::ScmRights(fds) => {
                // SAFETY: the kernel made these descriptors for this call; nobody else knows them.
                descriptors.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
            // 0 is a process that this one cannot see, or a message from before anybody asked.
            ControlMessageOwned::ScmCredentials(said) if said.pid() > 0 => {
                sender = Some(Sender { pid: said.pid().cast_unsigned(), uid: said.uid() });
            }
            _ => {}
        }
    }
    let bytes = received.bytes;
    if is_whole { Ok(Received { bytes, descriptors, sender }) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Lets in who waits at a listening socket, without waiting for anybody.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let fd = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The user whose process is at the other end. At the end that connected it is the user who began to listen.
pub fn peer_uid(socket: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(getsockopt(&socket, sockopt::PeerCredentials)?.uid())
}

/// The process that began to listen where this end has connected to, by its number and as a descriptor; nothing when it is
/// gone, and before Linux 6.5.
#[must_use]
pub fn listener(socket: BorrowedFd<'_>) -> Option<(u32, OwnedFd)> {
    /// See unix(7).
    const SO_PEERPIDFD: libc::c_int = 77;
    let pid = getsockopt(&socket, sockopt::PeerCredentials).ok()?.pid();
    let mut fd: libc::c_int = -1;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: there is room for a number at the one address, and its length stands at the other.
    let asked = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, (&raw mut fd).cast(), &raw mut length)
    };
    // SAFETY: the kernel has just made this descriptor for us.
    (asked == 0 && fd >= 0).then(|| (pid.cast_unsigned(), unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Whether nobody has the other end of a pipe any more. What cannot be told is taken for no.
#[must_use]
pub fn has_hung_up(end: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(end, PollFlags::empty())];
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].revents().is_some_and(|found| found.intersects(gone))
}

/// Whether the other end is there, whatever it has left to be read.
#[must_use]
pub fn is_connected(socket: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|n| n == 0)
}
