//! What control hands to a lane over their socket pair, and the lane's answers.
//!
//! A message is one datagram of fixed size with descriptors beside it. Each is answered, so that control knows what
//! a lane has before it goes on. The socket is the lane's standard input: no number to agree on.

use crate::kernel::passing;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Descriptors that come with a [`kind::START`]: frames, ledger, table, counters, doorbell, tap.
pub const START_DESCRIPTORS: usize = 6;
const _: () = assert!(START_DESCRIPTORS <= passing::MOST);

/// A message in either direction. What a field means depends on `kind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Message {
    /// See [`kind`].
    pub kind: u32,
    /// Start: the lane's number. Take: the socket's number within the lane.
    pub number: u32,
    /// Start: bytes per frame. Take: the link's index.
    pub a: u32,
    /// Start: frames. Take: the output link's number plus 1, or 0 when it does not send.
    pub b: u32,
    /// Start: ring size. Take: 1 when it receives.
    pub c: u32,
    /// Start: relays that the table has room for. Take: 1 when it is busy polled.
    pub d: u32,
    /// Start: outputs that the table has room for.
    pub e: u32,
    /// Start: how to wait (0 busy, 1 adaptive, 2 wait).
    pub f: u32,
    /// Start: microseconds to spin.
    pub g: u32,
    /// Start: the core to run on plus 1, or 0 for any.
    pub h: u32,
}

/// Kinds of messages.
pub mod kind {
    /// Control: here is your memory.
    pub const START: u32 = 1;
    /// Control: here is a socket.
    pub const TAKE: u32 = 2;
    /// Control: you have everything, go.
    pub const GO: u32 = 3;
    /// The lane: done.
    pub const DONE: u32 = 100;
}

/// Sends a message with descriptors.
pub fn send(socket: BorrowedFd<'_>, message: &Message, descriptors: &[RawFd]) -> io::Result<()> {
    passing::send(socket, message.as_bytes(), descriptors)
}

/// Waits for a message. `None` when the other side is gone.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut message = Message::default();
    match passing::receive(socket, message.as_mut_bytes())? {
        (0, _) => Ok(None),
        (n, descriptors) if n == size_of::<Message>() => Ok(Some((message, descriptors))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
