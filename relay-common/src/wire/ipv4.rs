//! IPv4 (RFC 791).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, network_endian::U16};

/// An IPv4 header without its options.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Version|  IHL  |   DSCP    |ECN|          Total Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |         Identification        |Flags|     Fragment Offset     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Time to Live  |    Protocol   |        Header Checksum        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                        Source Address                         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                     Destination Address                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    Options                    |    Padding    |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    /// Version and header length, then DSCP and ECN: one word of the checksum.
    pub version_and_service: [u8; 2],
    /// Bytes of header and payload.
    pub total_length: U16,
    /// Identification.
    pub identification: U16,
    /// Flags and fragment offset.
    pub fragment: U16,
    /// Time to live, then protocol: one word of the checksum.
    pub ttl_and_protocol: [u8; 2],
    /// Header checksum.
    pub checksum: U16,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}
const _: () = assert!(size_of::<Ipv4>() == Ipv4::LEN);

impl Ipv4 {
    /// Bytes of a header without options.
    pub const LEN: usize = 20;
    /// Bytes of a header with as many options as it can have.
    pub const MAX_LEN: usize = 60;
    /// The first byte of a header without options: its version and its length in words of four bytes.
    pub const WITHOUT_OPTIONS: u8 = 4 << 4 | 5;
    /// The bits of `fragment` that a whole datagram has clear: *more fragments* and the offset.
    pub const IS_FRAGMENT: u16 = 0x3fff;

    /// The version, 4 in a valid header.
    #[inline(always)]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.version_and_service[0] >> 4
    }

    /// Bytes of the header with its options, as it says.
    #[inline(always)]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        (self.version_and_service[0] & 0xf) as usize * 4
    }

    /// DSCP and ECN.
    #[inline(always)]
    #[must_use]
    pub const fn service(&self) -> u8 {
        self.version_and_service[1]
    }

    /// Time to live.
    #[inline(always)]
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.ttl_and_protocol[0]
    }

    /// The protocol that follows.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.ttl_and_protocol[1]
    }

    /// Says whether the datagram was cut.
    #[inline(always)]
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment.get() & Self::IS_FRAGMENT != 0
    }
}

/// The options between the header and what follows.
pub mod options {
    use crate::frame::Frame;

    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;

    /// Whether the options from `at` to `end` name the routers that the datagram is to pass (RFC 791): whoever forwards
    /// it looks into them for where it goes, not only at the destination.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub fn name_a_route<F: Frame + ?Sized>(frame: &F, at: usize, end: usize) -> bool {
        let mut at = at;
        while at < end {
            let Some(kind) = frame.header::<u8>(at) else { return false };
            match *kind {
                END => return false,
                NOTHING => at += 1,
                LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return true,
                // Kind and length are counted. What is shorter than they cannot be stepped over, nor can any receiver.
                _ => match frame.header::<u8>(at + 1) {
                    Some(length) if *length >= 2 => at += *length as usize,
                    _ => return false,
                },
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Ipv4, options::name_a_route};
    use zerocopy::FromBytes as _;

    #[test]
    fn a_header_is_read_as_it_lies() {
        let bytes = [0x46, 0xb9, 0x05, 0x3c, 0x12, 0x34, 0x40, 0x00, 0x10, 0x11, 0xab, 0xcd, 10, 0, 0, 1, 239, 1, 2, 3];
        let header = Ipv4::ref_from_bytes(&bytes).unwrap();
        assert_eq!((header.version(), header.header_len(), header.service()), (4, 24, 0xb9));
        assert_eq!((header.total_length.get(), header.protocol(), header.checksum.get()), (0x53c, 17, 0xabcd));
        assert_eq!((header.source, header.destination), ([10, 0, 0, 1], [239, 1, 2, 3]));
        assert!(!header.is_fragment(), "don't-fragment is no fragment");
    }

    #[test]
    fn options_are_walked_and_not_searched() {
        let routed = |options: &[u8]| name_a_route(options, 0, options.len());
        assert!(routed(&[131, 7, 4, 10, 0, 0, 1, 0]) && routed(&[137, 3, 4, 0]));
        assert!(routed(&[1, 131, 7, 4, 10, 0, 0, 1]), "behind one that only fills up");
        assert!(routed(&[0x94, 4, 0, 0, 1, 137, 3, 4]), "behind a router alert");
        assert!(!routed(&[]) && !routed(&[1; 40]));
        assert!(!routed(&[0x94, 4, 131, 137]), "what an option carries is none");
        assert!(!routed(&[0, 131, 3, 4]), "behind the end there is none");
        assert!(!routed(&[68, 0, 131, 3]) && !routed(&[68]), "a length that leads nowhere");
        assert!(!name_a_route(&[1u8, 1, 131, 3][..], 0, 2), "behind the options is none");
    }
}
