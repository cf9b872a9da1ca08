//! Reports, byte by byte, and as many records in each as the MTU allows.

use super::*;
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn member(group: &str, sources: &[&str]) -> Member {
    (ip(group), sources.iter().map(|source| ip(source)).collect())
}

fn reporter() -> Reporter {
    Reporter {
        mac: [2, 0, 0, 0, 0, 1],
        v4: "10.1.0.2".parse().unwrap(),
        v6: "fe80::2".parse().unwrap(),
        mtu: 1500,
        igmp: Igmp::V3,
        mld: Mld::V2,
    }
}

#[test]
fn igmpv3_byte_by_byte() {
    let members = [member("239.1.1.1", &[]), member("232.1.1.1", &["10.9.0.1", "10.9.0.2"])];
    let expected: Vec<u8> = [
        &[0x01, 0x00, 0x5e, 0, 0, 22, 2, 0, 0, 0, 0, 1, 0x08, 0x00][..],
        // DSCP 48, do not fragment, one hop, IGMP; the router alert behind the addresses.
        &[0x46, 0xc0, 0, 56, 0, 0, 0x40, 0, 1, 2, 0xf9, 0xe6, 10, 1, 0, 2, 224, 0, 0, 22, 0x94, 4, 0, 0],
        &[0x22, 0, 0xed, 0xe0, 0, 0, 0, 2],
        &[2, 0, 0, 0, 239, 1, 1, 1],
        &[1, 0, 0, 2, 232, 1, 1, 1, 10, 9, 0, 1, 10, 9, 0, 2],
    ]
    .concat();
    let frames = reports(&reporter(), &members);
    assert_eq!(frames, [expected]);
    checksums_are_right(&frames[0]);
}

#[test]
fn mldv2_byte_by_byte() {
    let members = [member("ff3e::8000:1", &[]), member("ff3e::8000:2", &["fd00:9::1"])];
    let head = [0x33, 0x33, 0, 0, 0, 0x16, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 72, 0, 1];
    let alert_and_report = [58, 0, 5, 2, 0, 0, 1, 0, 143, 0];
    let octets = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let frames = reports(&reporter(), &members);
    assert_eq!(frames.len(), 1);
    let expected: Vec<u8> = [
        &head[..],
        &octets("fe80::2"),
        &octets("ff02::16"),
        &alert_and_report,
        &frames[0][64..66], // looked at below
        &[0, 0, 0, 2],
        &[2, 0, 0, 0],
        &octets("ff3e::8000:1"),
        &[1, 0, 0, 1],
        &octets("ff3e::8000:2"),
        &octets("fd00:9::1"),
    ]
    .concat();
    assert_eq!(frames[0], expected);
    checksums_are_right(&frames[0]);
}

#[test]
fn versions_without_records_report_each_group_to_itself() {
    let members = [member("239.1.1.1", &["10.9.0.1"]), member("239.1.1.2", &[]), member("ff3e::8000:1", &[])];
    for (igmp, kind) in [(Igmp::V1, 0x12), (Igmp::V2, 0x16)] {
        let frames = reports(&Reporter { igmp, mld: Mld::V1, ..reporter() }, &members);
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0][..6], [0x01, 0x00, 0x5e, 1, 1, 1]);
        assert_eq!(frames[0][30..34], [239, 1, 1, 1]);
        assert_eq!((frames[0][38], &frames[0][42..]), (kind, &[239, 1, 1, 1][..]));
        let group: Ipv6Addr = "ff3e::8000:1".parse().unwrap();
        assert_eq!(frames[2][..6], [0x33, 0x33, 0x80, 0, 0, 1]);
        assert_eq!(frames[2][38..54], group.octets());
        assert_eq!((frames[2][62], &frames[2][70..]), (131, &group.octets()[..]));
        frames.iter().for_each(|frame| checksums_are_right(frame));
    }
}

#[test]
fn as_many_records_as_fit_and_each_group_once() {
    let members: Vec<Member> = (0..4096_u16)
        .map(|n| (IpAddr::from([239, 7, n.to_be_bytes()[0], n.to_be_bytes()[1]]), Vec::new()))
        .chain((0..1000).map(|n| (IpAddr::from([0xff3e, 0, 0, 0, 0, 0, 7, n]), Vec::new())))
        .collect();
    let frames = reports(&reporter(), &members);
    // (1500 - 24 - 8) / 8 = 183 IPv4 groups a packet, (1500 - 48 - 8) / 20 = 72 IPv6 groups.
    assert_eq!(frames.len(), 4096_usize.div_ceil(183) + 1000_usize.div_ceil(72));
    assert!(frames.iter().all(|frame| frame.len() <= 1514));
    let heard: Vec<Member> = frames.iter().flat_map(|frame| records(frame)).collect();
    assert_eq!(heard, members);
    frames.iter().for_each(|frame| checksums_are_right(frame));
}

#[test]
fn more_sources_than_fit_become_several_records() {
    let sources: Vec<IpAddr> =
        (0..1000_u16).map(|n| IpAddr::from([10, 9, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
    let members = [(ip("232.1.1.1"), sources.clone()), member("239.1.1.1", &[])];
    let small = Reporter { mtu: 600, ..reporter() };
    let frames = reports(&small, &members);
    assert!(frames.iter().all(|frame| frame.len() <= 614));
    let heard: Vec<Member> = frames.iter().flat_map(|frame| records(frame)).collect();
    let (last, named) = heard.split_last().unwrap();
    assert_eq!(last, &members[1]);
    assert!(named.iter().all(|(group, some)| *group == members[0].0 && !some.is_empty()));
    assert_eq!(named.iter().flat_map(|(_, some)| some.clone()).collect::<Vec<_>>(), sources);
}

#[test]
fn what_no_host_reports_is_left_out() {
    for group in ["224.0.0.1", "ff02::1", "ff01::5", "10.1.1.1", "fd00::1"] {
        assert_eq!(reports(&reporter(), &[member(group, &[])]), Vec::<Vec<u8>>::new(), "{group}");
    }
    assert_eq!(reports(&reporter(), &[member("224.0.0.251", &[]), member("ff02::fb", &[])]).len(), 2);
}

/// The records of a report, read from its bytes.
fn records(frame: &[u8]) -> Vec<Member> {
    let (report, address) = if frame[12..14] == [0x08, 0] { (&frame[38..], 4) } else { (&frame[62..], 16) };
    let mut rest = &report[8..];
    let mut members = Vec::new();
    for _ in 0..u16::from_be_bytes([report[6], report[7]]) {
        let n = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        assert_eq!(rest[0], if n == 0 { 2 } else { 1 });
        let (record, next) = rest.split_at(4 + address * (1 + n));
        let mut addresses = record[4..].chunks(address).map(|bytes| match <[u8; 4]>::try_from(bytes) {
            Ok(v4) => IpAddr::from(v4),
            Err(_) => <[u8; 16]>::try_from(bytes).unwrap().into(),
        });
        members.push((addresses.next().unwrap(), addresses.collect()));
        rest = next;
    }
    assert!(rest.is_empty());
    members
}

/// A header with a right checksum in it gives 0.
fn checksums_are_right(frame: &[u8]) {
    if frame[12..14] == [0x08, 0] {
        assert_eq!((full(&frame[14..38]), full(&frame[38..])), (0, 0));
        assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), frame.len() - 14);
    } else {
        let length = u32::try_from(frame.len() - 62).unwrap().to_be_bytes();
        assert_eq!(full(&[&frame[22..54], &length, &[0, 0, 0, 58], &frame[62..]].concat()), 0);
        assert_eq!(usize::from(u16::from_be_bytes([frame[18], frame[19]])), frame.len() - 54);
    }
}
