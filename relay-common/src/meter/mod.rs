//! What a lane measures of a relay's input: pure, of fixed size, with the time as an argument.
//!
//! A meter is the lane's own memory and begins anew with the lane and with every other stream at its slot: what it
//! remembers is only good for the packet that follows. Findings go into the relay's line of the counters, which stay.
//! So a lane that takes over from a dead one counts no loss that is none, and nothing of what was found is lost.

mod arrival; // when packets come: gaps, jitter, interruptions
mod continuity; // MPEG-TS: what is missing of each PID
mod rtp; // RTP: what is missing of the sequence

pub use arrival::{Arrival, Gap};
pub use continuity::{Continuity, TransportPackets};
pub use rtp::{Header, Rtp, Sequence};

use crate::counters::relay;
use crate::entry::RelayEntry;

/// Where findings go: a relay's line of the counters.
pub trait Tally {
    /// Adds to the word at a place of [`relay`].
    fn add(&mut self, place: usize, n: u64);
    /// Sets the word.
    fn set(&mut self, place: usize, value: u64);
    /// Sets the word if the value is higher.
    fn raise(&mut self, place: usize, value: u64);
}

/// What is remembered of one relay's input.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Meter {
    arrival: Arrival,
    rtp: Rtp,
    /// Whose packets these are: see [`RelayEntry::epoch`].
    epoch: u32,
    continuity: Continuity,
}

impl Meter {
    /// A meter that has seen nothing.
    pub const NEW: Self = Self { arrival: Arrival::NEW, rtp: Rtp::NEW, epoch: 0, continuity: Continuity::NEW };

    /// Looks at a packet of a relay: its UDP payload, and when it came, in nanoseconds of the monotonic clock.
    ///
    /// Not inlined: forwarding has too few registers for both.
    #[inline(never)]
    pub fn see<T: Tally>(&mut self, relay: &RelayEntry, payload: &[u8], at: u64, tally: &mut T) {
        if self.epoch != relay.epoch {
            self.begin(relay.epoch);
        }
        let mut timestamp = None;
        if relay.flags & (RelayEntry::METER_RTP | RelayEntry::METER_TS) != 0 {
            let header = Header::parse(payload);
            if let Some(header) = &header {
                let sequence = self.rtp.see(header);
                if sequence != Sequence::Unknown {
                    tally.add(relay::RTP_PACKETS, 1);
                    timestamp = header.ticks();
                    note(sequence, tally);
                }
            }
            if relay.flags & RelayEntry::METER_TS != 0 {
                let packets = header.map_or(payload, |header| payload.get(header.payload..).unwrap_or_default());
                let TransportPackets { packets, errors } = self.continuity.see(packets);
                if packets != 0 {
                    tally.add(relay::TS_PACKETS, u64::from(packets));
                    if errors != 0 {
                        tally.add(relay::TS_ERRORS, u64::from(errors));
                    }
                }
            }
        }
        let silence_ns = u64::from(relay.silence_ms) * 1_000_000;
        if let Some(gap) = self.arrival.see(at, timestamp, silence_ns) {
            tally.set(relay::JITTER, self.arrival.jitter_ns());
            tally.raise(relay::LONGEST_GAP, gap.ns);
            if gap.is_interruption {
                tally.add(relay::INTERRUPTIONS, 1);
            }
        }
    }

    /// Another stream begins at this slot.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, epoch: u32) {
        *self = Self { epoch, ..Self::NEW };
    }
}

/// Counts what a packet's place in the sequence says.
#[inline]
fn note<T: Tally>(sequence: Sequence, tally: &mut T) {
    match sequence {
        Sequence::Next { lost: 0 } | Sequence::Unknown => {}
        Sequence::Next { lost } => tally.add(relay::RTP_LOST, u64::from(lost)),
        Sequence::Late => tally.add(relay::RTP_REORDERED, 1),
        Sequence::Duplicate => tally.add(relay::RTP_DUPLICATES, 1),
        Sequence::Restart { lost } => {
            tally.add(relay::RTP_RESTARTS, 1);
            tally.add(relay::RTP_LOST, u64::from(lost));
        }
    }
}

#[cfg(test)]
mod tests;
