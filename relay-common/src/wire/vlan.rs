//! VLAN tags (IEEE 802.1Q, and two of them as in 802.1ad).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, network_endian::U16};

/// A tag as it lies after the hardware addresses: its own protocol identifier is the EtherType before it.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | PCP |D|    VLAN Identifier    |           EtherType           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Vlan {
    /// Priority (3 bits), drop eligibility (1 bit), identifier (12 bits).
    pub control: U16,
    /// What follows.
    pub ether_type: U16,
}
const _: () = assert!(size_of::<Vlan>() == Vlan::LEN);

impl Vlan {
    /// Bytes of a tag.
    pub const LEN: usize = 4;
    /// The bits of `control` that are the identifier.
    pub const ID: u16 = 0x0fff;
    /// The bits of `control` that are priority and drop eligibility.
    pub const PRIORITY: u16 = 0xf000;

    /// The identifier; 0 is a priority tag, which names no VLAN.
    #[inline(always)]
    #[must_use]
    pub fn id(&self) -> u16 {
        self.control.get() & Self::ID
    }
}

/// Protocol identifier of a customer tag (802.1Q).
pub const CUSTOMER: u16 = 0x8100;
/// Protocol identifier of a service tag (802.1ad).
pub const SERVICE: u16 = 0x88a8;
/// Protocol identifier that older switches use for the outer of two tags.
pub const OLD_SERVICE: u16 = 0x9100;

/// Tags that are looked through; a frame with more is not ours.
pub const MAX_TAGS: usize = 2;

/// Says whether this EtherType begins a tag.
#[inline(always)]
#[must_use]
pub const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, CUSTOMER | SERVICE | OLD_SERVICE)
}

#[cfg(test)]
mod tests {
    use super::{Vlan, is_tag};
    use zerocopy::FromBytes as _;

    #[test]
    fn a_tag_is_read_as_it_lies() {
        let (tag, _) = Vlan::ref_from_prefix(&[0xb0, 0x64, 0x08, 0x00]).unwrap();
        assert_eq!((tag.id(), tag.control.get() & Vlan::PRIORITY, tag.ether_type.get()), (100, 0xb000, 0x0800));
        assert!(is_tag(0x8100) && is_tag(0x88a8) && is_tag(0x9100) && !is_tag(0x0800));
    }
}
