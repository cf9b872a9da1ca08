//! What a lane counts, and where each number stands in its counters memory.
//!
//! The memory is an array of 64-bit words that only the lane writes: first the lane's own, then a line per relay
//! slot, then a line per output. Lines are 64 or 128 bytes, so that no two lanes and no two relays share a cache line.

use crate::drops::Drop;

/// Words of the lane's own block.
pub const LANE_WORDS: usize = 128;
/// Words of a relay's line.
pub const RELAY_WORDS: usize = 16;
/// Words of an output's line.
pub const OUTPUT_WORDS: usize = 8;
/// Buckets of the latency histogram: powers of two of nanoseconds.
pub const LATENCY_BUCKETS: usize = 32;

macro_rules! lane_counters {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// A number that a lane keeps of itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum LaneCounter { $($(#[$doc])* $name,)* }

        impl LaneCounter {
            /// All of them, in the order of their places.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in summaries and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

lane_counters! {
    /// The generation of the table that the lane runs.
    Generation = "generation",
    /// When the lane last came round, in nanoseconds of the monotonic clock.
    Heartbeat = "heartbeat",
    /// Packets taken from receive rings.
    Received = "received",
    /// Descriptors put on transmit rings.
    Transmitted = "transmitted",
    /// Completions taken back.
    Completed = "completed",
    /// Frames copied, because outputs of one relay want different bytes.
    Copied = "copied",
    /// Batches committed.
    Batches = "batches",
    /// Commits of a dead lane that this one finished.
    Redone = "redone",
    /// Descriptors or completions from the kernel that make no sense: a frame that is not there or not its own.
    Foreign = "foreign",
    /// Transmit calls.
    Kicks = "kicks",
    /// Transmit calls that stopped before the ring was empty (EAGAIN): normal in copy mode.
    KickAgain = "kick_again",
    /// Transmit calls in which the device lost one packet (EBUSY).
    KickBusy = "kick_busy",
    /// Transmit calls without memory (ENOBUFS).
    KickNoBuffers = "kick_no_buffers",
    /// Transmit calls on a link that is down (ENETDOWN).
    KickLinkDown = "kick_link_down",
    /// Transmit calls that failed otherwise.
    KickOther = "kick_other",
    /// Times the lane slept.
    Sleeps = "sleeps",
    /// Stamps that named the right relay, so that nothing was looked up.
    StampHits = "stamp_hits",
    /// Free frames in the pool.
    Free = "free_frames",
    /// Frames whose owner word made no sense when the lane started: they are never used again.
    LostFrames = "lost_frames",
    /// Packets that were not sent because the socket they lay on was dropped: its link went.
    DroppedWithSocket = "dropped_with_socket",
}

/// Where the lane's drops that belong to no relay begin.
pub const LANE_DROPS: usize = 32;
/// Where the lane's latency histogram begins.
pub const LANE_LATENCY: usize = 64;

const _: () = assert!(LaneCounter::ALL.len() <= LANE_DROPS);
const _: () = assert!(LANE_DROPS + Drop::COUNT <= LANE_LATENCY);
const _: () = assert!(LANE_LATENCY + LATENCY_BUCKETS <= LANE_WORDS);

/// Places in a relay's line.
pub mod relay {
    /// Packets that came in.
    pub const PACKETS: usize = 0;
    /// Bytes that came in, as IP packets.
    pub const BYTES: usize = 1;
    /// When the last one came in, in nanoseconds of the monotonic clock.
    pub const LAST: usize = 2;
    /// Drops by reason begin here.
    pub const DROPS: usize = 4;
}

/// Places in an output's line.
pub mod output {
    use crate::drops::Drop;

    /// Packets put on a transmit ring.
    pub const PACKETS: usize = 0;
    /// Bytes put there, as IP packets.
    pub const BYTES: usize = 1;
    /// Reasons for which an output drops, in the order of their places from [`DROPS`].
    pub const REASONS: [Drop; 5] = [Drop::Pending, Drop::Muted, Drop::OverMtu, Drop::TxFull, Drop::NoFrame];
    /// Drops by reason begin here.
    pub const DROPS: usize = 2;

    /// The place of a reason in an output's line.
    #[inline(always)]
    #[must_use]
    pub const fn place(reason: Drop) -> usize {
        match reason {
            Drop::Muted => DROPS + 1,
            Drop::OverMtu => DROPS + 2,
            Drop::TxFull => DROPS + 3,
            Drop::NoFrame => DROPS + 4,
            _ => DROPS,
        }
    }
}

const _: () = assert!(relay::DROPS + Drop::COUNT <= RELAY_WORDS);
const _: () = assert!(output::DROPS + output::REASONS.len() <= OUTPUT_WORDS);

/// How many words a lane's counters take.
#[must_use]
pub const fn words(max_relays: u32, max_outputs: u32) -> usize {
    LANE_WORDS + max_relays as usize * RELAY_WORDS + max_outputs as usize * OUTPUT_WORDS
}

/// Where a relay's line begins.
#[inline(always)]
#[must_use]
pub const fn relay_line(slot: u32) -> usize {
    LANE_WORDS + slot as usize * RELAY_WORDS
}

/// Where an output's line begins.
#[inline(always)]
#[must_use]
pub const fn output_line(max_relays: u32, counter: u32) -> usize {
    LANE_WORDS + max_relays as usize * RELAY_WORDS + counter as usize * OUTPUT_WORDS
}

/// The bucket of a latency: bucket `i` holds those below `2^i` nanoseconds that are in no earlier one.
#[inline(always)]
#[must_use]
pub const fn latency_bucket(ns: u64) -> usize {
    let bits = (64 - ns.leading_zeros()) as usize;
    if bits < LATENCY_BUCKETS { bits } else { LATENCY_BUCKETS - 1 }
}
