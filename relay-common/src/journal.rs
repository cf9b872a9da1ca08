//! The journal: how a batch is committed so that death at any point loses nothing and doubles nothing.
//!
//! A lane prepares a batch without changing anything that a successor would look at: descriptors go into ring slots
//! beyond the producers, copies into free frames, new headers and new owner words into the journal. Then it writes
//! state 1. From there on everything is a store that may be repeated: owner words, headers, ring indices. State 0
//! ends it. A lane that finds state 1 repeats all stores; one that finds state 0 has nothing to do, because the
//! received frames are still untouched in the receive ring.

use crate::rewrite::NewHeader;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Layout of the journal and the owner words; a successor of another layout must not take over.
pub const LAYOUT: u32 = 4;
/// Frames received in one batch.
pub const BATCH: usize = 64;
/// Sockets of one lane.
pub const MAX_SOCKETS: usize = 128;
/// Ring indices in one commit: each socket has four rings, and a number of void entries.
pub const MAX_RINGS: usize = 5 * MAX_SOCKETS;
/// Owner words in one commit: a batch may consume, copy, reap and refill.
pub const MAX_WORDS: usize = 16_384;

/// Nothing is under way.
pub const IDLE: u32 = 0;
/// A commit is under way: repeat it.
pub const COMMITTED: u32 = 1;

/// A ring index to store: the receive or completion consumer, or the transmit or fill producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RingMove {
    /// The socket's number within its lane, times four, plus the ring (see [`ring`]).
    pub ring: u32,
    /// The index to store.
    pub to: u32,
}

/// The four rings of a socket, as they are numbered in [`RingMove`].
pub mod ring {
    /// The fill ring's producer.
    pub const FILL: u32 = 0;
    /// The receive ring's consumer.
    pub const RX: u32 = 1;
    /// The transmit ring's producer.
    pub const TX: u32 = 2;
    /// The completion ring's consumer.
    pub const COMPLETION: u32 = 3;
    /// Added to a socket's number: not an index to store, but the place of an entry on its transmit ring that is void
    /// from now on. The kernel passes over it.
    pub const VOID: u32 = 1 << 16;
    /// Added to a socket's number: not an index to store, but how many entries of its transmit ring have become void so
    /// far and were not completed. Most kernels complete none, so they are missing for good among what was completed.
    pub const VOIDS: u32 = 1 << 17;
}

/// Entries of transmit rings that one commit makes void: beside them it has room for an index.
pub const MAX_VOIDS: usize = MAX_RINGS / 2;

/// An owner word to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WordMove {
    /// The frame's number within its lane.
    pub frame: u32,
    /// Its owner's word.
    pub owner: u32,
}

/// A header to copy into a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HeaderMove {
    /// Where it goes, in bytes from the start of the lane's frames.
    pub at: u64,
    /// The header.
    pub header: NewHeader,
    /// Always 0.
    pub zero: [u16; 3],
}

/// A queue of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Queue {
    /// The link's index.
    pub ifindex: u32,
    /// The queue's number on the link.
    pub number: u32,
}

/// The journal of one lane.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Journal {
    /// [`IDLE`] or [`COMMITTED`].
    pub state: u32,
    /// [`LAYOUT`].
    pub layout: u32,
    /// How many of `rings` count.
    pub n_rings: u32,
    /// How many of `words` count.
    pub n_words: u32,
    /// How many of `headers` count.
    pub n_headers: u32,
    /// Whose turn it is: each process of the lane that begins adds one, and one that pauses goes on only if nobody has
    /// meanwhile.
    pub turn: u32,
    /// Always 0.
    pub zero: [u32; 10],
    /// Ring indices.
    pub rings: [RingMove; MAX_RINGS],
    /// Owner words.
    pub words: [WordMove; MAX_WORDS],
    /// Headers.
    pub headers: [HeaderMove; BATCH],
    /// By the socket's number: entries of its transmit ring that were made void and not completed.
    pub voids: [u32; MAX_SOCKETS],
    /// By the socket's number: the queue that it is bound to, or was if it is gone. The kernel is asked about that queue
    /// before the frames of a socket that is gone are used again.
    pub queues: [Queue; MAX_SOCKETS],
}
