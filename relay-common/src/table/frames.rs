//! How many frames a lane needs, and how long a packet fits one.

use super::Placement;
use crate::journal;
use crate::plan::Lanes;

/// Bytes that the kernel keeps in front of a received packet (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: u32 = 256;
/// Packets that a lane takes from one ring at once.
#[expect(clippy::cast_possible_truncation, reason = "a batch is 64")]
const BATCH: u32 = journal::BATCH as u32;
/// An Ethernet header, two VLAN tags and the checksum behind: what the kernel reckons with for zero-copy.
const LINK_HEADERS: u32 = 14 + 8 + 4;

/// The longest MTU whose frames fit frames of that size.
#[must_use]
pub const fn longest_mtu(frame_size: u32) -> u32 {
    frame_size.saturating_sub(HEADROOM + LINK_HEADERS)
}

/// The longest MTU whose frames fit the receive buffers of a NIC that counts them in whole kilobytes: in zero-copy it
/// uses the whole kilobytes of a frame and cuts what is longer.
#[must_use]
pub const fn longest_mtu_in_kilobytes(frame_size: u32) -> u32 {
    (frame_size.saturating_sub(HEADROOM) / 1024 * 1024).saturating_sub(LINK_HEADERS)
}

/// The frames that a lane needs so that no ring of its can ever run dry: each receive queue's fill and rx rings,
/// each output link's tx and completion rings, and the batch in hand.
#[must_use]
pub const fn frames_needed(n_rx_queues: u32, n_tx_links: u32, ring_size: u32) -> u32 {
    n_rx_queues.saturating_add(n_tx_links).saturating_mul(2).saturating_mul(ring_size).saturating_add(BATCH)
}

/// The frames of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameBudget {
    /// Receive queues of the lane that has most.
    pub n_rx_queues: u32,
    /// Output links, which every lane has.
    pub n_tx_links: u32,
    /// Frames that such a lane needs.
    pub needed: u32,
    /// Frames that it has: as configured, or else what it needs.
    pub frames: u32,
}

impl FrameBudget {
    /// Says whether the frames suffice.
    #[must_use]
    pub const fn suffices(&self) -> bool {
        self.frames >= self.needed
    }
}

/// What the busiest lane needs with the links as they are placed.
#[must_use]
pub fn frame_budget(lanes: &Lanes, place: &Placement) -> FrameBudget {
    let n_rx_queues = (0..lanes.n_lanes()).map(|lane| place.rx_queues(lane, lanes.n_lanes()).count());
    let n_rx_queues = u32::try_from(n_rx_queues.max().unwrap_or(0)).unwrap_or(u32::MAX);
    let n_tx_links = u32::try_from(place.outputs().count()).unwrap_or(u32::MAX);
    let needed = frames_needed(n_rx_queues, n_tx_links, lanes.ring_size);
    FrameBudget { n_rx_queues, n_tx_links, needed, frames: lanes.frames.unwrap_or(needed) }
}

#[cfg(test)]
mod tests {
    use super::{longest_mtu, longest_mtu_in_kilobytes};

    #[test]
    fn whole_kilobytes_hold_less_than_the_frame() {
        assert_eq!([2048, 4096].map(longest_mtu), [1766, 3814]);
        assert_eq!([2048, 4096].map(longest_mtu_in_kilobytes), [998, 3046]);
        assert_eq!(longest_mtu_in_kilobytes(1024), 0);
    }
}
