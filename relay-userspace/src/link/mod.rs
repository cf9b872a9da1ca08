//! What the kernel says of links: facts for the compiler of tables, and what people should know of each.

pub mod ability; // what a link's driver can do, gathered from all of the below
pub mod ethtool; // driver, channels, rings, features
pub mod event; // what changed
pub mod hint; // what hurts, and the remedy
pub mod neighbour; // hardware addresses of unicast destinations
pub mod netlink; // links, addresses, routes, neighbours
pub mod xdp; // what a driver says of XDP

use relay_common::facts::VlanDevice;

/// Where a group that comes in with these VLAN tags on a link is joined: on the VLAN device of that link, or on the
/// device of the inner tag upon the one of the outer. `None` when the kernel has no such device: the group can then be
/// joined only on the link itself, where the switch sees the join without a tag.
#[must_use]
pub fn join_device(devices: &[VlanDevice], ifindex: u32, vlans: [u16; 2]) -> Option<u32> {
    vlans.into_iter().filter(|vlan| *vlan != 0).try_fold(ifindex, |parent, vlan| {
        devices
            .iter()
            .find(|device| device.parent_ifindex == parent && device.vlan == vlan)
            .map(|device| device.ifindex)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(parent_ifindex: u32, vlan: u16, ifindex: u32) -> VlanDevice {
        VlanDevice { parent_ifindex, vlan, ifindex, name: format!("vlan{vlan}") }
    }

    #[test]
    fn a_join_is_made_on_the_device_of_its_tags() {
        let devices = [device(2, 100, 10), device(3, 100, 11), device(10, 7, 12)];
        assert_eq!(join_device(&devices, 2, [0, 0]), Some(2));
        assert_eq!(join_device(&devices, 2, [100, 0]), Some(10));
        assert_eq!(join_device(&devices, 3, [100, 0]), Some(11));
        assert_eq!(join_device(&devices, 2, [100, 7]), Some(12));
        assert_eq!(join_device(&devices, 3, [100, 7]), None);
        assert_eq!(join_device(&devices, 2, [101, 0]), None);
    }
}
