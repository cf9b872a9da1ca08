//! What a notice teaches of a neighbour.

use super::*;

const LINK: u32 = 3;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn told(last: u8, mac: Option<[u8; 6]>) -> LinkEvent {
    LinkEvent::NeighbourChanged { ifindex: LINK, address: address(last), mac }
}

/// Two destinations behind the gateway .9, one without a route.
fn neighbours() -> Neighbours {
    let mut neighbours = Neighbours::new();
    neighbours.wanted.insert((LINK, address(100)), Some(address(9)));
    neighbours.wanted.insert((LINK, address(101)), Some(address(9)));
    neighbours.wanted.insert((LINK, address(102)), None);
    neighbours.hops.insert((LINK, address(9)), Hop::default());
    neighbours
}

#[test]
fn a_notice_resolves_every_destination_behind_the_hop() {
    let mut neighbours = neighbours();
    assert!(neighbours.facts().iter().all(|fact| fact.mac.is_none()));
    assert_eq!(neighbours.learn(&told(9, Some(MAC))), Learned::Address);
    let facts = neighbours.facts();
    let expected = |last| Neighbour { ifindex: LINK, destination: address(last), next_hop: address(9), mac: Some(MAC) };
    assert_eq!(facts, [expected(100), expected(101)]);
}

#[test]
fn the_last_known_address_stays_while_the_neighbour_is_away() {
    let mut neighbours = neighbours();
    neighbours.learn(&told(9, Some(MAC)));
    assert_eq!(neighbours.learn(&told(9, None)), Learned::Lost);
    assert_eq!(neighbours.facts()[0].mac, Some(MAC));
    assert_eq!(neighbours.learn(&told(9, None)), Learned::Nothing, "it is told once");
    assert_eq!(neighbours.learn(&told(9, Some(MAC))), Learned::Nothing, "it came back as it was");
    assert_eq!(neighbours.learn(&told(9, Some([4; 6]))), Learned::Address);
    assert_eq!(neighbours.facts()[0].mac, Some([4; 6]));
}

#[test]
fn strangers_change_nothing() {
    let mut neighbours = neighbours();
    assert_eq!(neighbours.learn(&told(8, Some(MAC))), Learned::Nothing);
    assert_eq!(neighbours.learn(&LinkEvent::RouteChanged), Learned::Nothing);
    let elsewhere = LinkEvent::NeighbourChanged { ifindex: LINK + 1, address: address(9), mac: Some(MAC) };
    assert_eq!(neighbours.learn(&elsewhere), Learned::Nothing);
}

#[test]
fn want_of_room_is_a_warning_until_there_is_some() {
    let mut neighbours = neighbours();
    let silent = LinkError::NoAnswer { what: "keep a neighbour", text: String::new() };
    neighbours.note_room(told_of_room(&silent));
    assert_eq!(neighbours.warning(), None);
    neighbours.note_room(told_of_room(&LinkError::NeighboursFull { version: 6 }));
    assert!(neighbours.warning().unwrap().contains("net.ipv6.neigh.default.gc_thresh3"));
    neighbours.note_room(None);
    assert_eq!(neighbours.warning(), None);
}
