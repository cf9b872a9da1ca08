//! What is built is parsed again, by us and by a third parser.

use std::net::SocketAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::{Checksum, Extension, Headers, Ip, Mac, Vlan, build, parse};

fn v4() -> Headers {
    Headers::new(address("10.0.0.1:40000"), address("239.1.1.1:5000"))
}

fn v6() -> Headers {
    Headers::new(address("[fd00::1]:40000"), address("[ff3e::8000:1]:5000"))
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Headers of every kind, with a name.
fn kinds() -> Vec<(&'static str, Headers)> {
    let mut options = v4();
    let Ip::V4(ip) = &mut options.ip else { unreachable!() };
    ip.options = vec![0x94, 4, 0, 0, 1, 1, 1, 0];
    (ip.tos, ip.identification, ip.more_fragments, ip.ttl) = (0xb9, 0xbeef, true, 1);
    let mut extended = v6();
    let Ip::V6(ip) = &mut extended.ip else { unreachable!() };
    ip.extensions = vec![
        Extension { kind: 0, content: vec![5, 2, 0, 0, 1, 0] },
        Extension { kind: 60, content: vec![1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
    ];
    (ip.traffic_class, ip.flow_label, ip.hop_limit) = (0xa6, 0xf_1234, 255);
    let priority = Vlan { priority: 5, drop_eligible: true, ..Vlan::new(100) };
    vec![
        ("v4", v4()),
        ("v4, options", options),
        ("v4, a tag", v4().tagged(&[priority])),
        ("v4, two tags", v4().tagged(&[Vlan::service(4094), Vlan::new(1)])),
        ("v4, no checksum", v4().checksum(Checksum::Zero)),
        ("v4, partial checksum", v4().checksum(Checksum::Partial)),
        ("v4, wrong checksum", v4().checksum(Checksum::Wrong)),
        ("v6", v6()),
        ("v6, extensions and a tag", extended.tagged(&[priority])),
        ("v6, partial checksum", v6().checksum(Checksum::Partial)),
    ]
}

#[test]
fn what_is_built_is_parsed_back() {
    for (name, headers) in kinds() {
        for length in [0, 1, 7, 8, 9, 1316, 1472] {
            let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
            let frame = build(&headers, &payload);
            let parsed = parse(&frame).unwrap();
            assert_eq!(parsed.headers, headers, "{name}, {length}");
            assert_eq!(&frame[parsed.payload], &payload, "{name}, {length}");
            assert_eq!(parsed.padding, 0);
        }
    }
}

#[test]
fn a_third_parser_agrees_with_fields_and_checksums() {
    let payload = [0x5a; 101];
    for (name, headers) in kinds() {
        let frame = build(&headers, &payload);
        let sliced = SlicedPacket::from_ethernet(&frame).unwrap();
        let udp = &frame[frame.len() - payload.len() - 8..];
        let header = etherparse::UdpHeader::from_slice(udp).unwrap().0;
        let right = match (&headers.ip, sliced.net.unwrap()) {
            (Ip::V4(ip), NetSlice::Ipv4(slice)) => {
                let found = slice.header().to_header();
                assert_eq!(found.calc_header_checksum(), found.header_checksum, "{name}");
                assert_eq!((found.source, found.destination), (ip.source.octets(), ip.destination.octets()), "{name}");
                assert_eq!((found.time_to_live, found.dscp.value()), (ip.ttl, ip.tos >> 2), "{name}");
                header.calc_checksum_ipv4(&found, &payload).unwrap()
            }
            (Ip::V6(ip), NetSlice::Ipv6(slice)) => {
                let found = slice.header().to_header();
                assert_eq!((found.source, found.destination), (ip.source.octets(), ip.destination.octets()), "{name}");
                assert_eq!((found.hop_limit, found.flow_label.value()), (ip.hop_limit, ip.flow_label), "{name}");
                header.calc_checksum_ipv6(&found, &payload).unwrap()
            }
            _ => panic!("{name}: another version"),
        };
        assert_eq!(header.checksum == right, headers.checksum == Checksum::Right, "{name}");
        // etherparse takes a fragment for no datagram, and is right.
        let fragment = matches!(&headers.ip, Ip::V4(ip) if ip.more_fragments);
        assert_eq!(matches!(sliced.transport, Some(TransportSlice::Udp(_))), !fragment, "{name}");
        assert_eq!(sliced.link_exts.len(), headers.vlans.len(), "{name}");
    }
}

#[test]
fn padding_is_no_payload() {
    let mut frame = build(&v4(), b"short");
    let before = parse(&frame).unwrap();
    frame.resize(60, 0);
    let after = parse(&frame).unwrap();
    assert_eq!((after.headers, after.payload), (before.headers, before.payload));
    assert_eq!(after.padding, 60 - 14 - 20 - 8 - 5);
}

#[test]
fn a_flipped_bit_is_seen_in_the_checksums() {
    let payload: Vec<u8> = (0..=255).collect();
    for headers in [v4(), v6()] {
        let good = build(&headers, &payload);
        for at in parse(&good).unwrap().payload {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(parse(&bad).unwrap().headers.checksum, Checksum::Wrong, "byte {at}");
        }
    }
    let mut bad = build(&v4(), &payload);
    bad[22] -= 1; // the TTL
    let Ip::V4(ip) = parse(&bad).unwrap().headers.ip else { unreachable!() };
    assert_eq!(ip.checksum, Checksum::Wrong);
}

#[test]
fn a_cut_frame_is_an_error_and_no_panic() {
    for (name, headers) in kinds() {
        let frame = build(&headers, &[1; 40]);
        for length in 0..frame.len() {
            assert!(parse(&frame[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn groups_have_their_macs() {
    let mac = |group: &str| Mac::of_group(group.parse().unwrap()).map(|mac| mac.to_string());
    assert_eq!(mac("239.129.2.3").as_deref(), Some("01:00:5e:01:02:03"));
    assert_eq!(mac("ff3e::8000:1").as_deref(), Some("33:33:80:00:00:01"));
    assert_eq!(mac("10.0.0.1"), None);
    assert_eq!("01:00:5e:01:02:03".parse::<Mac>().unwrap(), Mac([1, 0, 0x5e, 1, 2, 3]));
    assert!("01:00:5e:01:02".parse::<Mac>().is_err());
}
