//! How a lane waits when there is nothing to do.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use relay_common::plan::Poll;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A sleeping lane comes round this often: its heartbeat stays fresh and a lost wake-up costs no more than this.
const SLEEP_MS: u8 = 100;
/// While packets wait for the kernel, a lane only naps.
const NAP_MS: u8 = 1;
/// While packets wait for a link that takes nothing, it comes round to ask again or to throw them away.
const DOZE_MS: u8 = 10;

/// Descriptors that wake a lane: the doorbell, the door, control and the unit's end, and sockets. A lane with more comes
/// round for the rest.
const MAX_FDS: usize = 4 + relay_common::journal::MAX_SOCKETS;

/// Spin, or sleep, or a while of one and then the other.
#[derive(Debug)]
pub struct Waiting {
    how: Poll,
    spin_ns: u64,
    last_busy: u64,
}

impl Waiting {
    /// Starts to wait that way.
    #[must_use]
    pub const fn new(how: Poll, spin_us: u32) -> Self {
        Self { how, spin_ns: spin_us as u64 * 1000, last_busy: 0 }
    }

    /// Says whether the lane should sleep now.
    #[inline]
    pub const fn should_sleep(&mut self, busy: bool, now: u64) -> bool {
        if busy {
            self.last_busy = now;
            return false;
        }
        match self.how {
            Poll::Busy => false,
            Poll::Wait => true,
            Poll::Adaptive => now.saturating_sub(self.last_busy) > self.spin_ns,
        }
    }
}

/// How long a lane sleeps when nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rest {
    /// Something waits for the kernel.
    Nap,
    /// Something waits for a link that takes nothing.
    Doze,
    /// Nothing waits.
    Sleep,
}

impl Rest {
    const fn milliseconds(self) -> u8 {
        match self {
            Self::Nap => NAP_MS,
            Self::Doze => DOZE_MS,
            Self::Sleep => SLEEP_MS,
        }
    }
}

/// Sleeps until a packet comes, the doorbell rings, one of the desk's descriptors wants something or time is up. Says whether the desk wants something.
pub fn sleep<'a>(
    sockets: impl Iterator<Item = BorrowedFd<'a>>,
    doorbell: &'a OwnedFd,
    desk: impl Iterator<Item = BorrowedFd<'a>>,
    rest: Rest,
) -> bool {
    let mut fds: [_; MAX_FDS] = std::array::from_fn(|_| PollFd::new(doorbell.as_fd(), PollFlags::POLLIN));
    let mut n = 1;
    for descriptor in desk.take(3) {
        fds[n] = PollFd::new(descriptor, PollFlags::POLLIN);
        n += 1;
    }
    let first_socket = n;
    for socket in sockets.take(MAX_FDS - n) {
        fds[n] = PollFd::new(socket, PollFlags::POLLIN);
        n += 1;
    }
    let timeout = PollTimeout::from(rest.milliseconds());
    if poll(&mut fds[..n], timeout).is_err() {
        return false;
    }
    if fds[0].any() == Some(true) {
        let mut count = [0; 8];
        let _ = nix::unistd::read(doorbell, &mut count);
    }
    fds[1..first_socket].iter().any(|descriptor| descriptor.any() == Some(true))
}
