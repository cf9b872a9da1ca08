//! The stamp in a payload, by its offsets. Numbers are little-endian.
//!
//! ```text
//! 0         2      6        8     10         14     22
//! | balance | mark | stream | run | sequence | time |
//! ```

/// 16 bits that keep the UDP checksum what it was.
pub(crate) const BALANCE: usize = 0;
/// 32 bits that mark our packets.
pub(crate) const MARK: usize = 2;
/// 16 bits: the stream.
pub(crate) const STREAM: usize = 6;
/// 16 bits: the run.
pub(crate) const RUN: usize = 8;
/// 32 bits: the packet's number in its stream.
pub(crate) const SEQUENCE: usize = 10;
/// 64 bits: when it was made, in nanoseconds since boot.
pub(crate) const TIME: usize = 14;
/// What [`MARK`] holds.
pub(crate) const OURS: u32 = 0x6d63_7221;
