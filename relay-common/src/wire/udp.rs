//! UDP (RFC 768).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, network_endian::U16};

/// A UDP header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |          Source Port          |       Destination Port        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |            Length             |           Checksum            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp {
    /// Source port.
    pub source: U16,
    /// Destination port.
    pub destination: U16,
    /// Bytes of this header and the payload.
    pub length: U16,
    /// Checksum over pseudo-header, header and payload; 0 when the sender made none.
    pub checksum: U16,
}
const _: () = assert!(size_of::<Udp>() == Udp::LEN);

impl Udp {
    /// Bytes of a UDP header.
    pub const LEN: usize = 8;
    /// Its number as IPv4's protocol and IPv6's next header.
    pub const PROTOCOL: u8 = 17;
}

#[cfg(test)]
mod tests {
    use super::Udp;
    use zerocopy::FromBytes as _;

    #[test]
    fn a_header_is_read_as_it_lies() {
        let header = Udp::read_from_bytes(&[0x13, 0x88, 0x04, 0xd2, 0x05, 0x2c, 0xab, 0xcd]).unwrap();
        assert_eq!((header.source.get(), header.destination.get()), (5000, 1234));
        assert_eq!((header.length.get(), header.checksum.get()), (1324, 0xabcd));
    }
}
