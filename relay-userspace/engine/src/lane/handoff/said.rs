//! What messages of each kind say beside what every message has: eight numbers, by their names. Those that a kind leaves
//! out are 0.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The eight numbers of a message.
pub type Numbers = [u32; 8];

/// What the numbers of a message mean by its kind.
pub trait Said: FromBytes + IntoBytes + Immutable + KnownLayout {}

/// What a lane is started with: see [`kind::START`](super::kind::START).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Start {
    /// Bytes per frame.
    pub frame_size: u32,
    /// How many frames.
    pub frames: u32,
    /// Places in each ring.
    pub ring_size: u32,
    /// Relays that the table has room for.
    pub relays: u32,
    /// Outputs that the table has room for.
    pub outputs: u32,
    /// How to wait: 0 busy, 1 adaptive, 2 wait.
    pub poll: u32,
    /// Microseconds to spin.
    pub spin_us: u32,
    /// The core to run on plus 1, or 0 for any.
    pub core: u32,
}

/// A socket as it is handed over: see [`kind::TAKE`](super::kind::TAKE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Take {
    /// The link's index.
    pub ifindex: u32,
    /// See [`output`].
    pub output: u32,
    /// 1 when it receives.
    pub receives: u32,
    /// 1 when it is busy polled.
    pub busy_polled: u32,
    /// The link's queue.
    pub queue: u32,
    /// 1 when it has a transmit ring.
    pub transmits: u32,
    /// What was wanted of zero-copy: 0 not, 1 tried, 2 demanded.
    pub zero_copy: u32,
    /// Not used yet.
    pub spare: u32,
}

/// What a socket sends for from now on: see [`kind::USE`](super::kind::USE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Use {
    /// Not used.
    pub spare: u32,
    /// See [`output`]. It stands where it stands in a [`Take`].
    pub output: u32,
    /// Not used yet.
    pub rest: [u32; 6],
}

/// How a socket goes away: see [`kind::DROP`](super::kind::DROP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Drop {
    /// Not used.
    pub spare: u32,
    /// 1 when its link is down, so that what is under way is stale.
    pub link_is_down: u32,
    /// Not used yet.
    pub rest: [u32; 6],
}

/// Whose turn it was: see [`kind::GO`](super::kind::GO).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Go {
    /// The turn of the one that waits plus 1, or 0 where there is none.
    pub turn: u32,
    /// Not used yet.
    pub rest: [u32; 7],
}

/// What is held: see [`kind::HOLD`](super::kind::HOLD).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Hold {
    /// Bytes of the note.
    pub note_len: u32,
    /// Not used yet.
    pub rest: [u32; 7],
}

/// Who a lane is: see [`kind::SHOWN`](super::kind::SHOWN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Shown {
    /// What the lane takes for its process; control asks the kernel.
    pub pid: u32,
    /// The journal's layout.
    pub layout: u32,
    /// How many sockets follow.
    pub sockets: u32,
    /// How many held descriptors follow.
    pub held: u32,
    /// Not used yet.
    pub rest: [u32; 4],
}

/// What came of it: see [`kind::DONE`](super::kind::DONE).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Done {
    /// Frames that came free by a reclaim, packets that went with a dropped socket, the turn of a lane that pauses (see
    /// [`Journal::turn`](relay_common::journal::Journal::turn)).
    pub number: u32,
    /// Not used yet.
    pub rest: [u32; 7],
}

/// Why not: see [`Refusal`](super::Refusal).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Refused {
    /// The code of the reason.
    pub code: u32,
    /// What belongs to it.
    pub detail: u32,
    /// Not used yet.
    pub rest: [u32; 6],
}

impl Said for Start {}
impl Said for Take {}
impl Said for Use {}
impl Said for Drop {}
impl Said for Go {}
impl Said for Hold {}
impl Said for Shown {}
impl Said for Done {}
impl Said for Refused {}

impl Done {
    /// With a number.
    #[must_use]
    pub const fn with(number: u32) -> Self {
        Self { number, rest: [0; 7] }
    }
}

/// An output link's number in a message: plus 1, or 0 when there is none.
#[must_use]
pub fn output(number: Option<u16>) -> u32 {
    number.map_or(0, |number| u32::from(number) + 1)
}
