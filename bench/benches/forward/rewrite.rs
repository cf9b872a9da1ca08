//! Computing the header that leaves.

use crate::case::Case;
use crate::packets::{self, TO_V4, TO_V6};
use bench::packet::Vlan;
use relay_common::datagram::Datagram;
use relay_common::entry::Rewrite;
use relay_common::rewrite::{NewHeader, rewrite};
use std::hint::black_box;

pub(crate) fn cases() -> Vec<Case> {
    let (to_v4, to_v6) = (packets::rewrite(TO_V4, 5001), packets::rewrite(TO_V6, 5001));
    let (tag, without_tags) = (Rewrite { n_vlans: 1, vlan_ids: [200, 0], ..to_v4 }, Rewrite { n_vlans: 0, ..to_v4 });
    let tagged = packets::v4(&[Vlan::new(100)]);
    vec![
        case("rewrite v4", packets::v4(&[]), to_v4),
        case("rewrite v6", packets::v6(), to_v6),
        case("rewrite v4, a tag kept", tagged.clone(), to_v4),
        case("rewrite v4, a tag set", packets::v4(&[]), tag),
        case("rewrite v4, a tag removed", tagged, without_tags),
        case("rewrite v4, no UDP checksum", packets::v4_without_checksum(), to_v4),
        case("rewrite v4, TTL and DSCP only", packets::v4(&[]), ttl_and_dscp_only(to_v4)),
    ]
}

fn case(name: &str, frame: Vec<u8>, to: Rewrite) -> Case {
    Case::of_packet(name, move || {
        let frame = frame.clone();
        let datagram = Datagram::parse(&frame[..]).expect("a datagram");
        let mut header = NewHeader::EMPTY;
        move || {
            rewrite(&black_box(&frame)[..], black_box(&datagram), black_box(&to), &mut header).expect("it can be sent");
            black_box(&mut header);
        }
    })
}

/// A relay to the same group and port, its source kept: only the link's addresses change besides.
fn ttl_and_dscp_only(rewrite: Rewrite) -> Rewrite {
    let datagram = Datagram::parse(&packets::v4(&[])[..]).expect("a datagram");
    let [.., b, c, d] = datagram.destination.0;
    Rewrite {
        destination: datagram.destination,
        destination_mac: [1, 0, 0x5e, b & 0x7f, c, d],
        destination_port: datagram.port,
        flags: Rewrite::SET_DSCP,
        ..rewrite
    }
}
