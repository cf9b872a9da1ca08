//! What a multicast router asks on the link, and what the relay's kernel answers: IGMPv3 (RFC 3376), MLDv2 (RFC 3810).

use bench::Namespace;
use bench::clock::{Deadline, monotonic_ns};
use bench::packet::Mac;
use bench::sys::{self, ReceiveBatch};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Kinds of group records, the same in both protocols.
pub(crate) mod record {
    pub(crate) const IS_INCLUDE: u8 = 1;
    pub(crate) const IS_EXCLUDE: u8 = 2;
    pub(crate) const TO_INCLUDE: u8 = 3;
    pub(crate) const BLOCK_SOURCES: u8 = 6;
    /// A report of one group, of IGMPv2 or MLDv1, which has no records.
    pub(crate) const WHOLE: u8 = 255;
}

/// One group of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) group: IpAddr,
    pub(crate) sources: Vec<IpAddr>,
}

const IGMP: u8 = 2;
const ICMPV6: u8 = 58;
const IGMPV2_REPORT: u8 = 0x16;
const IGMPV3_REPORT: u8 = 0x22;
const MLDV1_REPORT: u8 = 131;
const MLDV2_REPORT: u8 = 143;
/// An answer is due within this many tenths of a second.
const MAX_RESPONSE: u8 = 2;

/// An IGMPv3 general query.
pub(crate) fn igmp_query(router: Ipv4Addr, mac: Mac) -> Vec<u8> {
    let mut igmp = vec![0x11, MAX_RESPONSE, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    seal(&mut igmp, 2, &[]);
    let mut ip = vec![0x46, 0xc0, 0, 36, 0, 0, 0, 0, 1, IGMP, 0, 0];
    ip.extend(router.octets());
    ip.extend([224, 0, 0, 1]);
    ip.extend([0x94, 4, 0, 0]); // router alert
    seal(&mut ip, 10, &[]);
    frame([0x01, 0, 0x5e, 0, 0, 1], mac, 0x0800, &[ip, igmp].concat())
}

/// An MLDv2 general query. Its sender must be of link-local scope.
pub(crate) fn mld_query(router: Ipv6Addr, mac: Mac) -> Vec<u8> {
    let all_nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    let mut mld = vec![130, 0, 0, 0, 0, 100 * MAX_RESPONSE, 0, 0];
    mld.extend([0; 16]); // every group
    mld.extend([2, 125, 0, 0]);
    let pseudo = [&router.octets()[..], &all_nodes.octets(), &[0, 0, 0, 28, 0, 0, 0, ICMPV6]].concat();
    seal(&mut mld, 2, &pseudo);
    let mut ip = vec![0x60, 0, 0, 0, 0, 36, 0, 1];
    ip.extend(router.octets());
    ip.extend(all_nodes.octets());
    ip.extend([ICMPV6, 0, 5, 2, 0, 0, 1, 0]); // hop-by-hop: router alert
    frame([0x33, 0x33, 0, 0, 0, 1], mac, 0x86dd, &[ip, mld].concat())
}

fn frame(to: [u8; 6], from: Mac, ethertype: u16, content: &[u8]) -> Vec<u8> {
    [&to[..], &from.0, &ethertype.to_be_bytes(), content].concat()
}

/// Puts the Internet checksum (RFC 1071) of a pseudo header and `bytes`, all whole words, into a field that is zero.
fn seal(bytes: &mut [u8], at: usize, pseudo: &[u8]) {
    let words = pseudo.chunks_exact(2).chain(bytes.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[at..at + 2].copy_from_slice(&(!u16::try_from(sum).unwrap()).to_be_bytes());
}

/// Hears the reports that come in by a link, from the moment it is made.
pub(crate) struct Router {
    socket: OwnedFd,
    /// Each with the time at which it was read.
    pub(crate) heard: Vec<(u64, Record)>,
}

impl Router {
    pub(crate) fn listen(namespace: &Namespace, link: &str) -> Self {
        let index = namespace.index(link).unwrap();
        let socket = namespace.run(|| sys::frame_receiver(index)).unwrap();
        setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)).unwrap();
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 20_000)).unwrap();
        Self { socket, heard: Vec::new() }
    }

    /// Waits until some record so far satisfies `wanted`.
    pub(crate) fn hears(&mut self, what: &str, wanted: impl Fn(&Record) -> bool) -> Record {
        let first = |heard: &[(u64, Record)]| heard.iter().map(|(_, record)| record).find(|one| wanted(one)).cloned();
        self.hears_until(what, |heard| first(heard).is_some());
        first(&self.heard).unwrap()
    }

    /// Waits until the records so far are enough.
    pub(crate) fn hears_until(&mut self, what: &str, are_enough: impl Fn(&[(u64, Record)]) -> bool) {
        let deadline = Deadline::after(Duration::from_secs(20));
        let mut batch = ReceiveBatch::new(9216, 0);
        while !are_enough(&self.heard) {
            assert!(!deadline.passed(), "no report of {what}; those that came: {:?}", self.heard);
            if batch.receive(self.socket.as_fd()).is_ok() {
                let now = monotonic_ns();
                self.heard.extend(batch.frames().flat_map(|(frame, _)| records(frame)).map(|record| (now, record)));
            }
        }
    }
}

/// The records of a frame that is a report; none of any other.
fn records(frame: &[u8]) -> Vec<Record> {
    let ethertype = frame.get(12..14).unwrap_or_default();
    let ip = frame.get(14..).unwrap_or_default();
    let (report, address) = match (ethertype, ip) {
        ([0x08, 0x00], [first, ..]) if ip.get(9) == Some(&IGMP) => (&ip[usize::from(first & 15) * 4..], 4),
        // The kernel sends them behind a hop-by-hop header of eight bytes.
        ([0x86, 0xdd], _) if ip.get(6) == Some(&0) && ip.get(40) == Some(&ICMPV6) => (&ip[48..], 16),
        _ => return Vec::new(),
    };
    match (report[0], address) {
        (IGMPV3_REPORT, 4) | (MLDV2_REPORT, 16) => {}
        (IGMPV2_REPORT, 4) => return whole(&report[4..8]),
        (MLDV1_REPORT, 16) => return whole(&report[8..24]),
        _ => return Vec::new(),
    }
    let mut records = Vec::new();
    let mut rest = &report[8..];
    for _ in 0..u16::from_be_bytes([report[6], report[7]]) {
        let n_sources = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (record, next) = rest.split_at(4 + address * (1 + n_sources));
        let mut addresses = record[4..].chunks_exact(address).map(to_address);
        let group = addresses.next().unwrap();
        records.push(Record { kind: record[0], group, sources: addresses.collect() });
        rest = next;
    }
    records
}

fn whole(group: &[u8]) -> Vec<Record> {
    vec![Record { kind: record::WHOLE, group: to_address(group), sources: Vec::new() }]
}

fn to_address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(v4) => v4.into(),
        Err(_) => <[u8; 16]>::try_from(bytes).unwrap().into(),
    }
}
