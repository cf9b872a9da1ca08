//! When packets come: the gaps between them, how regular they are, and whether the stream was interrupted.

/// What is remembered of a stream's arrival.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When the last packet came; 0 before the first.
    last: u64,
    /// The gap before it; [`Arrival::NO_GAP`] where there was none to compare with.
    gap: u64,
    /// The jitter in sixteenths of a nanosecond.
    jitter: u64,
    /// The RTP timestamp of the last packet, in ticks of 90 kHz.
    timestamp: Option<u32>,
}

/// The time between a packet and the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// In nanoseconds.
    pub ns: u64,
    /// Whether the stream counts as interrupted by it.
    pub is_interruption: bool,
}

/// Timestamps that lie farther apart belong to different times of the sender: ten seconds of 90 kHz.
const MAX_TICKS: i32 = 900_000;

impl Arrival {
    const NO_GAP: u64 = u64::MAX;
    /// Nothing has come.
    pub const NEW: Self = Self { last: 0, gap: Self::NO_GAP, jitter: 0, timestamp: None };

    /// A packet came at that time, in nanoseconds, with an RTP timestamp if it has one of 90 kHz. A gap of more than
    /// `silence_ns` is an interruption; 0 says that none is. Says how long the gap was, unless the packet is the first.
    ///
    /// The jitter is RFC 3550's estimate. With timestamps it compares the gap with the one that the sender intended, as
    /// the RFC does; without, with the gap before it, which is the same for a stream of even pace.
    #[inline]
    pub fn see(&mut self, at: u64, timestamp: Option<u32>, silence_ns: u64) -> Option<Gap> {
        let ticks = timestamp.zip(self.timestamp).map(|(new, old)| new.wrapping_sub(old).cast_signed());
        self.timestamp = timestamp;
        let last = core::mem::replace(&mut self.last, at);
        if last == 0 {
            return None;
        }
        let ns = at.saturating_sub(last);
        let is_interruption = silence_ns != 0 && ns > silence_ns;
        if is_interruption {
            // What comes after a silence has no place in the rhythm before it.
            self.gap = Self::NO_GAP;
            return Some(Gap { ns, is_interruption });
        }
        let variation = match ticks {
            // 90 000 ticks are 10^9 ns. A packet that was overtaken has an earlier timestamp.
            Some(ticks) if ticks.abs() <= MAX_TICKS => {
                Some(ns.cast_signed().saturating_sub(i64::from(ticks) * 100_000 / 9).unsigned_abs())
            }
            Some(_) => None,
            None if self.gap == Self::NO_GAP => None,
            None => Some(ns.abs_diff(self.gap)),
        };
        if let Some(variation) = variation {
            self.jitter = self.jitter.saturating_add(variation) - ((self.jitter + 8) >> 4);
        }
        self.gap = ns;
        Some(Gap { ns, is_interruption })
    }

    /// When the last packet came; 0 before the first.
    #[inline]
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Nothing has come here, but a packet of the same stream at that time elsewhere.
    #[must_use]
    pub const fn after(last: u64) -> Self {
        Self { last, ..Self::NEW }
    }

    /// The jitter in nanoseconds.
    #[inline]
    #[must_use]
    pub const fn jitter_ns(&self) -> u64 {
        self.jitter >> 4
    }
}

#[cfg(test)]
mod tests;
