//! What leaves: the header of a datagram as an output wants it, computed aside from the untouched frame.

use crate::datagram::{Datagram, MAX_HEADER};
use crate::drops::Drop;
use crate::entry::{Rewrite, Vlans};
use crate::frame::Frame;
use crate::wire::checksum::Change;
use crate::wire::ethernet::{self, Ethernet};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::Ipv6;
use crate::wire::udp::Udp;
use crate::wire::vlan::{self, Vlan};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, network_endian::U16};

/// The longest header that can leave: the longest that can come in, and two tags more.
pub const MAX_NEW_HEADER: usize = MAX_HEADER + vlan::MAX_TAGS * Vlan::LEN;

/// All bytes of a frame that leaves, up to the payload.
///
/// It is computed aside and copied in last, so that a lane that is killed in between has spoilt nothing: until then
/// the frame is as it came, and [`rewrite`] gives the same bytes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NewHeader {
    /// The header; only the first `len` bytes count.
    pub bytes: [u8; MAX_NEW_HEADER],
    /// How many bytes count.
    pub len: u16,
}

impl NewHeader {
    /// A header that says nothing yet, to be written by [`rewrite`].
    pub const EMPTY: Self = Self { bytes: [0; MAX_NEW_HEADER], len: 0 };

    /// The bytes that count.
    #[inline(always)]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len as usize).unwrap_or(&[])
    }

    /// The same of a header as most are: IPv4 without tags and options.
    #[inline(always)]
    #[must_use]
    pub fn plain(&self) -> Option<&[u8; PLAIN.payload()]> {
        self.as_bytes().try_into().ok()
    }

    /// Writes a header of any type at an offset, and lends it to be changed there; past the end it writes nothing and
    /// says `None`.
    #[inline(always)]
    fn put<T: FromBytes + IntoBytes + KnownLayout + Unaligned + Copy>(
        &mut self,
        at: usize,
        header: &T,
    ) -> Option<&mut T> {
        let place = T::mut_from_bytes(self.bytes.get_mut(at..at.checked_add(size_of::<T>())?)?).ok()?;
        *place = *header;
        Some(place)
    }
}

/// Writes the header that datagram `d` of this frame leaves with. The frame that leaves is these bytes and then
/// `frame[d.payload..d.end]`; its IP packet is as long as it was.
///
/// # Errors
/// [`Drop::NoChecksum`] for an IPv6 datagram without a checksum, [`Drop::TtlExpired`] for one whose TTL cannot be counted
/// down, [`Drop::SourceRoute`] for one whose options name a route, [`Drop::Malformed`] when `d` is not of this frame.
#[inline(always)]
pub fn rewrite<F: Frame + ?Sized>(frame: &F, d: &Datagram, r: &Rewrite, out: &mut NewHeader) -> Result<(), Drop> {
    let leaves_plain = matches!(r.vlans(), Vlans::Keep | Vlans::Set { n: 0, .. });
    let written = match frame.header::<[u8; PLAIN.payload()]>(0) {
        // As most datagrams are: where everything stands is known beforehand, and looked for in one piece.
        Some(header) if is_plain(d) && leaves_plain => write(&header[..], (PLAIN, Vlans::Keep), d, r, out),
        _ => {
            // Another place than the caller's, which so may be registers.
            let d = *d;
            write_any(frame, &d, r, out)
        }
    };
    written.unwrap_or(Err(Drop::Malformed))
}

/// As [`rewrite`] for datagrams of any shape.
#[inline(never)]
fn write_any<F: Frame + ?Sized>(frame: &F, d: &Datagram, r: &Rewrite, out: &mut NewHeader) -> Option<Result<(), Drop>> {
    write(frame, (Shape::of(d), r.vlans()), d, r, out)
}

/// Which headers a datagram has, and where.
#[derive(Clone, Copy)]
struct Shape {
    n_tags: usize,
    v6: bool,
    l3: usize,
    l4: usize,
}

/// IPv4 without tags and options.
const PLAIN: Shape = Shape { n_tags: 0, v6: false, l3: Ethernet::LEN, l4: Ethernet::LEN + Ipv4::LEN };

impl Shape {
    #[inline(always)]
    const fn of(d: &Datagram) -> Self {
        Self { n_tags: d.n_tags as usize, v6: d.v6, l3: d.l3 as usize, l4: d.l4 as usize }
    }

    const fn payload(self) -> usize {
        self.l4 + Udp::LEN
    }
}

/// Whether a datagram is of that shape: no tag and no option can stand before a UDP header that begins so early.
#[inline(always)]
const fn is_plain(d: &Datagram) -> bool {
    !d.v6 && d.l4 as usize == PLAIN.l4
}

/// As [`rewrite`]; `None` where a header is not in its place.
#[inline(always)]
fn write<F: Frame + ?Sized>(
    frame: &F,
    (shape, vlans): (Shape, Vlans),
    d: &Datagram,
    r: &Rewrite,
    out: &mut NewHeader,
) -> Option<Result<(), Drop>> {
    let Shape { v6, l3, l4, .. } = shape;
    let old: &Udp = frame.header(l4)?;
    let has_checksum = d.checksum != 0;
    if v6 && !has_checksum {
        return Some(Err(Drop::NoChecksum));
    }
    let ttl = match r.ttl {
        Rewrite::DECREMENT_TTL if d.ttl <= 1 => return Some(Err(Drop::TtlExpired)),
        Rewrite::DECREMENT_TTL => d.ttl - 1,
        ttl => ttl,
    };

    let new_l3 = write_link(frame, (shape, vlans), r, out)?;
    let (mut change, options, new_options) = if v6 {
        (write_v6(frame, (l3, new_l3), r, (ttl, d.mark), out)?, l3 + Ipv6::LEN, new_l3 + Ipv6::LEN)
    } else {
        (write_v4(frame, (l3, new_l3), r, (ttl, d.mark), out)?, l3 + Ipv4::LEN, new_l3 + Ipv4::LEN)
    };
    if options != l4 && !v6 && ipv4::options::name_a_route(frame, options, l4) {
        return Some(Err(Drop::SourceRoute));
    }
    let new_l4 = copy_options(frame, options, l4, new_options, out)?;

    let udp = out.put(new_l4, old)?;
    change = change.word(old.destination.get(), r.destination_port);
    udp.destination = U16::new(r.destination_port);
    if r.source_port != 0 {
        change = change.word(old.source.get(), r.source_port);
        udp.source = U16::new(r.source_port);
    }
    if has_checksum {
        // In UDP a checksum of 0 says that there is none; its other form is sent instead.
        let checksum = change.apply(d.checksum);
        udp.checksum = U16::new(if checksum == 0 { 0xffff } else { checksum });
    }
    out.len = u16::try_from(new_l4 + Udp::LEN).ok()?;
    Some(Ok(()))
}

/// One tag, with the protocol identifier before it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Tag {
    protocol: U16,
    control: U16,
}
const _: () = assert!(size_of::<Tag>() == Vlan::LEN);

/// Writes hardware addresses, tags and EtherType, and says where IP begins.
#[inline(always)]
fn write_link<F: Frame + ?Sized>(
    frame: &F,
    (shape, vlans): (Shape, Vlans),
    r: &Rewrite,
    out: &mut NewHeader,
) -> Option<usize> {
    const TAGS: usize = Ethernet::LEN - 2;
    out.put(0, &r.destination_mac)?;
    out.put(6, &r.source_mac)?;
    let end = match vlans {
        Vlans::Keep => {
            let n = shape.n_tags.min(vlan::MAX_TAGS);
            if n > 0 {
                out.put(TAGS, frame.header::<Tag>(TAGS)?)?;
            }
            if n > 1 {
                out.put(TAGS + Vlan::LEN, frame.header::<Tag>(TAGS + Vlan::LEN)?)?;
            }
            TAGS + n * Vlan::LEN
        }
        Vlans::Set { n: 0, .. } => TAGS,
        Vlans::Set { n, ids } => {
            let priority = if shape.n_tags > 0 { frame.header::<Tag>(TAGS)?.control.get() & Vlan::PRIORITY } else { 0 };
            let tag =
                |protocol, id: u16| Tag { protocol: U16::new(protocol), control: U16::new(priority | (id & Vlan::ID)) };
            if n == 1 {
                out.put(TAGS, &tag(vlan::CUSTOMER, ids[0]))?;
                TAGS + Vlan::LEN
            } else {
                out.put(TAGS, &tag(vlan::SERVICE, ids[0]))?;
                out.put(TAGS + Vlan::LEN, &tag(vlan::CUSTOMER, ids[1]))?;
                TAGS + 2 * Vlan::LEN
            }
        }
    };
    out.put(end, &U16::new(if shape.v6 { ethernet::IPV6 } else { ethernet::IPV4 }))?;
    Some(end + 2)
}

/// Writes the IPv4 header without its options, and says what changed in the pseudo-header.
#[inline(always)]
fn write_v4<F: Frame + ?Sized>(
    frame: &F,
    (l3, new_l3): (usize, usize),
    r: &Rewrite,
    (ttl, mark): (u8, Option<u16>),
    out: &mut NewHeader,
) -> Option<Change> {
    let old: &Ipv4 = frame.header(l3)?;
    let ip = out.put(new_l3, old)?;
    let destination = r.destination.v4_bytes();
    let mut change = Change::NONE.v4(old.destination, destination);
    ip.destination = destination;
    if r.flags & Rewrite::SET_SOURCE != 0 {
        let source = r.source.v4_bytes();
        change = change.v4(old.source, source);
        ip.source = source;
    }
    let ttl_and_protocol = [ttl, old.protocol()];
    let mut header = change.word(u16::from_be_bytes(old.ttl_and_protocol), u16::from_be_bytes(ttl_and_protocol));
    ip.ttl_and_protocol = ttl_and_protocol;
    if r.flags & Rewrite::SET_DSCP != 0 {
        let service = [old.version_and_service[0], (r.dscp << 2) | (old.service() & 0b11)];
        header = header.word(u16::from_be_bytes(old.version_and_service), u16::from_be_bytes(service));
        ip.version_and_service = service;
    }
    if let Some(mark) = mark {
        header = header.word(old.identification.get(), mark);
        ip.identification = U16::new(mark);
    }
    ip.checksum = U16::new(header.apply(old.checksum.get()));
    Some(change)
}

/// Writes the IPv6 header without its extensions, and says what changed in the pseudo-header.
#[inline(always)]
fn write_v6<F: Frame + ?Sized>(
    frame: &F,
    (l3, new_l3): (usize, usize),
    r: &Rewrite,
    (ttl, mark): (u8, Option<u16>),
    out: &mut NewHeader,
) -> Option<Change> {
    let old: &Ipv6 = frame.header(l3)?;
    let ip = out.put(new_l3, old)?;
    let mut change = Change::NONE.v6(&old.destination, &r.destination.0);
    ip.destination = r.destination.0;
    if r.flags & Rewrite::SET_SOURCE != 0 {
        change = change.v6(&old.source, &r.source.0);
        ip.source = r.source.0;
    }
    if r.flags & Rewrite::SET_DSCP != 0 {
        let dscp = (u16::from(r.dscp) << Ipv6::DSCP_SHIFT) & Ipv6::DSCP;
        ip.version_and_class = U16::new((old.version_and_class.get() & !Ipv6::DSCP) | dscp);
    }
    ip.hop_limit = ttl;
    if let Some(mark) = mark {
        ip.flow = U16::new(mark);
    }
    Some(change)
}

/// Copies IPv4 options or IPv6 extension headers as they came, and says where UDP begins.
#[inline(always)]
fn copy_options<F: Frame + ?Sized>(
    frame: &F,
    from: usize,
    to: usize,
    new_from: usize,
    out: &mut NewHeader,
) -> Option<usize> {
    /// Both come in multiples of this.
    const STEP: usize = 4;
    let n = to.checked_sub(from)? / STEP;
    for i in 0..n.min(MAX_HEADER / STEP) {
        out.put(new_from + i * STEP, frame.header::<[u8; STEP]>(from + i * STEP)?)?;
    }
    Some(new_from + n * STEP)
}

#[cfg(test)]
mod tests;
