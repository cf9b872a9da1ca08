//! A port: a lane's rings of one socket, mapped from its descriptor.

use super::options::{self, RingOffset};
use super::ring::{Consumer, Descriptor, Entry, Offsets, Producer};
use crate::memory::Mapping;
use relay_common::journal::ring;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

// Where the kernel keeps the rings of a socket, as offsets for mmap.
pub(super) const PGOFF_RX: i64 = 0;
pub(super) const PGOFF_TX: i64 = 0x8000_0000;
pub(super) const PGOFF_FILL: i64 = 0x1_0000_0000;
pub(super) const PGOFF_COMPLETION: i64 = 0x1_8000_0000;

/// The four rings of one socket; a socket that only sends has no receive ring, and the other way round.
#[derive(Debug)]
pub struct Port {
    fd: OwnedFd,
    ring_size: u32,
    /// Empty frames for the kernel.
    pub fill: Producer<u64>,
    /// Packets from the kernel.
    pub rx: Option<Consumer<Descriptor>>,
    /// Packets for the kernel.
    pub tx: Option<Producer<Descriptor>>,
    /// Frames whose packets were sent.
    pub completion: Consumer<u64>,
    /// The index of the completion ring that the kernel knows: what is not behind it is still under way.
    settled: u32,
}

impl Port {
    /// Maps the rings of a socket. All rings have the same size, which the kernel does not tell.
    pub fn open(fd: OwnedFd, receives: bool, sends: bool, ring_size: u32) -> io::Result<Self> {
        let all = options::mmap_offsets(fd.as_fd())?;
        let socket = fd.as_fd();
        let rx = receives.then(|| map::<Descriptor>(socket, all.rx, ring_size, PGOFF_RX)).transpose()?;
        let tx = sends.then(|| map::<Descriptor>(socket, all.tx, ring_size, PGOFF_TX)).transpose()?;
        let (fill, fill_at) = map::<u64>(socket, all.fill, ring_size, PGOFF_FILL)?;
        let (completion, completion_at) = map::<u64>(socket, all.completion, ring_size, PGOFF_COMPLETION)?;
        let completion = Consumer::new(completion, completion_at, ring_size);
        Ok(Self {
            ring_size,
            fill: Producer::new(fill, fill_at, ring_size),
            rx: rx.map(|(map, at)| Consumer::new(map, at, ring_size)),
            tx: tx.map(|(map, at)| Producer::new(map, at, ring_size)),
            settled: completion.next(),
            completion,
            fd,
        })
    }

    /// The socket.
    #[inline]
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// How many packets the transmit ring takes now. No more than a ring of them is ever under way, so that the
    /// completion ring has room for each.
    #[inline]
    pub fn tx_room(&mut self) -> u32 {
        let Some(tx) = &mut self.tx else { return 0 };
        let under_way = tx.next().wrapping_sub(self.settled);
        tx.room().min(self.ring_size.saturating_sub(under_way))
    }

    /// Packets handed to the kernel and not yet completed.
    #[must_use]
    pub fn n_under_way(&self) -> u32 {
        self.tx.as_ref().map_or(0, |tx| tx.next().wrapping_sub(self.completion.next()))
    }

    /// Takes all rings up anew where their indices stand in memory.
    pub fn look_again(&mut self) {
        self.fill.look_again();
        self.rx.iter_mut().for_each(Consumer::look_again);
        self.tx.iter_mut().for_each(Producer::look_again);
        self.completion.look_again();
        self.settled = self.completion.next();
    }

    /// Stores one ring index; `which` as in the journal.
    #[inline]
    pub fn publish(&mut self, which: u32, to: u32) {
        match (which, &mut self.rx, &self.tx) {
            (ring::FILL, ..) => self.fill.publish(to),
            (ring::RX, Some(rx), _) => rx.publish(to),
            (ring::TX, _, Some(tx)) => tx.publish(to),
            (ring::COMPLETION, ..) => {
                self.completion.publish(to);
                self.settled = to;
            }
            _ => {}
        }
    }
}

fn map<T: Entry>(
    socket: BorrowedFd<'_>,
    offset: RingOffset,
    ring_size: u32,
    pgoff: i64,
) -> io::Result<(Mapping, Offsets)> {
    let to_usize = |value: u64| usize::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    let offsets = Offsets {
        producer: to_usize(offset.producer)?,
        consumer: to_usize(offset.consumer)?,
        flags: to_usize(offset.flags)?,
        entries: to_usize(offset.desc)?,
    };
    let len = offsets.entries + ring_size as usize * size_of::<T>();
    Ok((Mapping::shared_at(socket, len, pgoff)?, offsets))
}

/// Rings in plain memory, for tests that play the kernel.
#[cfg(test)]
pub mod fake;
