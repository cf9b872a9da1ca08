//! What is known of a link: plain data, so that compiling a table stays pure.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the kernel and the driver have counted of a link since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets that came in.
    pub rx_packets: u64,
    /// Damaged packets that came in.
    pub rx_errors: u64,
    /// Packets that came and were dropped: the card or the kernel had no room, a socket's ring was full, or nobody on this
    /// host wanted them, as with LLDP and STP.
    pub rx_dropped: u64,
    /// Packets that the card could not send.
    pub tx_errors: u64,
    /// Packets that were dropped on their way out.
    pub tx_dropped: u64,
}

impl LinkCounts {
    /// What was lost, by name.
    #[must_use]
    pub const fn losses(&self) -> [(&'static str, u64); 4] {
        [
            ("rx_dropped", self.rx_dropped),
            ("rx_errors", self.rx_errors),
            ("tx_dropped", self.tx_dropped),
            ("tx_errors", self.tx_errors),
        ]
    }
}

/// One interface as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The kernel's index of it.
    pub ifindex: u32,
    /// Its hardware address; all zero on links without one.
    pub mac: [u8; 6],
    /// The longest IP packet it takes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it has carrier.
    pub carrier: bool,
    /// IPv4 addresses with their prefix lengths, in the kernel's order.
    pub v4: Vec<(Ipv4Addr, u8)>,
    /// IPv6 addresses with their prefix lengths, global before link-local.
    pub v6: Vec<(Ipv6Addr, u8)>,
    /// Receive queues in use.
    pub n_rx_queues: u32,
    /// Transmit queues in use.
    pub n_tx_queues: u32,
}

impl Link {
    /// Says whether the link has that address.
    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.iter().any(|(own, _)| *own == address),
            IpAddr::V6(address) => self.v6.iter().any(|(own, _)| *own == address),
        }
    }

    /// Says whether that is the broadcast address of one of the link's networks.
    #[must_use]
    pub fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        self.v4.iter().filter(|(_, prefix)| *prefix < 31).any(|(own, prefix)| {
            let hosts = u32::MAX >> prefix;
            own.to_bits() | hosts == address.to_bits()
        })
    }
}

/// The next hop towards a unicast output, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The link it is reached by.
    pub ifindex: u32,
    /// The unicast destination that was asked for.
    pub destination: IpAddr,
    /// The address on the link: the destination itself or a gateway.
    pub next_hop: IpAddr,
    /// Its hardware address; the last known one while it is being asked for again.
    pub mac: Option<[u8; 6]>,
}

/// An 802.1Q device: the kernel's own view of one VLAN of a link, on which groups of that VLAN are joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VlanDevice {
    /// The kernel's index of the link that it lies on.
    pub parent_ifindex: u32,
    /// The VLAN identifier.
    pub vlan: u16,
    /// The kernel's index of the device itself.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
}

/// Everything that a table is compiled from besides the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The links of this node.
    pub links: Vec<Link>,
    /// What is known of unicast destinations.
    pub neighbours: Vec<Neighbour>,
    /// The VLAN devices of this node.
    pub vlan_devices: Vec<VlanDevice>,
    /// Links whose NIC cuts, in zero-copy, what it receives above so many bytes (a whole IP packet).
    pub cut_above: BTreeMap<String, u32>,
    /// Links on which zero-copy is left alone, unless it is demanded, and why: this kernel has a fault there.
    pub no_zero_copy: BTreeMap<String, String>,
    /// Links whose VLAN tags cannot be had in the frame, where packets are matched, and what to do.
    pub tags_stripped: BTreeMap<String, String>,
    /// Links that packets can neither come in on nor leave by now although they are there, and why.
    pub unusable: BTreeMap<String, String>,
    /// Queues without a socket, by link and number, and why: whatever else their link has works.
    pub unserved: BTreeMap<(String, u32), String>,
}

impl Facts {
    /// Whether a queue has no socket, by itself or because its link has none at all.
    #[must_use]
    pub fn lacks_socket(&self, link: &str, queue: u32) -> bool {
        self.unusable.contains_key(link) || self.unserved.contains_key(&(link.into(), queue))
    }

    /// The link of that name.
    #[must_use]
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The device that carries these VLAN identifiers of a link, outer first: the link itself when there are none, the
    /// device of the inner tag upon the one of the outer when there are two. `None` when the kernel has no such
    /// device: a group can then be joined only on the link itself, where the switch sees the join without a tag.
    #[must_use]
    pub fn vlan_device(&self, ifindex: u32, vlans: [u16; 2]) -> Option<u32> {
        vlans.into_iter().filter(|vlan| *vlan != 0).try_fold(ifindex, |parent, vlan| {
            let on_parent = |device: &&VlanDevice| device.parent_ifindex == parent && device.vlan == vlan;
            self.vlan_devices.iter().find(on_parent).map(|device| device.ifindex)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, VlanDevice};
    use alloc::{format, vec};

    fn device(parent_ifindex: u32, vlan: u16, ifindex: u32) -> VlanDevice {
        VlanDevice { parent_ifindex, vlan, ifindex, name: format!("vlan{vlan}") }
    }

    #[test]
    fn a_vlan_is_on_the_device_of_its_tags() {
        let vlan_devices = vec![device(2, 100, 10), device(3, 100, 11), device(10, 7, 12)];
        let facts = Facts { vlan_devices, ..Facts::default() };
        assert_eq!(facts.vlan_device(2, [0, 0]), Some(2));
        assert_eq!(facts.vlan_device(2, [100, 0]), Some(10));
        assert_eq!(facts.vlan_device(3, [100, 0]), Some(11));
        assert_eq!(facts.vlan_device(2, [100, 7]), Some(12));
        assert_eq!(facts.vlan_device(3, [100, 7]), None);
        assert_eq!(facts.vlan_device(2, [101, 0]), None);
    }
}
