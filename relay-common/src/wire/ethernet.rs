//! Ethernet II (IEEE 802.3), and how a group's address becomes a hardware address.

use crate::abi::Address;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, network_endian::U16};

/// An Ethernet header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                     Destination Address                       |
/// +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                               |                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
/// |                       Source Address                          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |           EtherType           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ethernet {
    /// Destination hardware address.
    pub destination: [u8; 6],
    /// Source hardware address.
    pub source: [u8; 6],
    /// What follows, or the protocol identifier of a VLAN tag.
    pub ether_type: U16,
}
const _: () = assert!(size_of::<Ethernet>() == Ethernet::LEN);

impl Ethernet {
    /// Bytes of an Ethernet header.
    pub const LEN: usize = 14;
}

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

/// The hardware address that datagrams to a group are sent to: 01:00:5e and the last 23 bits (RFC 1112), or 33:33 and
/// the last 32 bits (RFC 2464). `None` for an address that is no group.
#[must_use]
pub const fn group_mac(group: Address) -> Option<[u8; 6]> {
    let [.., a, b, c, d] = group.0;
    if group.is_v4() {
        if a >> 4 == 0xe { Some([0x01, 0x00, 0x5e, b & 0x7f, c, d]) } else { None }
    } else if group.0[0] == 0xff {
        Some([0x33, 0x33, a, b, c, d])
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::group_mac;
    use crate::abi::Address;
    use core::net::IpAddr;

    fn mac(group: &str) -> Option<[u8; 6]> {
        group_mac(Address::from(group.parse::<IpAddr>().unwrap()))
    }

    #[test]
    fn groups_have_a_hardware_address_and_hosts_have_none() {
        assert_eq!(mac("224.0.0.1"), Some([1, 0, 0x5e, 0, 0, 1]));
        assert_eq!(mac("239.129.2.3"), Some([1, 0, 0x5e, 1, 2, 3]), "the 24th bit is not carried");
        assert_eq!(mac("ff3e::1:2:3"), Some([0x33, 0x33, 0, 2, 0, 3]));
        assert_eq!(mac("223.255.255.255"), None);
        assert_eq!(mac("240.0.0.1"), None);
        assert_eq!(mac("fe80::1"), None);
    }
}
