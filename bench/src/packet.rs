//! Frames from headers, and headers from frames.
//!
//! Written without a look at the relay's own parser: two readings of the same standards that must agree.
//! `parse(build(headers, payload)).headers == headers` for every [`Headers`] that can go on a wire.

mod build;
mod checksum;
mod parse;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use anyhow::Context;

pub use build::{build, seal};
pub use parse::{Parsed, parse};

/// The TPID of a customer tag.
pub const TPID_8021Q: u16 = 0x8100;
/// The TPID of a service tag.
pub const TPID_8021AD: u16 = 0x88a8;

/// A MAC address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that a group is sent to (RFC 1112 section 6.4, RFC 2464 section 7); none for a unicast address.
    pub fn of_group(group: IpAddr) -> Option<Self> {
        match group {
            IpAddr::V4(group) if group.is_multicast() => {
                let [_, b, c, d] = group.octets();
                Some(Self([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
            }
            IpAddr::V6(group) if group.is_multicast() => {
                let [.., c, d, e, f] = group.octets();
                Some(Self([0x33, 0x33, c, d, e, f]))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for Mac {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<Vec<_>, _>>();
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).with_context(|| format!("\"{text}\" is not a MAC address"))
    }
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Which kind of tag.
    pub tpid: u16,
    /// VLAN number, below 4096.
    pub id: u16,
    /// Priority, below 8.
    pub priority: u8,
    /// Drop eligible.
    pub drop_eligible: bool,
}

impl Vlan {
    /// A customer tag of priority 0.
    pub fn new(id: u16) -> Self {
        Self { tpid: TPID_8021Q, id, priority: 0, drop_eligible: false }
    }

    /// A service tag of priority 0.
    pub fn service(id: u16) -> Self {
        Self { tpid: TPID_8021AD, ..Self::new(id) }
    }
}

/// How good a checksum is: what the builder is to make, or what the parser found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// As the standard wants it.
    #[default]
    Right,
    /// Zero: none. Legal for UDP over IPv4.
    Zero,
    /// The sum of the pseudo header only, as a sender leaves it that counts on its hardware.
    Partial,
    /// Anything else.
    Wrong,
}

/// An IPv4 header. Version, lengths and protocol follow from the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// DSCP and ECN.
    pub tos: u8,
    /// Identification.
    pub identification: u16,
    /// The flag.
    pub dont_fragment: bool,
    /// The flag.
    pub more_fragments: bool,
    /// In units of eight bytes.
    pub fragment_offset: u16,
    /// Time to live.
    pub ttl: u8,
    /// A multiple of four bytes, at most forty.
    pub options: Vec<u8>,
    /// Of the header; `Right` or `Wrong`.
    pub checksum: Checksum,
}

/// An IPv6 header. Version, payload length and next headers follow from the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Twenty bits.
    pub flow_label: u32,
    /// Hop limit.
    pub hop_limit: u8,
    /// The headers between this one and UDP.
    pub extensions: Vec<Extension>,
}

/// An IPv6 extension header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Its protocol number: 0 hop-by-hop, 43 routing, 44 fragment, 60 destination options.
    pub kind: u8,
    /// What follows its first two bytes (next header and length): 6 bytes, or 8 more of them as often as wanted.
    pub content: Vec<u8>,
}

/// The network layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ip {
    /// Version 4.
    V4(Ipv4),
    /// Version 6.
    V6(Ipv6),
}

/// All headers of a UDP datagram in an Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Ethernet source.
    pub source_mac: Mac,
    /// Ethernet destination.
    pub destination_mac: Mac,
    /// Tags, the outermost first.
    pub vlans: Vec<Vlan>,
    /// The network layer.
    pub ip: Ip,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub destination_port: u16,
    /// Of UDP.
    pub checksum: Checksum,
}

impl Headers {
    /// Headers as an ordinary sender makes them: no tags, TTL 64, DF set, checksums right; to a group's own MAC, or
    /// to the broadcast MAC for a unicast address until you say better.
    ///
    /// # Panics
    /// When the two addresses are of different families.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        let ip = match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ip::V4(Ipv4 {
                source,
                destination,
                tos: 0,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                ttl: 64,
                options: Vec::new(),
                checksum: Checksum::Right,
            }),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ip::V6(Ipv6 {
                source,
                destination,
                traffic_class: 0,
                flow_label: 0,
                hop_limit: 64,
                extensions: Vec::new(),
            }),
            _ => panic!("{source} and {destination} are of different families"),
        };
        Self {
            source_mac: Mac([0x02, 0, 0, 0, 0, 0x01]),
            destination_mac: Mac::of_group(destination.ip()).unwrap_or(Mac([0xff; 6])),
            vlans: Vec::new(),
            ip,
            source_port: source.port(),
            destination_port: destination.port(),
            checksum: Checksum::Right,
        }
    }

    /// With another source MAC.
    #[must_use]
    pub fn from_mac(mut self, mac: Mac) -> Self {
        self.source_mac = mac;
        self
    }

    /// With another destination MAC.
    #[must_use]
    pub fn to_mac(mut self, mac: Mac) -> Self {
        self.destination_mac = mac;
        self
    }

    /// With these tags, the outermost first.
    #[must_use]
    pub fn tagged(mut self, vlans: &[Vlan]) -> Self {
        self.vlans = vlans.to_vec();
        self
    }

    /// With another TTL or hop limit.
    #[must_use]
    pub fn ttl(mut self, hops: u8) -> Self {
        match &mut self.ip {
            Ip::V4(ip) => ip.ttl = hops,
            Ip::V6(ip) => ip.hop_limit = hops,
        }
        self
    }

    /// With another DSCP (below 64); ECN is kept.
    #[must_use]
    pub fn dscp(mut self, dscp: u8) -> Self {
        let (Ip::V4(Ipv4 { tos: class, .. }) | Ip::V6(Ipv6 { traffic_class: class, .. })) = &mut self.ip;
        *class = dscp << 2 | *class & 3;
        self
    }

    /// With another UDP checksum.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// Source address and port.
    pub fn source(&self) -> SocketAddr {
        match &self.ip {
            Ip::V4(ip) => (ip.source, self.source_port).into(),
            Ip::V6(ip) => (ip.source, self.source_port).into(),
        }
    }

    /// Destination address and port.
    pub fn destination(&self) -> SocketAddr {
        match &self.ip {
            Ip::V4(ip) => (ip.destination, self.destination_port).into(),
            Ip::V6(ip) => (ip.destination, self.destination_port).into(),
        }
    }

    /// TTL or hop limit.
    pub fn hops(&self) -> u8 {
        match &self.ip {
            Ip::V4(ip) => ip.ttl,
            Ip::V6(ip) => ip.hop_limit,
        }
    }

    /// DSCP without ECN.
    pub fn dscp_value(&self) -> u8 {
        match &self.ip {
            Ip::V4(ip) => ip.tos >> 2,
            Ip::V6(ip) => ip.traffic_class >> 2,
        }
    }
}

#[cfg(test)]
mod tests;
