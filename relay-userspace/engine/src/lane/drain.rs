//! How a transmit ring drains: calls that go on while they make progress, and how long a burst is waited for.
//!
//! A burst comes out of a receive ring faster than a link sends: one packet becomes several, and in copy mode one call
//! sends a few dozen. Then packets are left in the receive ring, which has room for them, until the transmit ring has.
//! Only a link that keeps up is waited for, or it would hold back every other relay of the lane.

use crate::memory::counters::Counters;
use crate::xsk::port::Port;
use crate::xsk::ring::{Descriptor, Producer};
use nix::errno::Errno;
use relay_common::counters::LaneCounter;

/// A ring that has been nearly empty within this time takes a burst now, and is waited for; one that has not is
/// overloaded, and what it cannot take is dropped. After a pause of 20 ms of a link that is nine tenths busy, what has
/// piled up takes 180 ms.
const BURST_NS: u64 = 200_000_000;
/// A slow link may take longer for what a full receive ring came to, but not longer than this. It is also the longest that
/// it can hold other relays back.
const LONGEST_BURST_NS: u64 = 1_000_000_000;
/// A ring that has not moved for this time does not drain.
const STILL_NS: u64 = 50_000_000;
/// Unless its device says that it is busy: some tell of what they have sent in large steps. virtio_net does so when three
/// quarters of its queue are sent, which is 180 packets, and takes none before.
const BUSY_STILL_NS: u64 = 250_000_000;
/// Of a ring, so much may be under way where the link keeps up: what a NIC has sent and not told of yet.
const NEARLY_EMPTY: u32 = 4;
/// A receive ring that has less than this part of its places left is not kept waiting: what came next would be lost to
/// all relays, and not only to those that send on a slow link.
const NEARLY_FULL: u32 = 8;
/// What has waited for so long on the ring of a link that takes nothing is thrown away: receivers are better off without
/// it than with packets from before the pause, in front of those of now.
const STALE_NS: u64 = 100_000_000;
/// A device that is busy is no link that is down: it takes packets again at any moment. One that has not moved for so long
/// hangs.
const HANGS_NS: u64 = 1_000_000_000;
/// A link that is down is asked so often while something waits that is not stale, or finds no room.
const QUIET_NS: u64 = 10_000_000;
/// Packets that one call takes at least in copy mode, unless it stops early (the kernel's TX_BATCH_SIZE).
const PER_CALL: u32 = 32;
/// Calls in a row, also on a short ring: each may end with a packet that the device has lost.
const FEWEST_CALLS: u32 = 64;

/// What a lane remembers of a transmit ring.
#[derive(Debug, Default)]
pub struct Drain {
    /// When it was nearly empty.
    eased_at: u64,
    /// The place of the next packet then.
    eased_place: u32,
    /// Where it stood when it was last found too full.
    stood_at: u32,
    /// When it had moved from there.
    moved_at: u64,
    /// While its link takes nothing.
    stall: Option<Stall>,
    /// What waited was thrown away, and nothing has moved since: nobody waits for such a link.
    is_given_up: bool,
    /// Whether its packets are in the hands of the device, when that was asked.
    is_zero_copy: Option<bool>,
}

/// A transmit ring whose link takes nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Stall {
    /// Since when something waits and nothing moves; nothing waits where all entries are void.
    since: Option<u64>,
    /// Whether the device is busy: else the link is down.
    is_busy: bool,
    /// Where the ring stood when that was looked at.
    stands_at: u32,
    /// The link is left alone until then.
    quiet_until: u64,
    /// Something has changed: the link may be back.
    is_worth_a_try: bool,
}

impl Drain {
    /// Whether a batch of so many packets, each of which comes to `widest` on this ring, is to be left in a receive ring
    /// for now. `is_only`: they go to no other ring, so that nobody else waits.
    #[inline]
    pub fn holds_back(&mut self, port: &mut Port, batch: u32, widest: u32, is_only: bool, now: u64) -> bool {
        let (size, room) = (port.ring_size(), port.tx_room());
        if room >= size - size / NEARLY_EMPTY {
            (self.eased_at, self.eased_place) = (now, port.next_place());
        }
        // An empty ring has nothing to wait for, however much is needed.
        room < batch.saturating_mul(widest) && room < size && self.drains_a_burst(port, widest, is_only, now)
    }

    /// Whether the last call moved nothing.
    #[inline]
    #[must_use]
    pub const fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    /// Remembers what calls came to that ended now: with the error of one that moved nothing.
    #[inline]
    pub fn note(&mut self, stuck: Option<Errno>, now: u64) {
        match stuck {
            None if self.stall.is_none() => {}
            None => (self.stall, self.is_given_up) = (None, false),
            Some(errno) => self.stalls(errno, now),
        }
    }

    #[cold]
    fn stalls(&mut self, errno: Errno, now: u64) {
        let is_busy = ends_early(errno);
        let stall = self.stall.get_or_insert_with(|| Stall { since: Some(now), ..Stall::default() });
        // A device that is busy may go on at any moment.
        stall.quiet_until = if is_busy { 0 } else { now + QUIET_NS };
        (stall.is_busy, stall.is_worth_a_try) = (is_busy, false);
    }

    /// A predecessor left packets on the ring, and came round at that time for the last time.
    pub const fn stalled_at(&mut self, last_round: u64) {
        self.stall =
            Some(Stall { since: Some(last_round), is_busy: false, stands_at: 0, quiet_until: 0, is_worth_a_try: true });
    }

    /// The table has changed: a link that took nothing may be back.
    pub const fn is_worth_a_try(&mut self) {
        if let Some(stall) = &mut self.stall {
            (stall.quiet_until, stall.is_worth_a_try) = (0, true);
        }
    }

    /// Whether the last call moved nothing because the device is busy.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.stall.is_some_and(|stall| stall.is_busy)
    }

    /// A look at where the ring stands: what a busy device has sent is seen although it takes no more.
    pub fn stands_at(&mut self, place: u32, now: u64) {
        if let Some(stall) = &mut self.stall
            && std::mem::replace(&mut stall.stands_at, place) != place
            && stall.is_busy
            && stall.since.is_some()
        {
            (stall.since, self.is_given_up) = (Some(now), false);
        }
    }

    /// Whether what waits is to be thrown away.
    #[must_use]
    pub fn is_stale(&self, now: u64) -> bool {
        let longest = if self.is_busy() { HANGS_NS } else { STALE_NS };
        let since = self.stall.and_then(|stall| stall.since);
        since.is_some_and(|since| now.saturating_sub(since) >= longest)
    }

    /// What waited was thrown away.
    pub const fn gives_up(&mut self) {
        self.is_given_up = true;
    }

    /// Whether the device has the packets, so that nobody can take them back from a ring.
    pub fn is_zero_copy(&mut self, port: &Port) -> bool {
        *self.is_zero_copy.get_or_insert_with(|| crate::xsk::options::is_zero_copy(port.socket()).unwrap_or(true))
    }

    /// Nothing is waiting but void entries.
    pub const fn waits_in_vain(&mut self) {
        if let Some(stall) = &mut self.stall {
            stall.since = None;
        }
    }

    /// Something waits, now if not before.
    pub fn waits_from(&mut self, now: u64) {
        if let Some(stall) = &mut self.stall {
            stall.since.get_or_insert(now);
        }
    }

    /// Whether the link is asked again: something waits (or found no room), and it was not asked just now.
    #[must_use]
    pub fn asks_again(&self, is_wanted: bool, now: u64) -> bool {
        self.stall.is_some_and(|stall| stall.is_worth_a_try || is_wanted && now >= stall.quiet_until)
    }

    #[cold]
    fn drains_a_burst(&mut self, port: &Port, widest: u32, is_only: bool, now: u64) -> bool {
        let stands_at = port.n_moved();
        if stands_at != self.stood_at {
            (self.stood_at, self.moved_at) = (stands_at, now);
        }
        let moved_at = self.moved_at.max(self.eased_at);
        let lasts = now.saturating_sub(self.eased_at);
        let came = port.next_place().wrapping_sub(self.eased_place);
        let is_one_burst = came < port.ring_size().saturating_mul(widest);
        let may_last = match (is_one_burst, is_only) {
            // The receive ring is the place to wait in, for as long as it has room.
            (true, true) => u64::MAX,
            (true, false) => LONGEST_BURST_NS,
            (false, _) => BURST_NS,
        };
        let still = if self.is_busy() { BUSY_STILL_NS } else { STILL_NS };
        lasts < may_last && now.saturating_sub(moved_at) < still && !self.is_given_up
    }
}

/// Whether a receive ring with so many packets has no room to wait any longer.
#[inline]
#[must_use]
pub const fn is_nearly_full(level: u32, size: u32) -> bool {
    level > size - size / NEARLY_FULL
}

/// Asks the kernel to send the packets that wait, until none does or it takes no more. A call may end early because it
/// has sent its share, because the device lost a packet or because memory was short: none of that says that the link
/// is busy. The error, when nothing was sent at all.
#[inline]
pub fn send(
    tx: &Producer<Descriptor>,
    mut waiting: u32,
    counters: &Counters,
    mut call: impl FnMut() -> Result<(), Errno>,
) -> Option<Errno> {
    let all = waiting;
    for _ in 0..(tx.size() / PER_CALL).max(FEWEST_CALLS) {
        counters.add(LaneCounter::Kicks, 1);
        // In zero-copy the device goes on by itself.
        let Err(errno) = call() else { return None };
        counters.add(kick_failure(errno), 1);
        let left = tx.n_waiting();
        // A packet that the device has lost is taken, but the kernel says so only when it takes another.
        let is_moving = left != waiting || errno == Errno::EBUSY;
        if left == 0 || !is_moving || !ends_early(errno) {
            return (left == all && left > 0).then_some(errno);
        }
        waiting = left;
    }
    None
}

/// The same where entries are void: the kernel passes over one, or over all, and that ends the call as if all was sent.
pub fn send_over_voids(
    tx: &Producer<Descriptor>,
    counters: &Counters,
    mut call: impl FnMut() -> Result<(), Errno>,
) -> Option<Errno> {
    for _ in 0..=tx.n_waiting() {
        let waiting @ 1.. = tx.n_waiting() else { return None };
        let mut is_over_one = false;
        let stuck = send(tx, waiting, counters, || {
            let called = call();
            is_over_one |= called.is_ok();
            called
        });
        if !is_over_one {
            return stuck;
        }
    }
    None
}

/// Whether a call that failed so may have sent something, and another may send more.
const fn ends_early(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::EBUSY | Errno::ENOBUFS | Errno::ENOMEM)
}

#[cold]
#[inline(never)]
const fn kick_failure(errno: Errno) -> LaneCounter {
    match errno {
        Errno::EAGAIN => LaneCounter::KickAgain,
        Errno::EBUSY => LaneCounter::KickBusy,
        Errno::ENOBUFS | Errno::ENOMEM => LaneCounter::KickNoBuffers,
        Errno::ENETDOWN => LaneCounter::KickLinkDown,
        _ => LaneCounter::KickOther,
    }
}

#[cfg(test)]
mod tests;
