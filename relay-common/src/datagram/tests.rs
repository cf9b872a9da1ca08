//! Where headers stand, in frames of every kind and in frames cut anywhere.

use super::{Datagram, MAX_HEADER, NotADatagram};
use crate::abi::{Address, InputKey};
use crate::fixtures::{self, Recipe, extension};
use crate::wire::vlan::{CUSTOMER, SERVICE};
use etherparse::{SlicedPacket, TransportSlice};
use proptest::prelude::*;
use std::{vec, vec::Vec};

#[test]
fn offsets_and_fields_of_a_tagged_v4_datagram() {
    let recipe = Recipe {
        tags: vec![(SERVICE, 200), (CUSTOMER, 0xe064)],
        options: vec![1; 4],
        payload: vec![9; 100],
        surplus: vec![0; 8],
        padding: 3,
        ..Recipe::to("239.1.2.3")
    };
    let expected = Datagram {
        destination: Address::v4([239, 1, 2, 3]),
        source: Address::v4([10, 0, 0, 1]),
        port: 5000,
        checksum: u16::from_be_bytes(recipe.bytes()[52..54].try_into().unwrap()),
        ttl: 7,
        vlans: [200, 100],
        n_tags: 2,
        v6: false,
        l3: 22,
        l4: 46,
        payload: 54,
        end: 162,
        mark: None,
    };
    assert_eq!(Datagram::parse(recipe.bytes().as_slice()), Ok(expected));
    let key = InputKey { ifindex: 9, destination: expected.destination, port: 5000, vlans: [200, 100], zero: 0 };
    assert_eq!(expected.key(9), key);
}

#[test]
fn a_v4_checksum_is_not_looked_at() {
    let mut frame = Recipe::default().bytes();
    frame[24] ^= 0x55;
    assert!(Datagram::parse(frame.as_slice()).is_ok());
}

#[test]
fn longer_than_offsets_reach_is_not_ours() {
    let mut frame = Recipe::default().bytes();
    frame.resize(65_535, 0);
    assert!(Datagram::parse(frame.as_slice()).is_ok());
    frame.resize(65_536, 0);
    assert_eq!(Datagram::parse(frame.as_slice()), Err(NotADatagram::NotUdp));
}

#[test]
fn every_prefix_of_a_frame_is_whole_or_nothing() {
    for case in fixtures::cases() {
        let Ok(whole) = Datagram::parse(case.frame.as_slice()) else { continue };
        for len in 0..case.frame.len() {
            match Datagram::parse(&case.frame[..len]) {
                Ok(cut) => assert!(cut == whole && len >= whole.end as usize, "{}, {len} bytes", case.name),
                Err(_) => assert!(len < whole.end as usize, "{}, {len} bytes", case.name),
            }
        }
    }
}

/// Any frame that a sender can mean well.
pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    let tag = (prop::sample::select(vec![CUSTOMER, SERVICE]), any::<u16>());
    let common = (
        prop::collection::vec(tag, 0..=2),
        any::<(u16, u16, u8, u8)>(),
        prop::collection::vec(any::<u8>(), 0..300),
        0..20usize,
    );
    let v4 =
        (any::<([u8; 4], [u8; 4])>(), any::<bool>(), 0..=10usize).prop_map(|((source, destination), sum, options)| {
            Recipe {
                source: source.into(),
                destination: destination.into(),
                checksum: sum,
                options: vec![1; options * 4],
                ..Recipe::default()
            }
        });
    let v6 =
        (any::<([u8; 16], [u8; 16])>(), prop::collection::vec(1..=2usize, 0..=3)).prop_map(|(addresses, lengths)| {
            let extensions = lengths.iter().map(|eights| (60, extension(*eights))).collect();
            Recipe { source: addresses.0.into(), destination: addresses.1.into(), extensions, ..Recipe::default() }
        });
    (common, prop_oneof![v4, v6]).prop_map(|((tags, (source_port, port, service, ttl), payload, padding), recipe)| {
        Recipe { tags, source_port, port, service, ttl, payload, padding, ..recipe }
    })
}

proptest! {
    #[test]
    fn another_parser_finds_the_same(recipe in recipe()) {
        let frame = recipe.bytes();
        let datagram = Datagram::parse(frame.as_slice()).unwrap();
        let other = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(TransportSlice::Udp(udp)) = &other.transport else { panic!("UDP") };
        prop_assert_eq!(datagram.port, udp.destination_port());
        prop_assert_eq!(&frame[datagram.payload as usize..datagram.end as usize], udp.payload());
        prop_assert_eq!(datagram.destination, Address::from(recipe.destination));
        prop_assert_eq!(datagram.source, Address::from(recipe.source));
        prop_assert_eq!(datagram.end as usize, frame.len() - recipe.padding);
        let ids: Vec<u16> = other.vlan_ids().iter().map(|id| id.value()).filter(|id| *id != 0).collect();
        prop_assert_eq!(datagram.vlans.iter().filter(|id| **id != 0).count(), ids.len());
        prop_assert!(datagram.vlans.starts_with(&ids));
    }

    #[test]
    fn any_bytes_are_refused_or_lie_within_the_frame(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..4) {
        // Half of them look like UDP, or nothing would ever be found.
        if bytes.len() > 60 && kind < 2 {
            let (header, protocol, udp_length) =
                if kind == 0 { ([8, 0, 0x45], 23, 38) } else { ([0x86, 0xdd, 0x60], 20, 58) };
            bytes[12..15].copy_from_slice(&header);
            bytes[16..22].copy_from_slice(&[0, 40, 0, 40, 0, 0]);
            bytes[protocol] = 17;
            bytes[udp_length..udp_length + 2].copy_from_slice(&[0, 8]);
        }
        if let Ok(datagram) = Datagram::parse(bytes.as_slice()) {
            let Datagram { l3, l4, payload, end, .. } = datagram;
            prop_assert!(14 <= l3 && l3 < l4 && l4 + 8 == payload && payload <= end);
            prop_assert!(payload as usize <= MAX_HEADER && end as usize <= bytes.len());
        }
    }
}
