//! What the programs and the bench share: words of maps, buckets of a histogram.
//!
//! The bench takes this file in as a module of its own. Map values are arrays of 64-bit words, named here.

/// Words of the generator's plan and progress.
pub(crate) mod pace {
    /// Time between two packets, in 1/1024 ns; 0: no pace.
    pub(crate) const INTERVAL: usize = 0;
    /// How long to go on, in nanoseconds.
    pub(crate) const DURATION: usize = 1;
    /// How far behind its pace the generator may fall and still catch up, in 1/1024 ns.
    pub(crate) const SLACK: usize = 2;
    /// The interface to send by.
    pub(crate) const IFINDEX: usize = 3;
    /// How many streams take turns.
    pub(crate) const STREAMS: usize = 4;
    /// Number of the run, so that the sink knows a new one.
    pub(crate) const RUN: usize = 5;
    /// Where the payload begins.
    pub(crate) const PAYLOAD_AT: usize = 6;
    /// Where the last two bytes of the destination address lie.
    pub(crate) const ADDRESS_AT: usize = 7;
    /// Where the IPv4 header's checksum lies; 0: there is none.
    pub(crate) const CHECKSUM_AT: usize = 8;
    /// Progress: when the first packet was due, in nanoseconds since boot.
    pub(crate) const STARTED: usize = 9;
    /// Progress: when the next packet is due, in 1/1024 ns since the start.
    pub(crate) const DUE: usize = 10;
    /// Progress: the stream whose turn it is.
    pub(crate) const STREAM: usize = 11;
    /// Progress: the last two bytes of its address, as a number.
    pub(crate) const ADDRESS: usize = 12;
    /// Progress: the number of the next packet of that stream.
    pub(crate) const SEQUENCE: usize = 13;
    /// Progress: packets made.
    pub(crate) const SENT: usize = 14;
    /// Progress: times at which no packet was due.
    pub(crate) const SPARE: usize = 15;
    /// Progress: when the time was first seen to be over, in nanoseconds since the start.
    pub(crate) const ENDED: usize = 16;
    /// How many words there are.
    pub(crate) const WORDS: usize = 17;
}

/// 64-bit words at the beginning of each packet that are written anew: a receiver may have changed them.
pub(crate) const TEMPLATE_WORDS: usize = 12;

/// Words of what a sink counts.
pub(crate) mod tally {
    /// Packets that carry our stamp.
    pub(crate) const PACKETS: usize = 0;
    /// Their bytes, frames without the Ethernet checksum.
    pub(crate) const BYTES: usize = 1;
    /// Packets that came after one with a higher number: doubled, or out of order.
    pub(crate) const LATE: usize = 2;
    /// Packets that carry no stamp.
    pub(crate) const STRANGERS: usize = 3;
    /// How many words there are.
    pub(crate) const WORDS: usize = 4;
}

/// Words of the ceiling that rewrites and redirects in the kernel.
pub(crate) mod redirect {
    /// The interface to send by.
    pub(crate) const IFINDEX: usize = 0;
    /// The first eight bytes of the Ethernet header.
    pub(crate) const MACS_LOW: usize = 1;
    /// The next four.
    pub(crate) const MACS_HIGH: usize = 2;
    /// The destination address, as it lies in memory.
    pub(crate) const ADDRESS: usize = 3;
    /// The destination port, as it lies in memory.
    pub(crate) const PORT: usize = 4;
    /// How many words there are.
    pub(crate) const WORDS: usize = 5;
}

/// Each power of two is cut into this many buckets: a value is known to 1.6 %.
const FINE_BITS: u32 = 6;
const FINE: u64 = 1 << FINE_BITS;
/// Values from here on (4 seconds) fall into the last bucket.
const TOP_BITS: u32 = 32;
/// How many buckets there are.
pub(crate) const BUCKETS: u32 = (TOP_BITS - FINE_BITS + 1) << FINE_BITS;

/// The bucket of a value.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "compared with much less before")]
pub(crate) fn bucket(value: u64) -> u32 {
    if value < FINE {
        return value as u32;
    }
    if value >> TOP_BITS != 0 {
        return BUCKETS - 1;
    }
    // The place of the highest bit, by halves: BPF has no instruction for it.
    let mut place = 0;
    let mut rest = value;
    let mut step = 16;
    while step > 0 {
        if rest >> step != 0 {
            rest >>= step;
            place += step;
        }
        step /= 2;
    }
    let fine = (value >> (place - FINE_BITS)) & (FINE - 1);
    ((place - FINE_BITS + 1) << FINE_BITS) + fine as u32
}
