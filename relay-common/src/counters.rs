//! What a lane counts, and where each number stands in its counters memory.
//!
//! The memory is an array of 64-bit words that only the lane writes; control clears lines that are nobody's. First come
//! the lane's own, then a line per relay slot, then a line per output. Lines are multiples of 64 bytes, so that no two
//! lanes and no two relays share a cache line. The first word says which layout this is.

use crate::drops::Drop;

/// The layout: another number is another layout.
pub const LAYOUT: u64 = 2;
/// The word that holds [`LAYOUT`]: the first one, in every layout.
pub const LAYOUT_AT: usize = 0;
/// Words of the lane's own block.
pub const LANE_WORDS: usize = 192;
/// Words of a relay's line.
pub const RELAY_WORDS: usize = 32;
/// Words of an output's line.
pub const OUTPUT_WORDS: usize = 8;
/// Buckets of a histogram of times: powers of two of nanoseconds.
pub const LATENCY_BUCKETS: usize = 32;
/// Buckets of the histogram of batches: powers of two of packets.
pub const BATCH_BUCKETS: usize = 8;

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
    /// How often a lane has begun with these counters: once, and again after each death.
    Starts = "starts",
    /// When the lane made its first round, in nanoseconds of the monotonic clock.
    Started = "started",
    /// Nanoseconds spent in rounds that found something to do: their share of the time since is how busy the lane is.
    BusyNs = "busy_ns",
    /// Packets that were wanted for a capture and not shown, because its memory was full.
    NotShown = "not_shown",
    /// Calls that asked the kernel to go on receiving, or to poll a link.
    ReceiveCalls = "receive_calls",
}

/// Where the lane's own numbers begin.
pub const LANE_COUNTERS: usize = 1;
/// Where the lane's drops that belong to no relay begin.
pub const LANE_DROPS: usize = 48;
/// Where the lane's histogram of batches begins, by packets.
pub const LANE_BATCHES: usize = 80;
/// Where the lane's latency histogram begins.
pub const LANE_LATENCY: usize = 96;
/// Where the lane's histogram of rounds begins that found something to do, by nanoseconds.
pub const LANE_ROUNDS: usize = 128;

const _: () = assert!(LANE_COUNTERS + LaneCounter::ALL.len() <= LANE_DROPS);
const _: () = assert!(LANE_DROPS + Drop::COUNT <= LANE_BATCHES);
const _: () = assert!(LANE_BATCHES + BATCH_BUCKETS <= LANE_LATENCY);
const _: () = assert!(LANE_LATENCY + LATENCY_BUCKETS <= LANE_ROUNDS);
const _: () = assert!(LANE_ROUNDS + LATENCY_BUCKETS <= LANE_WORDS);
const _: () = assert!(LANE_WORDS.is_multiple_of(8) && RELAY_WORDS.is_multiple_of(8) && OUTPUT_WORDS.is_multiple_of(8));

/// Places in a relay's line. What every packet changes fills the first 64 bytes.
pub mod relay {
    /// Packets that came in.
    pub const PACKETS: usize = 0;
    /// Bytes that came in, as IP packets.
    pub const BYTES: usize = 1;
    /// When the last one came in, in nanoseconds of the monotonic clock.
    pub const LAST: usize = 2;
    /// The jitter of its arrival, in nanoseconds: see [`crate::meter::Arrival`].
    pub const JITTER: usize = 3;
    /// Packets that continue an RTP sequence.
    pub const RTP_PACKETS: usize = 4;
    /// MPEG-TS packets.
    pub const TS_PACKETS: usize = 5;
    /// The longest time between two packets, in nanoseconds.
    pub const LONGEST_GAP: usize = 6;
    /// How often nothing came for longer than the relay allows.
    pub const INTERRUPTIONS: usize = 7;
    /// Packets that are missing of the RTP sequence.
    pub const RTP_LOST: usize = 8;
    /// RTP packets that had come before.
    pub const RTP_DUPLICATES: usize = 9;
    /// RTP packets that others had overtaken.
    pub const RTP_REORDERED: usize = 10;
    /// How often another RTP sequence began.
    pub const RTP_RESTARTS: usize = 11;
    /// Continuity errors of MPEG-TS.
    pub const TS_ERRORS: usize = 12;
    /// Packets whose UDP checksum came unfinished: see [`crate::unfinished`].
    pub const CHECKSUMS_COMPLETED: usize = 13;
    /// Until when what it sends is known to come round over other nodes, or not known to do so no more, in nanoseconds of
    /// the monotonic clock.
    pub const LOOPS_UNTIL: usize = 14;
    /// Who it came round from: [`crate::looping::Sender::word`].
    pub const LOOP_FROM: usize = 15;
    /// Drops by reason begin here.
    pub const DROPS: usize = 16;
}

/// Places in an output's line.
pub mod output {
    use crate::drops::Drop;

    /// Packets put on a transmit ring.
    pub const PACKETS: usize = 0;
    /// Bytes put there, as IP packets.
    pub const BYTES: usize = 1;
    /// Reasons for which an output drops, in the order of their places from [`DROPS`].
    pub const REASONS: [Drop; 6] =
        [Drop::Pending, Drop::Muted, Drop::OverMtu, Drop::TxFull, Drop::NoFrame, Drop::TtlExpired];
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
            Drop::TtlExpired => DROPS + 5,
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

/// The bucket of a batch: bucket `i` holds those of fewer than `2^i` packets that are in no earlier one.
#[inline(always)]
#[must_use]
pub const fn batch_bucket(n: usize) -> usize {
    let bits = (usize::BITS - n.leading_zeros()) as usize;
    if bits < BATCH_BUCKETS { bits } else { BATCH_BUCKETS - 1 }
}

/// The bucket of a time: bucket `i` holds those below `2^i` nanoseconds that are in no earlier one.
#[inline(always)]
#[must_use]
pub const fn latency_bucket(ns: u64) -> usize {
    /// The longest time that is told from longer ones.
    const LONGEST: u64 = (1 << (LATENCY_BUCKETS - 1)) - 1;
    let ns = if ns < LONGEST { ns } else { LONGEST };
    // The bits of a number are the logarithm of twice it, and one so that there is one.
    (ns << 1 | 1).ilog2() as usize
}

#[cfg(test)]
mod tests {
    use super::{LATENCY_BUCKETS, latency_bucket};

    #[test]
    fn a_time_is_in_the_first_bucket_that_ends_after_it() {
        let ends = |bucket: usize| if bucket == LATENCY_BUCKETS - 1 { u64::MAX } else { 1 << bucket };
        let times = (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX - 1]);
        for ns in times {
            let first = (0..LATENCY_BUCKETS).find(|bucket| ns < ends(*bucket));
            assert_eq!(Some(latency_bucket(ns)), first, "{ns} ns");
        }
    }
}
