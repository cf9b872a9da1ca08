//! The tap: a ring in shared memory by which a lane shows packets to whoever captures them.
//!
//! The lane writes and one reader reads. Which relays are shown is the reader's to say; while it says none, a lane looks
//! at one word a batch. Neither ever waits: what finds the ring full is not shown, and counted.
//!
//! A record is whole before the head moves over it, and stays until the tail has moved over it, so none is read torn,
//! not even when the lane dies in the middle of one.

use super::{Mapping, PAGE};
use relay_common::plan::MAX_RELAYS;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod reader;
pub use reader::{Caught, TapReader};

/// Marks a tap of this layout.
const LAYOUT: u64 = 1;
/// Words at the beginning, by their bytes: each side writes in a cache line of its own.
const LAYOUT_AT: usize = 0;
const N_WANTED: usize = 64;
const SNAP: usize = 72;
const TAIL: usize = 80;
const HEAD: usize = 128;
/// A bit for each slot that is shown.
const WANTED: usize = PAGE;
const WANTED_WORDS: usize = (MAX_RELAYS / u64::BITS) as usize;
/// The ring: some 3000 packets of a broadcast stream, a quarter of a second of 100 Mbit/s in and out.
const RING: usize = WANTED + WANTED_WORDS * 8;
const RING_LEN: usize = 4 << 20;
const RING_BYTES: u64 = RING_LEN as u64;
/// Bytes that a tap takes.
pub const BYTES: usize = RING + RING_LEN;
const _: () = assert!(RING.is_multiple_of(PAGE) && RING_BYTES.is_power_of_two());

/// Makes a tap that shows nothing yet.
pub fn create() -> io::Result<OwnedFd> {
    let fd = super::create(c"mcr-tap", BYTES)?;
    Words(open(&fd)?).at(LAYOUT_AT).store(LAYOUT, Relaxed);
    Ok(fd)
}

fn open(fd: impl AsFd) -> io::Result<Mapping> {
    Mapping::shared(fd, BYTES)
}

/// Which way a packet went, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It came in.
    In {
        /// The kernel's index of the link.
        ifindex: u32,
    },
    /// It was put on a transmit ring.
    Out {
        /// The number of the output link in the table.
        link: u16,
        /// The output's place among the counters.
        counter: u32,
    },
}

/// What is known of a packet besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// The slot of its relay.
    pub slot: u32,
    /// Its way.
    pub way: Way,
}

/// What stands in front of a packet in the ring. A record that only fills the ring up to its end has no more than the
/// first two fields.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Record {
    /// Bytes from here to the next record: a multiple of 8.
    len: u32,
    kind: u32,
    time_ns: u64,
    slot: u32,
    link: u32,
    counter: u32,
    /// The packet's length.
    original: u32,
    /// How many bytes of it follow.
    caught: u32,
    zero: u32,
}
const RECORD: u64 = size_of::<Record>() as u64;
const _: () = assert!(RECORD == 40);

/// Kinds of records.
const FILL: u32 = 0;
const IN: u32 = 1;
const OUT: u32 = 2;

/// The words of a tap.
#[derive(Debug)]
struct Words(Mapping);

impl Words {
    #[inline]
    fn at(&self, at: usize) -> &AtomicU64 {
        &self.0.words64(at, 1)[0]
    }

    #[inline]
    fn wanted(&self) -> &[AtomicU64] {
        self.0.words64(WANTED, WANTED_WORDS)
    }
}

/// The lane's side.
#[derive(Debug)]
pub struct TapWriter {
    words: Words,
    /// What the reader wants of a packet, as of this batch.
    snap: usize,
}

impl TapWriter {
    /// Maps a tap for the lane.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        let words = Words(open(fd)?);
        match words.at(LAYOUT_AT).load(Relaxed) {
            LAYOUT => Ok(Self { words, snap: 0 }),
            other => Err(io::Error::other(format!("the tap has layout {other}, this lane knows {LAYOUT}"))),
        }
    }

    /// The writer, if anything is to be shown: asked once a batch.
    #[inline]
    pub fn while_wanted(&mut self) -> Option<&mut Self> {
        if self.words.at(N_WANTED).load(Relaxed) == 0 {
            return None;
        }
        self.snap = usize::try_from(self.words.at(SNAP).load(Relaxed)).unwrap_or(usize::MAX);
        Some(self)
    }

    /// Whether packets of the relay at that slot are shown.
    #[must_use]
    pub fn wants(&self, slot: u32) -> bool {
        let word = self.words.wanted().get((slot / u64::BITS) as usize);
        word.is_some_and(|word| word.load(Relaxed) >> (slot % u64::BITS) & 1 != 0)
    }

    /// Shows a packet, whose bytes are the first and then the second part. Says whether there was room for it.
    #[cold]
    #[expect(clippy::cast_possible_truncation, reason = "a record is shorter than the ring, which is 4 MiB")]
    pub fn show(&mut self, about: &About, parts: [&[u8]; 2]) -> bool {
        let original = parts[0].len() + parts[1].len();
        let caught = original.min(self.snap);
        let len = (RECORD + caught as u64).next_multiple_of(8);
        let (mut head, tail) = (self.words.at(HEAD).load(Relaxed), self.words.at(TAIL).load(Acquire));
        let to_end = RING_BYTES - head % RING_BYTES;
        let fill = if len > to_end { to_end } else { 0 };
        if len + fill > RING_BYTES || head + fill + len > tail.saturating_add(RING_BYTES) {
            return false;
        }
        if fill > 0 {
            self.part(head, 8).copy_from_slice([fill as u32, FILL].as_bytes());
            head += fill;
        }
        let (kind, link, counter) = match about.way {
            Way::In { ifindex } => (IN, ifindex, 0),
            Way::Out { link, counter } => (OUT, u32::from(link), counter),
        };
        let record = Record {
            len: len as u32,
            kind,
            time_ns: about.time_ns,
            slot: about.slot,
            link,
            counter,
            original: original as u32,
            caught: caught as u32,
            zero: 0,
        };
        self.part(head, RECORD as usize).copy_from_slice(record.as_bytes());
        let first = parts[0].len().min(caught);
        let place = self.part(head + RECORD, caught);
        place[..first].copy_from_slice(&parts[0][..first]);
        place[first..].copy_from_slice(&parts[1][..caught - first]);
        self.words.at(HEAD).store(head + len, Release);
        true
    }

    /// A part of the ring that the reader does not look at.
    fn part(&mut self, at: u64, len: usize) -> &mut [u8] {
        self.words.0.bytes_mut(RING + (at % RING_BYTES) as usize, len)
    }
}

#[cfg(test)]
mod tests;
