//! What the XDP program, control and the lanes share: map keys and values, the stamp in front of a frame.
//!
//! Every type is free of padding (the derive refuses it) and has its size asserted, because the kernel
//! compares map keys byte by byte.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Links that one node can use, as inputs and outputs together.
pub const MAX_LINKS: u32 = 64;
/// Queues of one link that one node can serve.
pub const MAX_QUEUES: u32 = 64;
/// Entries of the socket map: a link's queues lie side by side from `link * MAX_QUEUES`.
pub const SOCKET_SLOTS: u32 = MAX_LINKS * MAX_QUEUES;
/// Stands in the program for the number of the kernel's function that tells of a VLAN tag beside a frame. Whoever loads
/// the program puts that number in its place: it differs from kernel to kernel, and no helper has this one.
pub const RX_VLAN_TAG: i32 = 0x4d43_5631;

/// An IPv6 address, or an IPv4 address mapped into one (`::ffff:a.b.c.d`), so that one key serves both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Address(pub [u8; 16]);

impl Address {
    /// The address `::`, which no packet of ours has as its destination.
    pub const NONE: Self = Self([0; 16]);

    /// Maps an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(a: [u8; 4]) -> Self {
        // In words: byte by byte the compiler would carry sixteen values around.
        let words = [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, a[0], a[1], a[2], a[3]])];
        Self(zerocopy::transmute!(words))
    }

    /// Says whether this is a mapped IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        matches!(self.0, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, _, _, _, _])
    }

    /// Whether this is the same address, compared in words: comparing bytes takes both to memory.
    #[inline(always)]
    #[must_use]
    pub const fn is(&self, other: &Self) -> bool {
        let [mine, others]: [[u64; 2]; 2] = [zerocopy::transmute!(self.0), zerocopy::transmute!(other.0)];
        mine[0] == others[0] && mine[1] == others[1]
    }

    /// The last four bytes: the IPv4 address, when this is one.
    #[inline(always)]
    #[must_use]
    pub const fn v4_bytes(&self) -> [u8; 4] {
        [self.0[12], self.0[13], self.0[14], self.0[15]]
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() { Self::V4(Ipv4Addr::from(address.v4_bytes())) } else { Self::V6(Ipv6Addr::from(address.0)) }
    }
}

/// What a frame must have to belong to a relay: the key of the map `INPUTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InputKey {
    /// The kernel's index of the link the frame came in on.
    pub ifindex: u32,
    /// The destination address.
    pub destination: Address,
    /// The UDP destination port, in host order.
    pub port: u16,
    /// VLAN identifiers, outer first; 0 where there is no tag.
    pub vlans: [u16; 2],
    /// Always 0: it makes the key's padding visible.
    pub zero: u16,
}
const _: () = assert!(size_of::<InputKey>() == 28);

impl InputKey {
    /// Whether this is the same key: as `==`, for whoever asks of each packet.
    #[inline(always)]
    #[must_use]
    pub const fn is(&self, other: &Self) -> bool {
        self.ifindex == other.ifindex
            && self.port == other.port
            && self.vlans[0] == other.vlans[0]
            && self.vlans[1] == other.vlans[1]
            && self.destination.is(&other.destination)
    }
}

/// What the map `INPUTS` says of a relay's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InputValue {
    /// The relay's slot in the table; 0 when sources are named, because then `SOURCES` says whose a frame is.
    pub slot: u32,
    /// 1 when the relays of this key name their sources (SSM), else 0.
    pub has_sources: u32,
    /// Where this link's queues begin in the socket map.
    pub socket_base: u32,
    /// How many queues of this link have a place in the socket map.
    pub n_queues: u32,
}
const _: () = assert!(size_of::<InputValue>() == 16);

/// The key of the map `SOURCES`: an input and a source that a relay takes of it. The value is the relay's slot: two relays
/// may share an input if both name their sources and none is in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SourceKey {
    /// What else a frame must have.
    pub input: InputKey,
    /// The source address.
    pub source: Address,
}
const _: () = assert!(size_of::<SourceKey>() == 44);

/// The key of the map `OWN_MACS`: a hardware address of ours. A frame that has it as its source has come round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MacKey {
    /// The hardware address.
    pub mac: [u8; 6],
    /// Always 0.
    pub zero: [u8; 2],
}
const _: () = assert!(size_of::<MacKey>() == 8);

/// What the XDP program writes in front of a frame that it redirects.
///
/// It is a hint: a lane believes the slot only when the relay there takes what has the frame's key and source, because a
/// driver without a metadata area leaves whatever stood there before, and because the table may have changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Stamp {
    /// [`Stamp::MAGIC`], so that stale bytes are rarely taken for a stamp.
    pub magic: u32,
    /// The relay's slot.
    pub slot: u32,
    /// When the program saw the frame, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
}
const _: () = assert!(size_of::<Stamp>() == 16);

impl Stamp {
    /// Marks a stamp of this layout.
    pub const MAGIC: u32 = 0x4d43_5231;
    /// A stamp that says nothing.
    pub const NONE: Self = Self { magic: 0, slot: 0, time_ns: 0 };
}
