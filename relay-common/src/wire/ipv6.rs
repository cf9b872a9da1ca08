//! IPv6 (RFC 8200): the fixed header, and the extension headers that may stand before UDP.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, network_endian::U16};

/// An IPv6 header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Version| Traffic Class |           Flow Label                  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |         Payload Length        |  Next Header  |   Hop Limit   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// +                         Source Address                        +
/// |                          (4 words)                            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// +                      Destination Address                      +
/// |                          (4 words)                            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    /// Version, traffic class (DSCP and ECN) and the upper part of the flow label.
    pub version_and_class: U16,
    /// The lower part of the flow label.
    pub flow: U16,
    /// Bytes after this header.
    pub payload_length: U16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}
const _: () = assert!(size_of::<Ipv6>() == Ipv6::LEN);

impl Ipv6 {
    /// Bytes of the fixed header.
    pub const LEN: usize = 40;
    /// The bits of `version_and_class` that are the DSCP.
    pub const DSCP: u16 = 0x0fc0;
    /// How far the DSCP stands from the right in `version_and_class`.
    pub const DSCP_SHIFT: u32 = 6;

    /// The version, 6 in a valid header.
    #[inline(always)]
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version_and_class.to_bytes()[0] >> 4
    }
}

/// The beginning that all extension headers share which we look through.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Next Header  |  Hdr Ext Len  | Routing Type  | Segments Left |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                            data …                             |
/// ```
///
/// Routing type and segments left are there in a routing header only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Extension {
    /// What follows this header.
    pub next_header: u8,
    /// Its length in units of 8 bytes, not counting the first 8.
    pub length: u8,
    /// Routing header: its type.
    pub routing_type: u8,
    /// Routing header: how many nodes are still to be visited.
    pub segments_left: u8,
}
const _: () = assert!(size_of::<Extension>() == 4);

impl Extension {
    /// Extension headers that are looked through; a datagram with more has too long a header.
    pub const MAX: usize = 4;

    /// Bytes of this header.
    #[inline(always)]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        (self.length as usize + 1) * 8
    }
}

/// Next header: hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Next header: routing.
pub const ROUTING: u8 = 43;
/// Next header: a fragment of a datagram.
pub const FRAGMENT: u8 = 44;
/// Next header: destination options.
pub const DESTINATION_OPTIONS: u8 = 60;

#[cfg(test)]
mod tests {
    use super::{Extension, Ipv6};
    use zerocopy::FromBytes as _;

    #[test]
    fn a_header_is_read_as_it_lies() {
        let mut bytes = [0u8; 40];
        bytes[..8].copy_from_slice(&[0x6b, 0x91, 0x23, 0x45, 0x05, 0x3c, 17, 9]);
        bytes[8] = 0xfd;
        bytes[24] = 0xff;
        let header = Ipv6::ref_from_bytes(&bytes).unwrap();
        assert_eq!((header.version(), header.payload_length.get()), (6, 0x53c));
        assert_eq!((header.version_and_class.get() & Ipv6::DSCP) >> Ipv6::DSCP_SHIFT, 46);
        assert_eq!((header.next_header, header.hop_limit), (17, 9));
        assert_eq!((header.source[0], header.destination[0]), (0xfd, 0xff));
    }

    #[test]
    fn an_extension_header_counts_in_eights() {
        let extension = Extension::read_from_bytes(&[17, 2, 0, 0]).unwrap();
        assert_eq!(extension.header_len(), 24);
    }
}
