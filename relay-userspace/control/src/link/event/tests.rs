//! Notices as the kernel sends them, whole and broken.

use super::*;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour::NeighbourState;
use rtnetlink::packet_route::route::RouteMessage;

fn bytes(message: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn link(ifindex: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = ifindex;
    link
}

fn neighbour(state: NeighbourState) -> NeighbourMessage {
    let mut neighbour = NeighbourMessage::default();
    neighbour.header.family = AddressFamily::Inet;
    neighbour.header.ifindex = 3;
    neighbour.header.state = state;
    neighbour.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::Inet([192, 0, 2, 9].into())));
    neighbour.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 9]));
    neighbour
}

#[test]
fn every_message_of_a_datagram_is_told() {
    let mut datagram = bytes(RouteNetlinkMessage::NewLink(link(3)));
    datagram.extend(bytes(RouteNetlinkMessage::DelLink(link(4))));
    datagram.extend(bytes(RouteNetlinkMessage::NewRoute(RouteMessage::default())));
    let expected = [
        LinkEvent::LinkChanged { ifindex: 3, gone: false },
        LinkEvent::LinkChanged { ifindex: 4, gone: true },
        LinkEvent::RouteChanged,
    ];
    assert_eq!(events(&datagram), expected);
}

#[test]
fn a_port_that_leaves_a_bridge_is_not_a_link_that_is_gone() {
    let mut port = link(3);
    port.header.interface_family = AddressFamily::Bridge;
    assert_eq!(events(&bytes(RouteNetlinkMessage::DelLink(port))), []);
}

#[test]
fn a_hardware_address_is_told_only_while_the_kernel_would_use_it() {
    let told = |message| match events(&bytes(message)).remove(0) {
        LinkEvent::NeighbourChanged { ifindex: 3, mac, .. } => mac,
        other => panic!("{other:?}"),
    };
    let mac = Some([2, 0, 0, 0, 0, 9]);
    assert_eq!(told(RouteNetlinkMessage::NewNeighbour(neighbour(NeighbourState::Reachable))), mac);
    assert_eq!(told(RouteNetlinkMessage::NewNeighbour(neighbour(NeighbourState::Stale))), mac);
    assert_eq!(told(RouteNetlinkMessage::NewNeighbour(neighbour(NeighbourState::Failed))), None);
    assert_eq!(told(RouteNetlinkMessage::NewNeighbour(neighbour(NeighbourState::Incomplete))), None);
    assert_eq!(told(RouteNetlinkMessage::DelNeighbour(neighbour(NeighbourState::Reachable))), None);
}

#[test]
fn what_cannot_be_read_counts_as_lost() {
    let whole = bytes(RouteNetlinkMessage::NewLink(link(3)));
    assert_eq!(events(&whole[..whole.len() - 1]), [LinkEvent::Lost]);
    let mut unknown = whole.clone();
    unknown[4] = 0xff;
    assert_eq!(events(&unknown), [LinkEvent::Lost]);
    let mut endless = whole;
    endless[..4].fill(0);
    assert_eq!(events(&endless), [LinkEvent::Lost]);
}
