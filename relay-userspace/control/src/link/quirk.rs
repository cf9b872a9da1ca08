//! What is known of drivers that no interface of the kernel tells: found in a virtual machine, read in their source.

use relay_common::table::longest_mtu_in_kilobytes;

/// Drivers whose NICs count receive buffers in whole kilobytes. In zero-copy the buffer is a frame less its headroom: of
/// 2048 bytes one kilobyte is used, and a longer packet arrives in two pieces, neither of which is a datagram.
const WHOLE_KILOBYTES: [&str; 2] = ["igb", "igc"];

/// Whether a NIC of this driver would cut packets of this MTU in zero-copy; then the longest that it would not cut.
#[must_use]
pub fn cuts_above(driver: &str, mtu: u32, frame_size: u32) -> Option<u32> {
    let longest = longest_mtu_in_kilobytes(frame_size);
    (WHOLE_KILOBYTES.contains(&driver) && mtu > longest).then_some(longest)
}

#[cfg(test)]
mod tests {
    use super::cuts_above;

    #[test]
    fn only_long_packets_in_short_frames_of_some_drivers_are_cut() {
        assert_eq!(cuts_above("igb", 1500, 2048), Some(998));
        assert_eq!(cuts_above("igc", 999, 2048), Some(998));
        assert_eq!(cuts_above("igb", 998, 2048), None);
        assert_eq!(cuts_above("igb", 1500, 4096), None);
        assert_eq!(cuts_above("ice", 1500, 2048), None);
    }
}
