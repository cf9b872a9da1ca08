//! RTP (RFC 3550): what is missing of the sequence, what came twice, what was overtaken.
//!
//! Only what is surely RTP is measured: a few packets in a row must continue one sequence of one source before any of
//! them counts. A hole counts as lost once 64 packets have come after it, so that the number only ever grows and a
//! packet that was overtaken is never counted as lost.

/// Packets that must continue a sequence before it is believed.
const MIN_RUN: u8 = 4;
/// A sequence number so far ahead is taken for packets lost on the way; beyond that for another sequence (RFC 3550,
/// appendix A.1).
const MAX_DROPOUT: u16 = 3000;
/// How many sequence numbers are remembered: later than that a packet is of another sequence.
const WINDOW: u16 = 64;
/// The fixed header.
const HEADER: usize = 12;

/// What of an RTP header counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in ticks of the payload type's clock.
    pub timestamp: u32,
    /// The source's number.
    pub source: u32,
    /// The payload type.
    pub kind: u8,
    /// Where the payload begins.
    pub payload: usize,
}

impl Header {
    /// Reads a header; `None` if this cannot be RTP.
    #[inline]
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let head: &[u8; HEADER] = datagram.first_chunk()?;
        let kind = head[1] & 0x7f;
        // Version 2. Payload types 72 to 76 are RTCP packets on the same port (RFC 5761).
        if head[0] >> 6 != 2 || (72..=76).contains(&kind) {
            return None;
        }
        let mut payload = HEADER + 4 * (head[0] & 0xf) as usize;
        if head[0] & 0x10 != 0 {
            let extension: &[u8; 4] = datagram.get(payload..)?.first_chunk()?;
            payload += 4 + 4 * u16::from_be_bytes([extension[2], extension[3]]) as usize;
        }
        Some(Self {
            sequence: u16::from_be_bytes([head[2], head[3]]),
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            source: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            kind,
            payload,
        })
    }

    /// The timestamp, if it counts 90 kHz for certain: video, and MPEG-TS (33), of the types that RFC 3551 numbers.
    #[inline]
    #[must_use]
    pub const fn ticks(&self) -> Option<u32> {
        if matches!(self.kind, 25 | 26 | 28 | 31..=34) { Some(self.timestamp) } else { None }
    }
}

/// What a packet's sequence number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Nothing yet, or it is not of the sequence that is watched.
    Unknown,
    /// It goes on. So many packets are lost for good.
    Next {
        /// Packets that will not be waited for any longer.
        lost: u32,
    },
    /// It was overtaken by others.
    Late,
    /// It had come before.
    Duplicate,
    /// Another sequence has begun.
    Restart {
        /// What was missing of the sequence before.
        lost: u32,
    },
}

/// The sequence of one source.
#[derive(Clone, Debug)]
pub struct Rtp {
    /// Bit `i` is set when the packet `i` before the newest has come, or when the sequence had not begun.
    window: u64,
    source: u32,
    newest: u16,
    is_known: bool,
    /// How many packets in a row have continued another sequence.
    run: u8,
    /// The packet that would continue it.
    next: u16,
    next_source: u32,
}

impl Rtp {
    /// Nothing has come.
    pub const NEW: Self =
        Self { window: u64::MAX, source: 0, newest: 0, is_known: false, run: 0, next: 0, next_source: 0 };

    /// Looks at a packet.
    #[inline]
    pub fn see(&mut self, header: &Header) -> Sequence {
        self.see_next(header).unwrap_or_else(|| self.see_other(header))
    }

    /// Looks at a packet if it is the one that is due: as far more often than all else together.
    #[inline]
    pub fn see_next(&mut self, header: &Header) -> Option<Sequence> {
        let is_next = self.is_known && header.source == self.source && header.sequence.wrapping_sub(self.newest) == 1;
        is_next.then(|| {
            let lost = u32::from(self.window >> 63 == 0);
            self.window = self.window << 1 | 1;
            self.newest = header.sequence;
            self.run = 0;
            Sequence::Next { lost }
        })
    }

    /// Whether there is a sequence that a packet could be out of.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.is_known
    }

    /// Looks at a packet that is not the one that is due.
    #[inline(never)]
    pub fn see_other(&mut self, header: &Header) -> Sequence {
        if !self.is_known || header.source != self.source {
            return self.try_another(header);
        }
        let ahead = header.sequence.wrapping_sub(self.newest);
        let behind = ahead.wrapping_neg();
        if behind < WINDOW {
            let bit = 1 << behind;
            if self.window & bit != 0 {
                return Sequence::Duplicate;
            }
            self.window |= bit;
            return Sequence::Late;
        }
        if ahead > MAX_DROPOUT {
            return self.try_another(header);
        }
        self.run = 0;
        self.newest = header.sequence;
        let lost = if ahead < WINDOW {
            let left = self.window >> (WINDOW - ahead);
            self.window = self.window << ahead | 1;
            u32::from(ahead) - left.count_ones()
        } else {
            let lost = self.window.count_zeros() + u32::from(ahead - WINDOW);
            self.window = 1;
            lost
        };
        Sequence::Next { lost }
    }

    /// A packet that is not of this sequence: when some in a row are of another, that one is watched from there on.
    #[inline(never)]
    fn try_another(&mut self, header: &Header) -> Sequence {
        let continues = self.run > 0 && header.source == self.next_source && header.sequence == self.next;
        self.run = if continues { self.run + 1 } else { 1 };
        self.next = header.sequence.wrapping_add(1);
        self.next_source = header.source;
        if self.run < MIN_RUN {
            return Sequence::Unknown;
        }
        let lost = self.window.count_zeros();
        let was_known = self.is_known;
        *self = Self { source: header.source, newest: header.sequence, is_known: true, ..Self::NEW };
        if was_known { Sequence::Restart { lost } } else { Sequence::Next { lost: 0 } }
    }
}

#[cfg(test)]
mod tests;
