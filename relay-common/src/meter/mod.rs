//! What a lane measures of a relay's input: pure, of fixed size, with the time as an argument.
//!
//! A meter is the lane's own memory and begins anew with the lane and with every other stream at its slot: what it
//! remembers is only good for the packet that follows. Findings go into the relay's line of the counters, which stay.
//! So a lane that takes over from a dead one counts no loss that is none, and nothing of what was found is lost.
//!
//! A stream can move from one lane to another and back, when its packets come by another queue. What a meter then
//! misses came by the other lane: before it counts anything as missing it asks whether the other lane has taken in
//! packets since, and begins anew if so. What was really lost between the last packet in one lane and the first ones in
//! the other is not counted then; how long the gap was is, where the lane had the stream before.

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
    /// The word.
    fn get(&self, place: usize) -> u64;
    /// When another lane took in the last packet of this relay, if that was after `since`.
    fn elsewhere(&self, since: u64) -> Option<u64>;
}

/// Two lanes that look at the clock for the same packets see times so far apart, in nanoseconds: they look once a batch.
const SLACK_NS: u64 = 1_000_000;

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
                let sequence = match self.rtp.see_next(header) {
                    Some(sequence) => sequence,
                    None => self.see_other(header, tally),
                };
                if sequence != Sequence::Unknown {
                    tally.add(relay::RTP_PACKETS, 1);
                    timestamp = header.ticks();
                    note(sequence, tally);
                }
            }
            if relay.flags & RelayEntry::METER_TS != 0 {
                let packets = header.map_or(payload, |header| payload.get(header.payload..).unwrap_or_default());
                let mut found = self.continuity.see(packets);
                if found.errors != 0 {
                    found = self.see_errors(found, packets, tally);
                }
                if found.packets != 0 {
                    tally.add(relay::TS_PACKETS, u64::from(found.packets));
                }
            }
        }
        let silence_ns = u64::from(relay.silence_ms) * 1_000_000;
        let last = self.arrival.last();
        if let Some(gap) = self.arrival.see(at, timestamp, silence_ns) {
            tally.set(relay::JITTER, self.arrival.jitter_ns());
            if gap.ns > tally.get(relay::LONGEST_GAP) || gap.is_interruption {
                note_gap(at, last, silence_ns, tally);
            }
        }
    }

    /// A packet that is not the next one of the sequence.
    #[inline(never)]
    fn see_other<T: Tally>(&mut self, header: &Header, tally: &T) -> Sequence {
        if self.rtp.is_known() {
            self.begin_if_moved(tally);
        }
        self.rtp.see_other(header)
    }

    /// Transport packets that are not the ones that were due.
    #[cold]
    #[inline(never)]
    fn see_errors<T: Tally>(&mut self, found: TransportPackets, packets: &[u8], tally: &mut T) -> TransportPackets {
        let found = if self.begin_if_moved(tally) { self.continuity.see(packets) } else { found };
        tally.add(relay::TS_ERRORS, u64::from(found.errors));
        found
    }

    /// Begins anew if the stream was elsewhere since the last packet here. Says whether it was.
    fn begin_if_moved<T: Tally>(&mut self, tally: &T) -> bool {
        let moved = elsewhere(self.arrival.last(), tally);
        if let Some(last) = moved {
            *self = Self { epoch: self.epoch, arrival: Arrival::after(last), ..Self::NEW };
        }
        moved.is_some()
    }

    /// Another stream begins at this slot.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, epoch: u32) {
        *self = Self { epoch, ..Self::NEW };
    }
}

/// When the last packet came to another lane, if that was after the last one here.
fn elsewhere<T: Tally>(last: u64, tally: &T) -> Option<u64> {
    tally.elsewhere(last.saturating_sub(SLACK_NS)).map(|other| other.max(last))
}

/// Notes a gap that is remarkable, unless packets came to another lane meanwhile.
#[cold]
#[inline(never)]
fn note_gap<T: Tally>(at: u64, last: u64, silence_ns: u64, tally: &mut T) {
    let gap = at.saturating_sub(elsewhere(last, tally).unwrap_or(last));
    if gap > tally.get(relay::LONGEST_GAP) {
        tally.set(relay::LONGEST_GAP, gap);
    }
    if silence_ns != 0 && gap > silence_ns {
        tally.add(relay::INTERRUPTIONS, 1);
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
