//! Bytes that prove where they come from.
//!
//! A payload begins with a [`Stamp`]: which stream, which number, when it was sent. All bytes after it follow from stream
//! and number, so the receiver knows each of them without having seen the sender. In the shape of a broadcast stream
//! (RTP with MPEG-TS packets) stamp and bytes lie inside the TS packets, and the headers follow from stream and number
//! as well.
//!
//! ```text
//!  0      4      8              16             24             32
//! | magic | stream | sequence    | sent, ns     | proof        | filler …
//! ```

use std::fmt;

const MAGIC: [u8; 4] = *b"LAB1";
/// Bytes of a stamp.
pub const STAMP: usize = 32;
/// Bytes of an RTP header without extensions.
pub const RTP_HEADER: usize = 12;
/// Bytes of a TS packet.
pub const TS_PACKET: usize = 188;
const TS_HEADER: usize = 4;
const TS_SYNC: u8 = 0x47;
const TS_PER_DATAGRAM: u64 = 7;
/// Ticks of RTP's 90 kHz clock between two datagrams; what a stream of 10 Mbit/s has.
const RTP_TICKS: u64 = 95;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the stream.
    pub stream: u32,
    /// Number of the datagram within its stream, from 0.
    pub sequence: u64,
    /// When it was sent, in nanoseconds of `CLOCK_MONOTONIC`.
    pub sent_ns: u64,
}

/// How the bytes are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// The stamp first, filler after it. At least [`STAMP`] bytes.
    #[default]
    Plain,
    /// An RTP header and TS packets, usually seven of them (1328 bytes).
    RtpTs,
}

/// Why a payload is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// No stamp: not of this laboratory, or spoilt at its very beginning.
    NoStamp,
    /// The stamp's parts do not fit together.
    BadStamp,
    /// A length that the shape cannot have.
    Length(usize),
    /// The first wrong byte.
    Byte {
        /// Which byte of the payload.
        at: usize,
        /// What it is.
        found: u8,
        /// What it should be.
        expected: u8,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStamp => formatter.write_str("it carries no stamp of a source"),
            Self::BadStamp => formatter.write_str("its stamp is spoilt"),
            Self::Length(length) => write!(formatter, "{length} bytes cannot have this shape"),
            Self::Byte { at, found, expected } => {
                write!(formatter, "byte {at} is {found:#04x} and should be {expected:#04x}")
            }
        }
    }
}

/// Fills `payload` for `stamp`.
///
/// # Panics
/// When the payload is too short for the shape, or not of whole TS packets.
pub fn write(shape: Shape, payload: &mut [u8], stamp: &Stamp) {
    match shape {
        Shape::Plain => write_bytes(payload, stamp, 0),
        Shape::RtpTs => {
            assert!(has_ts_length(payload.len()), "{} bytes are no RTP header and whole TS packets", payload.len());
            let (rtp, packets) = payload.split_at_mut(RTP_HEADER);
            rtp.copy_from_slice(&rtp_header(stamp));
            for (number, packet) in packets.chunks_exact_mut(TS_PACKET).enumerate() {
                let (header, body) = packet.split_at_mut(TS_HEADER);
                header.copy_from_slice(&ts_header(stamp, number));
                write_bytes(body, stamp, number * (TS_PACKET - TS_HEADER));
            }
        }
    }
}

/// Checks each byte of `payload` and reads its stamp.
pub fn verify(shape: Shape, payload: &[u8]) -> Result<Stamp, Flaw> {
    match shape {
        Shape::Plain => {
            let stamp = read_stamp(payload)?;
            compare_bytes(payload, &stamp, 0, 0)?;
            Ok(stamp)
        }
        Shape::RtpTs => {
            if !has_ts_length(payload.len()) {
                return Err(Flaw::Length(payload.len()));
            }
            let (rtp, packets) = payload.split_at(RTP_HEADER);
            let stamp = read_stamp(packets.get(TS_HEADER..).unwrap_or_default())?;
            compare(rtp, &rtp_header(&stamp), 0)?;
            for (number, packet) in packets.chunks_exact(TS_PACKET).enumerate() {
                let at = RTP_HEADER + number * TS_PACKET;
                let (header, body) = packet.split_at(TS_HEADER);
                compare(header, &ts_header(&stamp, number), at)?;
                compare_bytes(body, &stamp, number * (TS_PACKET - TS_HEADER), at + TS_HEADER)?;
            }
            Ok(stamp)
        }
    }
}

/// The PID of a stream's TS packets, far from the reserved ones.
pub fn ts_pid(stream: u32) -> u16 {
    let [.., low] = stream.to_be_bytes();
    0x100 + u16::from(low)
}

fn has_ts_length(length: usize) -> bool {
    length > RTP_HEADER && (length - RTP_HEADER).is_multiple_of(TS_PACKET)
}

fn rtp_header(stamp: &Stamp) -> [u8; RTP_HEADER] {
    let mut header = [0; RTP_HEADER];
    header[0] = 0x80; // version 2
    header[1] = 33; // MP2T, RFC 3551
    let [.., sequence_high, sequence_low] = stamp.sequence.to_be_bytes();
    header[2..4].copy_from_slice(&[sequence_high, sequence_low]);
    let [.., a, b, c, d] = stamp.sequence.wrapping_mul(RTP_TICKS).to_be_bytes();
    header[4..8].copy_from_slice(&[a, b, c, d]);
    header[8..].copy_from_slice(&stamp.stream.to_be_bytes());
    header
}

fn ts_header(stamp: &Stamp, number: usize) -> [u8; TS_HEADER] {
    let [pid_high, pid_low] = ts_pid(stamp.stream).to_be_bytes();
    let [continuity, ..] = stamp.sequence.wrapping_mul(TS_PER_DATAGRAM).wrapping_add(number as u64).to_le_bytes();
    // Payload only, and the continuity counter.
    [TS_SYNC, pid_high, pid_low, 0x10 | continuity & 0x0f]
}

/// Writes the part of stamp and filler that begins `offset` bytes in; the offset is a multiple of eight.
fn write_bytes(part: &mut [u8], stamp: &Stamp, offset: usize) {
    let rest = if offset == 0 {
        let (head, rest) = part.split_at_mut(STAMP);
        head.copy_from_slice(&stamp_bytes(stamp));
        rest
    } else {
        part
    };
    let mut word = first_word(stamp, offset.max(STAMP));
    let mut chunks = rest.chunks_exact_mut(8);
    for chunk in &mut chunks {
        chunk.copy_from_slice(&word.to_le_bytes());
        word = word.wrapping_add(GOLDEN);
    }
    let last = chunks.into_remainder();
    last.copy_from_slice(&word.to_le_bytes()[..last.len()]);
}

/// Compares with what [`write_bytes`] writes; `at` is where in the payload the part begins.
fn compare_bytes(part: &[u8], stamp: &Stamp, offset: usize, at: usize) -> Result<(), Flaw> {
    let skipped = if offset == 0 { STAMP } else { 0 };
    let rest = part.get(skipped..).unwrap_or_default();
    let mut word = first_word(stamp, offset.max(STAMP));
    for (number, chunk) in rest.chunks(8).enumerate() {
        let expected = word.to_le_bytes();
        if chunk != &expected[..chunk.len()] {
            return compare(chunk, &expected, at + skipped + number * 8);
        }
        word = word.wrapping_add(GOLDEN);
    }
    Ok(())
}

fn compare(found: &[u8], expected: &[u8], at: usize) -> Result<(), Flaw> {
    let mut pairs = found.iter().zip(expected).enumerate();
    match pairs.find(|(_, (found, expected))| found != expected) {
        Some((number, (&found, &expected))) => Err(Flaw::Byte { at: at + number, found, expected }),
        None => Ok(()),
    }
}

fn first_word(stamp: &Stamp, offset: usize) -> u64 {
    let seed = mix(stamp.sequence ^ mix(u64::from(stamp.stream)));
    seed.wrapping_add(GOLDEN.wrapping_mul(offset as u64 / 8))
}

fn stamp_bytes(stamp: &Stamp) -> [u8; STAMP] {
    let mut bytes = [0; STAMP];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&stamp.stream.to_be_bytes());
    bytes[8..16].copy_from_slice(&stamp.sequence.to_be_bytes());
    bytes[16..24].copy_from_slice(&stamp.sent_ns.to_be_bytes());
    let proof = mix(u64::from(stamp.stream) ^ mix(stamp.sequence ^ mix(stamp.sent_ns)));
    bytes[24..].copy_from_slice(&proof.to_be_bytes());
    bytes
}

fn read_stamp(payload: &[u8]) -> Result<Stamp, Flaw> {
    let Some((bytes, _)) = payload.split_first_chunk::<STAMP>() else { return Err(Flaw::Length(payload.len())) };
    if !bytes.starts_with(&MAGIC) {
        return Err(Flaw::NoStamp);
    }
    let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|number| bytes[at + number]));
    let stream = u32::from_be_bytes(std::array::from_fn(|number| bytes[4 + number]));
    let stamp = Stamp { stream, sequence: word(8), sent_ns: word(16) };
    if stamp_bytes(&stamp) == *bytes { Ok(stamp) } else { Err(Flaw::BadStamp) }
}

/// The finalizer of splitmix64.
fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(GOLDEN);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::{Flaw, STAMP, Shape, Stamp, verify, write};

    const STAMPED: Stamp = Stamp { stream: 3, sequence: 70_001, sent_ns: 123_456_789_012 };

    fn written(shape: Shape, length: usize) -> Vec<u8> {
        let mut payload = vec![0; length];
        write(shape, &mut payload, &STAMPED);
        payload
    }

    #[test]
    fn what_is_written_is_verified() {
        for length in STAMP..STAMP + 20 {
            assert_eq!(verify(Shape::Plain, &written(Shape::Plain, length)), Ok(STAMPED), "{length}");
        }
        for packets in 1..=7 {
            let payload = written(Shape::RtpTs, 12 + 188 * packets);
            assert_eq!(verify(Shape::RtpTs, &payload), Ok(STAMPED), "{packets}");
        }
    }

    #[test]
    fn every_single_flipped_bit_is_found() {
        for (shape, length) in [(Shape::Plain, 77), (Shape::RtpTs, 12 + 188 * 2)] {
            let good = written(shape, length);
            for bit in 0..length * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(verify(shape, &bad).is_err(), "{shape:?}: bit {bit} was overlooked");
            }
        }
    }

    #[test]
    fn a_flaw_names_the_byte() {
        let mut payload = written(Shape::RtpTs, 12 + 188 * 7);
        payload[1000] ^= 0xff;
        let (found, expected) = (payload[1000], !payload[1000]);
        assert_eq!(verify(Shape::RtpTs, &payload), Err(Flaw::Byte { at: 1000, found, expected }));
        assert_eq!(verify(Shape::RtpTs, &payload[..1200]), Err(Flaw::Length(1200)));
        assert_eq!(verify(Shape::Plain, &payload), Err(Flaw::NoStamp));
    }

    #[test]
    fn continuity_counters_count_on_from_datagram_to_datagram() {
        let mut expected = None;
        for sequence in 0..40 {
            let mut payload = vec![0; 12 + 188 * 7];
            write(Shape::RtpTs, &mut payload, &Stamp { sequence, ..STAMPED });
            for packet in payload[12..].chunks(188) {
                let counter = packet[3] & 0x0f;
                assert_eq!(counter, expected.unwrap_or(counter));
                expected = Some((counter + 1) & 0x0f);
            }
        }
    }
}
