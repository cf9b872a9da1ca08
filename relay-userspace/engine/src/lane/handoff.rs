//! What control and a lane say to each other: fixed messages over a sequenced socket, with descriptors beside them.
//!
//! Each request is answered, with its own serial number, so that control knows what a lane has before it goes on, and
//! takes no late answer for the present one. At first the socket is the lane's standard input; a later control comes
//! in by the lane's door.
//!
//! # What never changes
//!
//! A control takes over lanes of other versions. For that, [`Message`]'s length and the places of `kind`, `protocol`,
//! `serial`, `number`, `tag` and `note` are frozen, and so are the numbers and the meaning of [`kind::HOLD`],
//! [`kind::FORGET`], [`kind::SHOW`], [`kind::STOP_AT_EDGE`], [`kind::LOOK`] and of every answer. A test pins them. The rest belongs
//! to one [`PROTOCOL`]: a lane answers [`kind::UNKNOWN`] where it is asked in another.

use crate::sys::fd_passing::{self as passing, Received, Sender, Waits};
use said::{Numbers, Said};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub mod said; // what messages of each kind say

/// The version of everything here that is not frozen, and of the memory that is shared: table, counters and memo.
pub const PROTOCOL: u32 = 5;
/// What is held by tags from here on, by the number of its lane, are the counters of a lane, to be read by the others: what
/// has come to them has not been lost. They are sealed to the length that counters have here.
pub const COUNTERS: u64 = 3 << 32;
/// Controls that wait at a lane's door to be let in. There is one at a time; the others are strangers.
pub const WAITING: i32 = 8;
/// What is held by these tags are the two copies of what control writes down for its successor. Whoever looks is shown them.
pub const MEMO: [u64; 2] = [1, 2];
/// What is held by this tag is the reading end of a pipe, whose other end systemd keeps as long as the unit is active, or to be
/// started again. A lane without a control ends when it has hung up.
pub const UNIT: u64 = 8;
/// The longest note that a held descriptor has.
pub const NOTE: usize = 64;

/// A message in either direction. What a field means depends on `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Message {
    /// See [`kind`].
    pub kind: u32,
    /// The sender's [`PROTOCOL`].
    pub protocol: u32,
    /// A request's number; its answers repeat it.
    pub serial: u32,
    /// Start, shown: the lane's number. Take, drop, reclaim: the socket's number within the lane.
    pub number: u32,
    /// What else is said, which depends on the kind: see [`said`].
    pub numbers: Numbers,
    /// Not used yet.
    pub spare: [u32; 2],
    /// Hold, forget: by what the descriptor is known.
    pub tag: u64,
    /// Hold: what whoever has it held wants to remember with it.
    pub note: [u8; NOTE],
}

impl Default for Message {
    fn default() -> Self {
        let (kind, serial, number, tag, numbers) = Default::default();
        Self { kind, protocol: PROTOCOL, serial, number, numbers, spare: [0; 2], tag, note: [0; NOTE] }
    }
}

impl Message {
    /// A message of a kind, with nothing in it.
    #[must_use]
    pub fn of(kind: u32) -> Self {
        Self { kind, ..Self::default() }
    }

    /// A request to hold a descriptor. A longer note is cut.
    #[must_use]
    pub fn hold(tag: u64, note: &[u8]) -> Self {
        let (mut message, mut note_len) = (Self { tag, ..Self::default() }, 0);
        for (place, byte) in message.note.iter_mut().zip(note) {
            *place = *byte;
            note_len += 1;
        }
        Self { kind: kind::HOLD, ..message }.saying(said::Hold { note_len, ..said::Hold::default() })
    }

    /// The same message, saying that.
    #[must_use]
    pub fn saying(self, said: impl Said) -> Self {
        let mut numbers = Numbers::default();
        for (place, number) in numbers.as_mut_bytes().iter_mut().zip(said.as_bytes()) {
            *place = *number;
        }
        Self { numbers, ..self }
    }

    /// What is said, of a message of the kind that says such.
    #[must_use]
    pub fn says<T: Said>(&self) -> T {
        // Each of them is as long as the numbers are: a test sees to it.
        T::read_from_prefix(self.numbers.as_bytes()).map_or_else(|_| T::new_zeroed(), |(said, _)| said)
    }

    /// The note of a held descriptor.
    #[must_use]
    pub fn note(&self) -> &[u8] {
        &self.note[..(self.says::<said::Hold>().note_len as usize).min(NOTE)]
    }
}

/// Kinds of messages.
pub mod kind {
    /// Control: here is your [`Outfit`](super::Outfit).
    pub const START: u32 = 1;
    /// Control: here is a socket. Before [`GO`] its fill ring is full; later it is empty and not bound, and the lane
    /// fills it from its own pool before it answers.
    pub const TAKE: u32 = 2;
    /// Control: you have everything, go.
    pub const GO: u32 = 3;
    /// Control: this socket is going away. The lane takes its packets off its rings, unmaps and closes it. Control has
    /// a copy until this is answered: who closes the last one waits for the kernel, which a lane must not.
    pub const DROP: u32 = 4;
    /// Control: the kernel has let go of a dropped socket; its frames are free.
    pub const RECLAIM: u32 = 5;
    /// Control, frozen: keep this descriptor for others. One with the same tag is let go.
    pub const HOLD: u32 = 6;
    /// Control, frozen: let the descriptor of that tag go. That there is none is no error. Control has a copy until
    /// this is answered, as for [`DROP`].
    pub const FORGET: u32 = 7;
    /// Control, frozen: show what you have. Answered with [`SHOWN`], then [`START`] with the outfit, then a [`TAKE`]
    /// with each socket, then a [`HOLD`] with each held descriptor, then [`DONE`].
    pub const SHOW: u32 = 8;
    /// Control, frozen: commit, answer, and end at once, with everything as it stands, for a successor.
    pub const STOP_AT_EDGE: u32 = 9;
    /// Control: this socket sends for another output link from now on, or for none.
    pub const USE: u32 = 10;
    /// Control: commit, answer, and wait. Another process is told to go on in this one's place; this one ends when control
    /// hangs up and the other has begun, and goes on by itself when it has not.
    pub const PAUSE: u32 = 11;
    /// Control, to a lane that pauses: go on.
    pub const RESUME: u32 = 12;
    /// Whoever wants to know how the lane is, frozen: it says so with [`LOOKED`] and hangs up. Nothing is taken over.
    pub const LOOK: u32 = 13;
    /// The lane, frozen: done.
    pub const DONE: u32 = 100;
    /// The lane, frozen: not done; see [`Refusal`](super::Refusal).
    pub const REFUSED: u32 = 101;
    /// The lane, frozen: this is who I am.
    pub const SHOWN: u32 = 102;
    /// The lane, frozen, to who comes in by the door: control is here already. In `tag` and beside it what [`LOOKED`] has.
    pub const BUSY: u32 = 103;
    /// The lane, frozen: I do not know what you mean.
    pub const UNKNOWN: u32 = 104;
    /// The lane, frozen: I come round, and no control is here. In `tag` is since when none was in charge, in nanoseconds of
    /// the monotonic clock, or 0 when that is not known; beside it are the two copies of the memo, if both are held.
    pub const LOOKED: u32 = 105;
}

/// Why a lane did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its pool cannot fill another ring.
    #[error("only {free} frames are free: raise lanes.frames")]
    TooFewFrames {
        /// How many are free.
        free: u32,
    },
    /// The number is in use.
    #[error("the lane has a socket of that number")]
    Occupied,
    /// The kernel may still look at frames of a socket of that number.
    #[error("{frames} frames of an earlier socket of that number were not reclaimed")]
    Parked {
        /// How many.
        frames: u32,
    },
    /// A number that no socket can have.
    #[error("no socket can have that number")]
    NoSuchNumber,
    /// Not exactly one descriptor came beside the message.
    #[error("the descriptor did not arrive: raise the limit of open files (LimitNOFILE)")]
    NoDescriptor,
    /// The rings of a socket could not be mapped.
    #[error("the lane cannot map the socket's rings: {0}")]
    Unmappable(nix::errno::Errno),
    /// A reason of another version.
    #[error("reason {code}")]
    Other {
        /// Its code.
        code: u32,
    },
}

impl Refusal {
    /// The answer that says so.
    #[must_use]
    pub fn message(self) -> Message {
        let (code, detail) = match self {
            Self::TooFewFrames { free } => (1, free),
            Self::Occupied => (2, 0),
            Self::Parked { frames } => (3, frames),
            Self::NoSuchNumber => (4, 0),
            Self::NoDescriptor => (5, 0),
            Self::Unmappable(errno) => (6, (errno as i32).cast_unsigned()),
            Self::Other { code } => (code, 0),
        };
        Message::of(kind::REFUSED).saying(said::Refused { code, detail, ..said::Refused::default() })
    }

    /// What an answer says.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let said::Refused { code, detail, .. } = message.says();
        match (code, detail) {
            (1, free) => Self::TooFewFrames { free },
            (2, _) => Self::Occupied,
            (3, frames) => Self::Parked { frames },
            (4, _) => Self::NoSuchNumber,
            (5, _) => Self::NoDescriptor,
            (6, errno) => Self::Unmappable(nix::errno::Errno::from_raw(errno.cast_signed())),
            (code, _) => Self::Other { code },
        }
    }
}

/// Descriptors that come with a [`kind::START`].
pub const OUTFIT: usize = 7;
const _: () = assert!(OUTFIT <= passing::MOST);

/// What a lane is given at its start, and shows to a later control: by these it can be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outfit<T = OwnedFd> {
    /// The frames.
    pub frames: T,
    /// The journal, and behind it the owner words.
    pub ledger: T,
    /// The table, to be read.
    pub table: T,
    /// The counters.
    pub counters: T,
    /// Wakes the lane.
    pub doorbell: T,
    /// Where a later control comes in.
    pub door: T,
    /// Where the lane shows packets to whoever captures them.
    pub tap: T,
}

impl<T> Outfit<T> {
    /// The parts as a message carries them.
    pub fn into_array(self) -> [T; OUTFIT] {
        let Self { frames, ledger, table, counters, doorbell, door, tap } = self;
        [frames, ledger, table, counters, doorbell, door, tap]
    }

    /// The parts that a message carried.
    pub fn from_array([frames, ledger, table, counters, doorbell, door, tap]: [T; OUTFIT]) -> Self {
        Self { frames, ledger, table, counters, doorbell, door, tap }
    }

    /// Each part, borrowed.
    pub const fn each_ref(&self) -> Outfit<&T> {
        let Self { frames, ledger, table, counters, doorbell, door, tap } = self;
        Outfit { frames, ledger, table, counters, doorbell, door, tap }
    }
}

/// Sends a message with descriptors.
pub fn send(socket: BorrowedFd<'_>, message: &Message, descriptors: &[RawFd], waits: Waits) -> io::Result<()> {
    passing::send(socket, message.as_bytes(), descriptors, waits)
}

/// Takes a message. `None` when the other side is gone; an error of kind `InvalidData` when it is none of these.
pub fn receive(socket: BorrowedFd<'_>, waits: Waits) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    Ok(receive_from(socket, waits)?.map(|(message, descriptors, _)| (message, descriptors)))
}

/// A message, the descriptors beside it, and who sent it, where the kernel was asked.
pub type Heard = (Message, Vec<OwnedFd>, Option<Sender>);

/// Takes a message as [`receive`] does, with who sent it.
pub fn receive_from(socket: BorrowedFd<'_>, waits: Waits) -> io::Result<Option<Heard>> {
    let mut message = Message::default();
    let Received { bytes, descriptors, sender } = passing::receive(socket, message.as_mut_bytes(), waits)?;
    match bytes {
        0 => Ok(None),
        n if n == size_of::<Message>() => Ok(Some((message, descriptors, sender))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests;
