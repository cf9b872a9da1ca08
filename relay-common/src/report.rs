//! Reports of group memberships, as a host sends them by itself: IGMP (RFC 1112, 2236, 3376) and MLD (RFC 2710, 3810).
//!
//! Linux reports its groups when a link is set up, not when a carrier returns. A switch forgets a port's groups with the
//! carrier, and asks again only with its next general query: up to two minutes without a stream. So they are reported
//! here, as *current state*: nothing changes, nothing is left, and a stream that flows is not disturbed.

mod returns; // which carriers have returned, and when their groups are reported

pub use self::returns::Returns;
use crate::abi::Address;
use crate::wire::checksum::full;
use crate::wire::ethernet::{Ethernet, IPV4, IPV6, group_mac};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{HOP_BY_HOP, Ipv6};
use alloc::{vec, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A group on a link, and the sources it is asked for from; any when empty.
pub type Member = (IpAddr, Vec<IpAddr>);

/// The version of IGMP that the routers of a link speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Igmp {
    /// RFC 1112.
    V1,
    /// RFC 2236.
    V2,
    /// RFC 3376.
    #[default]
    V3,
}

/// The version of MLD that the routers of a link speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mld {
    /// RFC 2710.
    V1,
    /// RFC 3810.
    #[default]
    V2,
}

/// Who reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The hardware address of the device.
    pub mac: [u8; 6],
    /// Its IPv4 address; unspecified where it has none (RFC 3376, 4.2.13).
    pub v4: Ipv4Addr,
    /// Its link-local IPv6 address; unspecified where it has none (RFC 3810, 5.2.13).
    pub v6: Ipv6Addr,
    /// The longest packet that it sends.
    pub mtu: u32,
    /// What is spoken of IPv4 groups.
    pub igmp: Igmp,
    /// What is spoken of IPv6 groups.
    pub mld: Mld,
}

/// Kinds of records that change nothing.
const IS_INCLUDE: u8 = 1;
const IS_EXCLUDE: u8 = 2;

const IGMP: u8 = 2;
const ICMPV6: u8 = 58;
const IGMPV1_REPORT: u8 = 0x12;
const IGMPV2_REPORT: u8 = 0x16;
const IGMPV3_REPORT: u8 = 0x22;
const MLDV1_REPORT: u8 = 131;
const MLDV2_REPORT: u8 = 143;
/// Who hears reports with records.
const ALL_V3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const ALL_V2_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);

/// Bytes of the header of a report with records.
const REPORT: usize = 8;
/// Bytes of the option, or of the header, that has routers look at a packet that is not for them.
const ROUTER_ALERT_V4: [u8; 4] = [0x94, 4, 0, 0];
const ROUTER_ALERT_V6: [u8; 8] = [ICMPV6, 0, 5, 2, 0, 0, 1, 0];
/// Every link takes packets of that length (RFC 791).
const SHORTEST_MTU: u32 = 576;

/// The frames that report these groups: as few as there can be.
#[must_use]
pub fn reports(reporter: &Reporter, members: &[Member]) -> Vec<Vec<u8>> {
    let of_family = |v4: bool| move |member: &&Member| member.0.is_ipv4() == v4 && is_reported(member.0);
    let (v4, v6) = (members.iter().filter(of_family(true)), members.iter().filter(of_family(false)));
    let mut frames = Vec::new();
    match reporter.igmp {
        Igmp::V1 => frames.extend(v4.map(|(group, _)| igmp_of_one(reporter, IGMPV1_REPORT, *group))),
        Igmp::V2 => frames.extend(v4.map(|(group, _)| igmp_of_one(reporter, IGMPV2_REPORT, *group))),
        Igmp::V3 => {
            let room = room(reporter, Ipv4::LEN + ROUTER_ALERT_V4.len());
            frames.extend(packed(v4, room, 4).into_iter().map(|records| igmpv3(reporter, &records)));
        }
    }
    match reporter.mld {
        Mld::V1 => frames.extend(v6.map(|(group, _)| mldv1(reporter, *group))),
        Mld::V2 => {
            let room = room(reporter, Ipv6::LEN + ROUTER_ALERT_V6.len());
            frames.extend(packed(v6, room, 16).into_iter().map(|records| mldv2(reporter, &records)));
        }
    }
    frames
}

/// Whether hosts report a group at all: not *all hosts*, and nothing that does not leave the host.
#[must_use]
pub fn is_reported(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.is_multicast() && group.octets() != [224, 0, 0, 1],
        IpAddr::V6(group) => {
            let [first, second, ..] = group.octets();
            first == 0xff && second & 0xf > 1 && group != Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
        }
    }
}

/// Bytes for records.
fn room(reporter: &Reporter, headers: usize) -> usize {
    reporter.mtu.clamp(SHORTEST_MTU, 0xffff) as usize - headers - REPORT
}

/// Records, how many they are, and their bytes: one for each packet.
struct Records {
    n: u16,
    bytes: Vec<u8>,
}

/// Packs records into as few packets as hold them. More sources than fit into one packet make several records.
fn packed<'a>(members: impl Iterator<Item = &'a Member>, room: usize, address: usize) -> Vec<Records> {
    let head = 4 + address;
    let most = (room - head) / address;
    let mut packets: Vec<Records> = Vec::new();
    let mut add = |group: IpAddr, sources: &[IpAddr]| {
        let length = head + sources.len() * address;
        if packets.last().is_none_or(|last| last.bytes.len() + length > room) {
            packets.push(Records { n: 0, bytes: Vec::with_capacity(room) });
        }
        let Some(packet) = packets.last_mut() else { return };
        packet.n += 1;
        let kind = if sources.is_empty() { IS_EXCLUDE } else { IS_INCLUDE };
        let [high, low] = count(sources.len()).to_be_bytes();
        packet.bytes.extend([kind, 0, high, low]);
        put(&mut packet.bytes, group);
        sources.iter().for_each(|source| put(&mut packet.bytes, *source));
    };
    for (group, sources) in members {
        if sources.is_empty() {
            add(*group, &[]);
        }
        sources.chunks(most).for_each(|some| add(*group, some));
    }
    packets
}

fn put(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => bytes.extend(v4.octets()),
        IpAddr::V6(v6) => bytes.extend(v6.octets()),
    }
}

/// What fits into a packet has a length of 16 bits.
fn count(n: usize) -> u16 {
    u16::try_from(n).expect("a packet has fewer than 65536 bytes")
}

fn igmpv3(reporter: &Reporter, records: &Records) -> Vec<u8> {
    let [high, low] = records.n.to_be_bytes();
    let mut igmp = vec![IGMPV3_REPORT, 0, 0, 0, 0, 0, high, low];
    igmp.extend(&records.bytes);
    in_ipv4(reporter, ALL_V3_ROUTERS, igmp)
}

/// A report of the versions that have no records: it goes to the group itself.
fn igmp_of_one(reporter: &Reporter, kind: u8, group: IpAddr) -> Vec<u8> {
    let mut igmp = vec![kind, 0, 0, 0];
    put(&mut igmp, group);
    let to = if let IpAddr::V4(group) = group { group } else { ALL_V3_ROUTERS };
    in_ipv4(reporter, to, igmp)
}

fn mldv2(reporter: &Reporter, records: &Records) -> Vec<u8> {
    let [high, low] = records.n.to_be_bytes();
    let mut mld = vec![MLDV2_REPORT, 0, 0, 0, 0, 0, high, low];
    mld.extend(&records.bytes);
    in_ipv6(reporter, ALL_V2_ROUTERS, mld)
}

fn mldv1(reporter: &Reporter, group: IpAddr) -> Vec<u8> {
    let mut mld = vec![MLDV1_REPORT, 0, 0, 0, 0, 0, 0, 0];
    put(&mut mld, group);
    let to = if let IpAddr::V6(group) = group { group } else { ALL_V2_ROUTERS };
    in_ipv6(reporter, to, mld)
}

/// Internetwork control, one hop, never cut, for routers to look at: as the kernel sends them.
fn in_ipv4(reporter: &Reporter, to: Ipv4Addr, mut igmp: Vec<u8>) -> Vec<u8> {
    put_checksum(&mut igmp, 2, &[]);
    let [high, low] = count(Ipv4::LEN + ROUTER_ALERT_V4.len() + igmp.len()).to_be_bytes();
    let mut ip = vec![0x46, 0xc0, high, low, 0, 0, 0x40, 0, 1, IGMP, 0, 0];
    ip.extend(reporter.v4.octets());
    ip.extend(to.octets());
    ip.extend(ROUTER_ALERT_V4);
    put_checksum(&mut ip, 10, &[]);
    frame(reporter, to.into(), IPV4, &[&ip, &igmp])
}

fn in_ipv6(reporter: &Reporter, to: Ipv6Addr, mut mld: Vec<u8>) -> Vec<u8> {
    let mut pseudo = [reporter.v6.octets(), to.octets()].concat();
    pseudo.extend(u32::from(count(mld.len())).to_be_bytes());
    pseudo.extend([0, 0, 0, ICMPV6]);
    put_checksum(&mut mld, 2, &pseudo);
    let [high, low] = count(ROUTER_ALERT_V6.len() + mld.len()).to_be_bytes();
    let mut ip = vec![0x60, 0, 0, 0, high, low, HOP_BY_HOP, 1];
    ip.extend(reporter.v6.octets());
    ip.extend(to.octets());
    ip.extend(ROUTER_ALERT_V6);
    frame(reporter, to.into(), IPV6, &[&ip, &mld])
}

/// Puts the checksum of a pseudo header and these bytes where there are zeros.
fn put_checksum(bytes: &mut [u8], at: usize, pseudo: &[u8]) {
    let sum = full(&[pseudo, bytes].concat());
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn frame(reporter: &Reporter, to: IpAddr, ether_type: u16, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let mut frame = Vec::with_capacity(Ethernet::LEN + length);
    frame.extend(group_mac(Address::from(to)).expect("reports go to groups"));
    frame.extend(reporter.mac);
    frame.extend(ether_type.to_be_bytes());
    parts.iter().for_each(|part| frame.extend(*part));
    frame
}

#[cfg(test)]
mod tests;
