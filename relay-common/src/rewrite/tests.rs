//! Every rewrite, checked by another parser and by full sums.

use super::{MAX_NEW_HEADER, NewHeader, rewrite};
use crate::abi::Address;
use crate::datagram::{Datagram, tests::recipe};
use crate::drops::Drop;
use crate::entry::Rewrite;
use crate::fixtures::{self, Recipe};
use crate::wire::vlan::{CUSTOMER, SERVICE};
use etherparse::{LinkSlice, NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use std::net::IpAddr;
use std::{vec, vec::Vec};

/// The frame that leaves.
fn sent(frame: &[u8], r: &Rewrite) -> Result<Vec<u8>, Drop> {
    let datagram = Datagram::parse(frame).unwrap();
    let mut header = NewHeader::EMPTY;
    rewrite(frame, &datagram, r, &mut header)?;
    Ok([header.as_bytes(), &frame[datagram.payload as usize..datagram.end as usize]].concat())
}

/// An output to this group that changes no more than it must.
fn output(destination: &str) -> Rewrite {
    Rewrite {
        destination: Address::from(destination.parse::<IpAddr>().unwrap()),
        source: Address::NONE,
        destination_mac: [1, 0, 0x5e, 9, 9, 9],
        source_mac: [2, 0, 0, 0, 0, 0xaa],
        destination_port: 6000,
        source_port: 0,
        vlan_ids: [0, 0],
        n_vlans: Rewrite::KEEP_VLANS,
        ttl: 16,
        dscp: 0,
        flags: 0,
    }
}

/// Tags as they lie in the frame that leaves.
fn tags_sent(tags: &[(u16, u16)], n_vlans: u8, vlan_ids: [u16; 2]) -> Vec<u16> {
    let recipe = Recipe { tags: tags.to_vec(), ..Recipe::default() };
    let r = Rewrite { n_vlans, vlan_ids, ..output("239.9.9.9") };
    let frame = sent(&recipe.bytes(), &r).unwrap();
    let words = frame[12..].chunks(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    words.take_while(|word| *word != 0x0800).collect()
}

#[test]
fn tags_are_kept_set_and_removed() {
    let two = [(0x9100, 0xa0c8), (CUSTOMER, 0x7064)];
    assert_eq!(tags_sent(&two, Rewrite::KEEP_VLANS, [0, 0]), [0x9100, 0xa0c8, CUSTOMER, 0x7064], "as they came");
    assert_eq!(tags_sent(&two, 0, [0, 0]), [] as [u16; 0]);
    assert_eq!(tags_sent(&two, 1, [30, 0]), [CUSTOMER, 0xa01e], "the outer priority stays");
    assert_eq!(tags_sent(&two, 2, [30, 40]), [SERVICE, 0xa01e, CUSTOMER, 0xa028]);
    assert_eq!(tags_sent(&[], 2, [30, 40]), [SERVICE, 30, CUSTOMER, 40]);
    assert_eq!(tags_sent(&[], Rewrite::KEEP_VLANS, [30, 40]), [] as [u16; 0]);
    assert_eq!(tags_sent(&[(CUSTOMER, 0xe000)], 1, [4094, 0]), [CUSTOMER, 0xeffe], "a priority tag has priority");
}

#[test]
fn the_longest_header_fits_with_two_tags_more() {
    let case = fixtures::cases().into_iter().find(|case| case.name == "the longest header").unwrap();
    let r = Rewrite { n_vlans: 2, vlan_ids: [1, 2], ..output("ff3e::9") };
    let frame = sent(&case.frame, &r).unwrap();
    assert_eq!(frame.len(), case.frame.len() + 8);
    assert_eq!(frame[62..134 - 8], case.frame[54..126 - 8], "extension headers are as they came");
    const { assert!(MAX_NEW_HEADER >= 134) };
}

#[test]
fn a_v6_datagram_without_a_checksum_is_dropped() {
    let recipe = Recipe { checksum: false, ..Recipe::to("ff3e::1") };
    assert_eq!(sent(&recipe.bytes(), &output("ff3e::9")), Err(Drop::NoChecksum));
}

#[test]
fn a_ttl_counts_down_and_a_packet_without_one_left_is_dropped() {
    for group in ["239.9.9.9", "ff3e::9"] {
        let down = Rewrite { ttl: Rewrite::DECREMENT_TTL, ..output(group) };
        for ttl in 0..=u8::MAX {
            let recipe = Recipe { ttl, ..Recipe::to(group) };
            let left = ttl.checked_sub(1).filter(|left| *left > 0);
            // As if it had been set to that: the IPv4 checksum is right, too.
            let expected = left.map(|ttl| sent(&recipe.bytes(), &Rewrite { ttl, ..down }).unwrap());
            assert_eq!(sent(&recipe.bytes(), &down), expected.ok_or(Drop::TtlExpired), "{group} with TTL {ttl}");
        }
    }
}

#[test]
fn a_mark_takes_the_place_of_a_field_that_nobody_needs() {
    for (group, at) in [("239.9.9.9", 14 + 4), ("ff3e::9", 14 + 2)] {
        let frame = Recipe::to(group).bytes();
        let plain = sent(&frame, &output(group)).unwrap();
        let datagram = Datagram { mark: Some(0xbeef), ..Datagram::parse(frame.as_slice()).unwrap() };
        let mut header = NewHeader::EMPTY;
        rewrite(frame.as_slice(), &datagram, &output(group), &mut header).unwrap();
        let mut expected = plain[..datagram.payload as usize].to_vec();
        expected[at..at + 2].copy_from_slice(&[0xbe, 0xef]);
        if !datagram.v6 {
            expected[24..26].fill(0);
            let checksum = crate::wire::checksum::full(&expected[14..34]);
            expected[24..26].copy_from_slice(&checksum.to_be_bytes());
        }
        assert_eq!(header.as_bytes(), expected, "{group}");
    }
}

#[test]
fn a_source_route_is_refused_and_other_options_are_not() {
    let with = |options: &[u8]| Recipe { options: options.to_vec(), ..Recipe::default() }.bytes();
    assert_eq!(sent(&with(&[1, 131, 7, 4, 10, 0, 0, 1]), &output("239.9.9.9")), Err(Drop::SourceRoute));
    assert!(sent(&with(&[0x94, 4, 0, 0]), &output("239.9.9.9")).is_ok());
    // IPv6 has its own way, which the XDP program leaves to the kernel: the same bytes in an extension are no route.
    let v6 = Recipe { extensions: vec![(60, vec![0, 1, 4, 131, 7, 4, 0])], ..Recipe::to("ff3e::1") };
    assert!(sent(&v6.bytes(), &output("ff3e::9")).is_ok());
}

#[test]
fn a_v4_datagram_without_a_checksum_stays_without() {
    let recipe = Recipe { checksum: false, ..Recipe::default() };
    let frame = sent(&recipe.bytes(), &output("239.9.9.9")).unwrap();
    assert_eq!(frame[40..42], [0, 0]);
}

#[test]
fn a_checksum_that_becomes_zero_is_sent_as_all_ones() {
    // Two bytes of payload run through all values, so every checksum comes by.
    for word in 0..=u16::MAX {
        let recipe = Recipe { payload: word.to_be_bytes().to_vec(), ..Recipe::default() };
        let frame = sent(&recipe.bytes(), &output("239.9.9.9")).unwrap();
        let expected = Recipe {
            destination: "239.9.9.9".parse().unwrap(),
            port: 6000,
            payload: recipe.payload,
            ..Recipe::default()
        };
        assert_eq!(frame[34..], expected.bytes()[34..]);
    }
}

#[test]
fn a_datagram_of_another_frame_is_refused() {
    let long = Recipe { options: vec![1; 40], ..Recipe::default() }.bytes();
    let datagram = Datagram::parse(long.as_slice()).unwrap();
    let mut header = NewHeader::EMPTY;
    let short = &long[..50];
    assert_eq!(rewrite(short, &datagram, &output("239.9.9.9"), &mut header), Err(Drop::Malformed));
}

/// What an output may want.
fn wanted() -> impl Strategy<Value = Rewrite> {
    let addresses = any::<([u8; 16], [u8; 16])>();
    let ports = any::<(u16, u16)>();
    let vlans = (prop::sample::select(vec![0, 1, 2, Rewrite::KEEP_VLANS]), any::<[u16; 2]>());
    (addresses, any::<([u8; 6], [u8; 6])>(), ports, vlans, 1..=u8::MAX, 0..64u8, 0..4u8).prop_map(
        |(addresses, macs, ports, (n_vlans, vlan_ids), ttl, dscp, flags)| Rewrite {
            destination: Address(addresses.0),
            source: Address(addresses.1),
            destination_mac: macs.0,
            source_mac: macs.1,
            destination_port: ports.0,
            source_port: ports.1,
            vlan_ids: vlan_ids.map(|id| id & 0xfff),
            n_vlans,
            ttl,
            dscp,
            flags,
        },
    )
}

/// The recipe of the frame that should leave: made anew, with its checksums in full.
fn expected(recipe: &Recipe, r: &Rewrite) -> Recipe {
    let address = |address: Address| -> IpAddr {
        let v4 = address.v4_bytes();
        if recipe.destination.is_ipv4() { v4.into() } else { address.0.into() }
    };
    let priority = recipe.tags.first().map_or(0, |(_, control)| control & 0xf000);
    let tags = match r.n_vlans {
        0 => vec![],
        1 => vec![(CUSTOMER, priority | r.vlan_ids[0])],
        2 => vec![(SERVICE, priority | r.vlan_ids[0]), (CUSTOMER, priority | r.vlan_ids[1])],
        _ => recipe.tags.clone(),
    };
    Recipe {
        source_mac: r.source_mac,
        tags,
        source: if r.flags & Rewrite::SET_SOURCE != 0 { address(r.source) } else { recipe.source },
        destination: address(r.destination),
        source_port: if r.source_port != 0 { r.source_port } else { recipe.source_port },
        port: r.destination_port,
        service: if r.flags & Rewrite::SET_DSCP != 0 { r.dscp << 2 | recipe.service & 3 } else { recipe.service },
        ttl: r.ttl,
        padding: 0,
        ..recipe.clone()
    }
}

proptest! {
    #[test]
    fn what_leaves_is_what_would_be_made_anew(recipe in recipe(), r in wanted()) {
        let frame = sent(&recipe.bytes(), &r).unwrap();
        prop_assert_eq!(&frame[..6], r.destination_mac);
        prop_assert_eq!(&frame[6..], &expected(&recipe, &r).bytes()[6..]);
    }

    #[test]
    fn another_parser_finds_what_was_asked_and_right_checksums(recipe in recipe(), r in wanted()) {
        let frame = sent(&recipe.bytes(), &r).unwrap();
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(LinkSlice::Ethernet2(link)) = &packet.link else { panic!("Ethernet") };
        prop_assert_eq!((link.destination(), link.source()), (r.destination_mac, r.source_mac));
        let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("UDP") };
        prop_assert_eq!(udp.destination_port(), r.destination_port);
        prop_assert_eq!(udp.payload(), &recipe.payload);
        let header = udp.to_header();
        match packet.net.unwrap() {
            NetSlice::Ipv4(ip) => {
                let ip = ip.header();
                prop_assert_eq!((ip.destination(), ip.ttl()), (r.destination.v4_bytes(), r.ttl));
                prop_assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
                if recipe.checksum {
                    let full = header.calc_checksum_ipv4(&ip.to_header(), udp.payload()).unwrap();
                    prop_assert_eq!(header.checksum, if full == 0 { 0xffff } else { full });
                }
            }
            NetSlice::Ipv6(ip) => {
                let ip = ip.header();
                prop_assert_eq!((ip.destination(), ip.hop_limit()), (r.destination.0, r.ttl));
                let full = header.calc_checksum_ipv6(&ip.to_header(), udp.payload()).unwrap();
                prop_assert_eq!(header.checksum, if full == 0 { 0xffff } else { full });
            }
            NetSlice::Arp(_) => panic!("IP"),
        }
    }

    /// A frame that came damaged leaves damaged: no checksum is made right on the way.
    #[test]
    fn wrong_stays_wrong(recipe in recipe(), r in wanted(), at in any::<prop::sample::Index>(), damage in 1..=u8::MAX) {
        let recipe = Recipe { checksum: true, ..recipe };
        let mut frame = recipe.bytes();
        let datagram = Datagram::parse(frame.as_slice()).unwrap();
        let right = sent(&frame, &r).unwrap();
        let new_payload = right.len() - recipe.payload.len();

        // In IPv4 the header checksum, in both what UDP covers.
        if !datagram.v6 {
            let checksum = datagram.l3 as usize + 10;
            let old = u16::from_be_bytes([frame[checksum], frame[checksum + 1]]);
            let wrong = old ^ (u16::from(damage) << 3);
            // All zeros and all ones are the same sum.
            if !(old == 0 && wrong == 0xffff || old == 0xffff && wrong == 0) {
                frame[checksum..checksum + 2].copy_from_slice(&wrong.to_be_bytes());
                let left = sent(&frame, &r).unwrap();
                prop_assert_ne!(&left, &right);
                let l3 = new_payload - 8 - (datagram.l4 - datagram.l3) as usize;
                prop_assert_ne!(crate::wire::checksum::full(&left[l3..new_payload - 8]), 0);
            }
        }
        if !recipe.payload.is_empty() {
            let at = at.index(recipe.payload.len());
            frame[datagram.payload as usize + at] ^= damage;
            let left = sent(&frame, &r).unwrap();
            prop_assert_eq!(&left[new_payload - 8..new_payload], &right[new_payload - 8..new_payload], "the UDP header");
            prop_assert_ne!(left[new_payload + at], right[new_payload + at]);
        }
    }

    #[test]
    fn any_bytes_any_output_any_datagram_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..160),
        r in wanted(),
        (n_vlans, n_tags, ttl, v6) in any::<(u8, u8, u8, bool)>(),
        offsets in any::<[u16; 4]>(),
        small: bool,
    ) {
        let [l3, l4, payload, end] = if small { offsets.map(|offset| offset % 160) } else { offsets };
        let datagram = Datagram {
            destination: r.destination, source: r.source, port: 1, checksum: 1, ttl, vlans: [0; 2], n_tags, v6, l3, l4, payload, end,
            mark: small.then_some(1),
        };
        let mut header = NewHeader::EMPTY;
        let small_ttl = if small { 0 } else { r.ttl };
        if rewrite(bytes.as_slice(), &datagram, &Rewrite { n_vlans, ttl: small_ttl, ..r }, &mut header).is_ok() {
            prop_assert!(header.len as usize <= MAX_NEW_HEADER);
        }
    }
}
