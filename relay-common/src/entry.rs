//! A relay and an output as a lane reads them: flat, without pointers, ready to be compared byte by byte.

use crate::abi::{Address, InputKey};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Outputs that one relay can have.
pub const MAX_OUTPUTS_PER_RELAY: usize = 64;

/// One relay. Entries lie at their slot; an entry that is not in use is all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RelayEntry {
    /// What its frames look like when they come in.
    pub key: InputKey,
    /// Where its outputs begin among the table's outputs.
    pub first_output: u32,
    /// How many outputs follow from there.
    pub n_outputs: u16,
    /// [`RelayEntry::IN_USE`], [`RelayEntry::MUTED`], [`RelayEntry::METER_RTP`], [`RelayEntry::METER_TS`].
    pub flags: u16,
    /// A gap between two packets that is longer, in milliseconds, counts as an interruption; 0 counts none.
    pub silence_ms: u32,
    /// Another number whenever another stream may come in at this slot, or the same one after it was away: meters then
    /// begin anew.
    pub epoch: u32,
    /// Where its sources begin among the table's sources.
    pub first_source: u32,
    /// How many sources follow from there; it takes any source when there are none.
    pub n_sources: u16,
    /// Always 0.
    pub zero: u16,
}
const _: () = assert!(size_of::<RelayEntry>() == 52);
const _: () = assert!(MAX_OUTPUTS_PER_RELAY <= u16::MAX as usize);

impl RelayEntry {
    /// The slot is in use.
    pub const IN_USE: u16 = 1;
    /// What comes in is measured and not sent: each output drops it as `muted`.
    pub const MUTED: u16 = 2;
    /// RTP of the input is measured.
    pub const METER_RTP: u16 = 4;
    /// MPEG-TS of the input is measured.
    pub const METER_TS: u16 = 8;

    /// Whether the slot is in use.
    #[inline(always)]
    #[must_use]
    pub const fn is_in_use(&self) -> bool {
        self.flags & Self::IN_USE != 0
    }

    /// Whether nothing of it is sent.
    #[inline(always)]
    #[must_use]
    pub const fn is_muted(&self) -> bool {
        self.flags & Self::MUTED != 0
    }
}

/// What an output does with VLAN tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vlans {
    /// The frame leaves with the tags it came with.
    Keep,
    /// The frame leaves with exactly these tags (0, 1 or 2), outer first; priority bits of the outermost tag it came with are kept.
    Set {
        /// How many of `ids` count.
        n: u8,
        /// The VLAN identifiers.
        ids: [u16; 2],
    },
}

/// How an output rewrites a datagram: everything that decides about the bytes that leave. Two outputs with equal
/// rewrites can share a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Rewrite {
    /// Destination address: a group or a host, of the same family as the input.
    pub destination: Address,
    /// Source address; only used when [`Rewrite::SET_SOURCE`] is set.
    pub source: Address,
    /// Destination hardware address.
    pub destination_mac: [u8; 6],
    /// Source hardware address: the output link's.
    pub source_mac: [u8; 6],
    /// UDP destination port.
    pub destination_port: u16,
    /// UDP source port; 0 keeps the datagram's own.
    pub source_port: u16,
    /// VLAN identifiers, outer first.
    pub vlan_ids: [u16; 2],
    /// How many of `vlan_ids` count; [`Rewrite::KEEP_VLANS`] keeps the datagram's own tags.
    pub n_vlans: u8,
    /// TTL or hop limit to send with; [`Rewrite::DECREMENT_TTL`] counts down the datagram's own.
    pub ttl: u8,
    /// DSCP to send with; only used when [`Rewrite::SET_DSCP`] is set.
    pub dscp: u8,
    /// [`Rewrite::SET_SOURCE`], [`Rewrite::SET_DSCP`].
    pub flags: u8,
}
const _: () = assert!(size_of::<Rewrite>() == 56);

impl Rewrite {
    /// The source address is set; without it the datagram keeps its own.
    pub const SET_SOURCE: u8 = 1;
    /// The DSCP is set; without it the datagram keeps its own.
    pub const SET_DSCP: u8 = 2;
    /// The value of `ttl` that counts the datagram's own down. A datagram that has none left is not sent.
    pub const DECREMENT_TTL: u8 = 0;
    /// The value of `n_vlans` that keeps the datagram's own tags.
    pub const KEEP_VLANS: u8 = 0xff;

    /// What this rewrite does with VLAN tags.
    #[inline(always)]
    #[must_use]
    pub const fn vlans(&self) -> Vlans {
        match self.n_vlans {
            Self::KEEP_VLANS => Vlans::Keep,
            n => Vlans::Set { n, ids: self.vlan_ids },
        }
    }
}

/// One output of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OutputEntry {
    /// How the bytes change.
    pub rewrite: Rewrite,
    /// Which of the lane's transmit rings it leaves by: the number of the output link in the table.
    pub link: u16,
    /// [`OutputEntry::PENDING`], [`OutputEntry::SHARES`], [`OutputEntry::DECREMENTS_TTL`].
    pub flags: u16,
    /// The longest IP packet the link takes, in bytes.
    pub mtu: u32,
    /// Its place among the output counters: it stays while the output stays, whatever else changes.
    pub counter: u32,
    /// Always 0.
    pub zero: u32,
}
const _: () = assert!(size_of::<OutputEntry>() == 72);

impl OutputEntry {
    /// The output cannot send now: packets for it are dropped as `pending`.
    pub const PENDING: u16 = 1;
    /// Its rewrite equals that of the output before it in the same relay (which is not pending), so they share a frame.
    pub const SHARES: u16 = 2;
    /// Its rewrite counts the TTL down: a packet that comes with 1 is dropped as `ttl_expired`. Said here too, because
    /// what drops a packet at an output is looked at before anything is rewritten.
    pub const DECREMENTS_TTL: u16 = 4;
}
