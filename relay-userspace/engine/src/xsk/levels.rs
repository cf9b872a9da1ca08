//! How full the rings of a socket are, for whoever looks: their indices are read, and nothing else.

use super::options::{self, RingOffset};
use super::port::{PGOFF_COMPLETION, PGOFF_FILL, PGOFF_RX, PGOFF_TX};
use crate::memory::{Mapping, PAGE};
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;

/// Entries on each ring; none where the socket has no such ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Empty frames for the kernel.
    pub fill: u32,
    /// Packets that a lane has not taken yet.
    pub rx: Option<u32>,
    /// Packets that the kernel has not taken yet.
    pub tx: Option<u32>,
    /// Frames that were sent and not taken back yet.
    pub completion: u32,
}

/// Looks at the rings of a socket. They are mapped for the look only: a mapping that stayed would keep the socket from
/// going when everybody else has let go of it.
pub fn levels(socket: BorrowedFd<'_>, receives: bool, sends: bool) -> io::Result<Levels> {
    let all = options::mmap_offsets(socket)?;
    let level = |offset: RingOffset, pgoff: i64| -> io::Result<u32> {
        let at = |offset: u64| {
            // Both indices stand at the head of the ring; elsewhere they would be another kernel's.
            let at = usize::try_from(offset).ok().filter(|at| at + size_of::<u32>() <= PAGE);
            at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
        };
        let (producer, consumer) = (at(offset.producer)?, at(offset.consumer)?);
        let ring = Mapping::shared_at(socket, PAGE, pgoff)?;
        let index = |at: usize| ring.words32(at, 1)[0].load(Relaxed);
        // The consumer is read first, so that what happens in between does not look like less than nothing.
        let consumer = index(consumer);
        Ok(index(producer).wrapping_sub(consumer))
    };
    Ok(Levels {
        fill: level(all.fill, PGOFF_FILL)?,
        rx: receives.then(|| level(all.rx, PGOFF_RX)).transpose()?,
        tx: sends.then(|| level(all.tx, PGOFF_TX)).transpose()?,
        completion: level(all.completion, PGOFF_COMPLETION)?,
    })
}
