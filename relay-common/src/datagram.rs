//! A datagram: where its headers stand in a frame, and what in them decides whose it is.

use crate::abi::{Address, InputKey};
use crate::frame::Frame;
use crate::wire::ethernet::{self, Ethernet};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{self, Extension, Ipv6};
use crate::wire::udp::Udp;
use crate::wire::vlan::{self, Vlan};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// The longest header, from the start of the frame to the payload, that a datagram of ours has.
///
/// IPv4 needs 90 bytes at most; IPv6 has 58 left for extension headers, so only there it has to be compared with.
pub const MAX_HEADER: usize = 128;
const _: () = assert!(Ethernet::LEN + vlan::MAX_TAGS * Vlan::LEN + Ipv4::MAX_LEN + Udp::LEN <= MAX_HEADER);

/// The longest frame that is looked into: offsets have 16 bits. No link that XDP runs on has longer ones.
const LONGEST: usize = u16::MAX as usize;

/// A whole UDP datagram in a frame. Offsets count from the start of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Destination address.
    pub destination: Address,
    /// Source address.
    pub source: Address,
    /// UDP destination port.
    pub port: u16,
    /// The UDP checksum it leaves with when nothing changes: as it came, or finished by [`crate::unfinished`]. 0 when
    /// the sender made none.
    pub checksum: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// VLAN identifiers, outer first; 0 where there is none. A priority tag (identifier 0) is no VLAN.
    pub vlans: [u16; 2],
    /// How many tags the frame carries, priority tags too.
    pub n_tags: u8,
    /// IPv6, or else IPv4.
    pub v6: bool,
    /// Where the IP header begins.
    pub l3: u16,
    /// Where the UDP header begins.
    pub l4: u16,
    /// Where the payload begins: the length of the header, [`MAX_HEADER`] at most.
    pub payload: u16,
    /// Where the IP packet ends. What follows is padding of the link.
    pub end: u16,
    /// The IPv4 identification, or the lower bits of the IPv6 flow label, that it leaves with in place of its own: see
    /// [`crate::looping`].
    pub mark: Option<u16>,
}

/// Why a frame is not a datagram of ours. None of these is an error: the kernel gets the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotADatagram {
    /// Not UDP in IPv4 or IPv6, or in a way that cannot be relayed: more tags, source routing, authentication.
    NotUdp,
    /// A part of a datagram.
    Fragment,
    /// Its lengths contradict each other or the frame's.
    Malformed,
    /// A longer header than [`MAX_HEADER`], or more than [`Extension::MAX`] extension headers.
    LongHeader,
}

/// What was found in a frame.
pub type Parsed = Result<Datagram, NotADatagram>;

impl Datagram {
    /// Finds the datagram in a frame.
    ///
    /// Whether checksums are right is not looked at: they are updated for what changes (RFC 1624), so a frame that came
    /// damaged leaves damaged and its receiver refuses it, as it would have without us.
    #[inline(always)]
    pub fn parse<F: Frame + ?Sized>(frame: &F) -> Parsed {
        if let Some(parsed) = Self::parse_plain(frame) {
            return parsed;
        }
        if frame.len() > LONGEST {
            return Err(NotADatagram::NotUdp);
        }
        let tags = Tags::parse(frame)?;
        let ip = match tags.ether_type {
            ethernet::IPV4 => Ip::parse_v4(frame, tags.end)?,
            ethernet::IPV6 => Ip::parse_v6(frame, tags.end)?,
            _ => return Err(NotADatagram::NotUdp),
        };
        Self::new(frame.len(), &tags, &ip, frame.header(ip.l4).ok_or(NotADatagram::Malformed)?)
    }

    /// Finds the datagram in a frame that is as most are, IPv4 without tags and options: looked for in one piece, and where
    /// everything stands is known when this is compiled. `None` for any other frame.
    #[inline(always)]
    pub fn parse_plain<F: Frame + ?Sized>(frame: &F) -> Option<Parsed> {
        let Plain { link, ip, udp } = frame.header(0)?;
        let is_plain = link.ether_type.get() == ethernet::IPV4
            && ip.version_and_service[0] == Ipv4::WITHOUT_OPTIONS
            && frame.len() <= LONGEST;
        let (tags, at, header_len) = (Tags::none(ethernet::IPV4), Ethernet::LEN, Ipv4::LEN);
        is_plain.then(|| Self::new(frame.len(), &tags, &Ip::v4(ip, at, header_len)?, udp))
    }

    #[inline(always)]
    fn new(frame_len: usize, tags: &Tags, ip: &Ip, udp: &Udp) -> Parsed {
        let end = tags.end + ip.len;
        let udp_len = udp.length.get() as usize;
        // UDP may end before IP does (RFC 9868 puts options there); it may not end after it.
        if end > frame_len || udp_len < Udp::LEN || ip.l4 + udp_len > end {
            return Err(NotADatagram::Malformed);
        }
        Ok(Self {
            destination: ip.destination,
            source: ip.source,
            port: udp.destination.get(),
            checksum: udp.checksum.get(),
            ttl: ip.ttl,
            vlans: tags.vlans,
            n_tags: tags.n,
            v6: tags.ether_type == ethernet::IPV6,
            l3: narrow(tags.end),
            l4: narrow(ip.l4),
            payload: narrow(ip.l4 + Udp::LEN),
            end: narrow(end),
            mark: None,
        })
    }

    /// What its relay is looked up by.
    #[inline(always)]
    #[must_use]
    pub const fn key(&self, ifindex: u32) -> InputKey {
        InputKey { ifindex, destination: self.destination, port: self.port, vlans: self.vlans, zero: 0 }
    }
}

/// An offset that was compared with a length of 16 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the frame's length has 16 bits")]
const fn narrow(offset: usize) -> u16 {
    offset as u16
}

/// The headers of a datagram in IPv4 without tags and options.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Plain {
    link: Ethernet,
    ip: Ipv4,
    udp: Udp,
}

/// What stands before the IP header.
struct Tags {
    ether_type: u16,
    vlans: [u16; 2],
    n: u8,
    end: usize,
}

impl Tags {
    #[inline(always)]
    const fn none(ether_type: u16) -> Self {
        Self { ether_type, vlans: [0, 0], n: 0, end: Ethernet::LEN }
    }

    #[inline(always)]
    fn parse<F: Frame + ?Sized>(frame: &F) -> Result<Self, NotADatagram> {
        let link: &Ethernet = frame.header(0).ok_or(NotADatagram::NotUdp)?;
        let ether_type = link.ether_type.get();
        if !vlan::is_tag(ether_type) {
            return Ok(Self::none(ether_type));
        }
        let outer: &Vlan = frame.header(Ethernet::LEN).ok_or(NotADatagram::NotUdp)?;
        let ether_type = outer.ether_type.get();
        if !vlan::is_tag(ether_type) {
            return Ok(Self { ether_type, vlans: [outer.id(), 0], n: 1, end: Ethernet::LEN + Vlan::LEN });
        }
        let inner: &Vlan = frame.header(Ethernet::LEN + Vlan::LEN).ok_or(NotADatagram::NotUdp)?;
        // The kernel, too, looks through a priority tag to the tag behind it.
        let vlans = if outer.id() == 0 { [inner.id(), 0] } else { [outer.id(), inner.id()] };
        Ok(Self { ether_type: inner.ether_type.get(), vlans, n: 2, end: Ethernet::LEN + 2 * Vlan::LEN })
    }
}

/// What IPv4 and IPv6 have in common.
struct Ip {
    source: Address,
    destination: Address,
    ttl: u8,
    /// Where UDP begins.
    l4: usize,
    /// Bytes of the whole packet.
    len: usize,
}

impl Ip {
    #[inline(always)]
    fn parse_v4<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Self, NotADatagram> {
        let header: &Ipv4 = frame.header(at).ok_or(NotADatagram::Malformed)?;
        let header_len = header.header_len();
        if header.version() != 4 || header_len < Ipv4::LEN {
            return Err(NotADatagram::Malformed);
        }
        Self::v4(header, at, header_len)
    }

    #[inline(always)]
    fn v4(header: &Ipv4, at: usize, header_len: usize) -> Result<Self, NotADatagram> {
        if header.protocol() != Udp::PROTOCOL {
            return Err(NotADatagram::NotUdp);
        }
        if header.is_fragment() {
            return Err(NotADatagram::Fragment);
        }
        let (source, destination) = (Address::v4(header.source), Address::v4(header.destination));
        let (ttl, len) = (header.ttl(), header.total_length.get() as usize);
        Ok(Self { source, destination, ttl, l4: at + header_len, len })
    }

    #[inline(always)]
    fn parse_v6<F: Frame + ?Sized>(frame: &F, at: usize) -> Result<Self, NotADatagram> {
        let header: &Ipv6 = frame.header(at).ok_or(NotADatagram::Malformed)?;
        if header.version() != 6 {
            return Err(NotADatagram::Malformed);
        }
        let l4 = if header.next_header == Udp::PROTOCOL {
            at + Ipv6::LEN
        } else {
            Self::after_extensions(frame, at + Ipv6::LEN, header.next_header)?
        };
        let payload_len = header.payload_length.get() as usize;
        if payload_len == 0 {
            return Err(NotADatagram::NotUdp); // a jumbogram (RFC 2675)
        }
        let (source, destination) = (Address(header.source), Address(header.destination));
        Ok(Self { source, destination, ttl: header.hop_limit, l4, len: Ipv6::LEN + payload_len })
    }

    /// Where UDP begins behind extension headers.
    ///
    /// Not looked through: a routing header that still has nodes to visit, because the checksum then counts another
    /// destination than the one in the header; authentication, because it covers what we would rewrite.
    #[inline(always)]
    fn after_extensions<F: Frame + ?Sized>(frame: &F, at: usize, next_header: u8) -> Result<usize, NotADatagram> {
        let (mut at, mut next_header) = (at, next_header);
        for _ in 0..Extension::MAX {
            match next_header {
                ipv6::HOP_BY_HOP | ipv6::DESTINATION_OPTIONS | ipv6::ROUTING => {}
                ipv6::FRAGMENT => return Err(NotADatagram::Fragment),
                _ => return Err(NotADatagram::NotUdp),
            }
            let extension: &Extension = frame.header(at).ok_or(NotADatagram::Malformed)?;
            if next_header == ipv6::ROUTING && extension.segments_left != 0 {
                return Err(NotADatagram::NotUdp);
            }
            at += extension.header_len();
            if at + Udp::LEN > MAX_HEADER {
                return Err(NotADatagram::LongHeader);
            }
            next_header = extension.next_header;
            if next_header == Udp::PROTOCOL {
                return Ok(at);
            }
        }
        Err(NotADatagram::LongHeader)
    }
}

#[cfg(test)]
pub(crate) mod tests;
