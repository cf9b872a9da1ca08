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
/// piled up takes 180 ms. It is also the longest that a slow link can hold other relays back.
const BURST_NS: u64 = 200_000_000;
/// A ring that has not moved for this time does not drain. At 10 Mbit/s a long packet takes 1.2 ms.
const STILL_NS: u64 = 5_000_000;
/// Of a ring, so much may be under way where the link keeps up: what a NIC has sent and not told of yet.
const NEARLY_EMPTY: u32 = 4;
/// A receive ring that has less than this part of its places left is not kept waiting: what came next would be lost to
/// all relays, and not only to those that send on a slow link.
const NEARLY_FULL: u32 = 8;
/// Packets that one call takes at least in copy mode, unless it stops early (the kernel's TX_BATCH_SIZE).
const PER_CALL: u32 = 32;
/// Calls in a row, also on a short ring: each may end with a packet that the device has lost.
const FEWEST_CALLS: u32 = 64;

/// What a lane remembers of a transmit ring.
#[derive(Debug, Default)]
pub struct Drain {
    /// When it was nearly empty.
    eased_at: u64,
    /// Where it stood when it was last found too full.
    stood_at: u32,
    /// When it had moved from there.
    moved_at: u64,
}

impl Drain {
    /// Whether packets that need so many places on this ring are to be left in a receive ring for now.
    #[inline]
    pub fn holds_back(&mut self, port: &mut Port, needed: u32, now: u64) -> bool {
        let (size, room) = (port.ring_size(), port.tx_room());
        if room >= size - size / NEARLY_EMPTY {
            self.eased_at = now;
        }
        // An empty ring has nothing to wait for, however much is needed.
        room < needed && room < size && self.drains_a_burst(port, now)
    }

    #[cold]
    fn drains_a_burst(&mut self, port: &Port, now: u64) -> bool {
        let stands_at = port.n_moved();
        if stands_at != self.stood_at {
            (self.stood_at, self.moved_at) = (stands_at, now);
        }
        let moved_at = self.moved_at.max(self.eased_at);
        now.saturating_sub(self.eased_at) < BURST_NS && now.saturating_sub(moved_at) < STILL_NS
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
/// is busy.
#[inline]
pub fn send(
    tx: &Producer<Descriptor>,
    mut waiting: u32,
    counters: &Counters,
    mut call: impl FnMut() -> Result<(), Errno>,
) {
    for _ in 0..(tx.size() / PER_CALL).max(FEWEST_CALLS) {
        counters.add(LaneCounter::Kicks, 1);
        // In zero-copy the device goes on by itself.
        let Err(errno) = call() else { return };
        counters.add(kick_failure(errno), 1);
        let left = tx.n_waiting();
        // A packet that the device has lost is taken, but the kernel says so only when it takes another.
        let is_moving = left != waiting || errno == Errno::EBUSY;
        if left == 0 || !is_moving || !ends_early(errno) {
            return;
        }
        waiting = left;
    }
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
