//! Finding the datagram in a frame.

use crate::case::Case;
use crate::packets;
use bench::packet::Vlan;
use relay_common::datagram::Datagram;
use std::hint::black_box;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("parse v4", packets::v4(&[])),
        case("parse v6", packets::v6()),
        case("parse two tags", packets::v4(&[Vlan::service(200), Vlan::new(100)])),
    ]
}

fn case(name: &str, frame: Vec<u8>) -> Case {
    Case::of_packet(name, move || {
        let frame = frame.clone();
        move || {
            let _ = black_box(Datagram::parse(&black_box(&frame)[..]));
        }
    })
}
