//! What is read of a link is what was made.

use crate::wire::Wire;
use relay_cli::args::Links;
use relay_control::link::ability::Ability;
use relay_control::link::netlink::{LinkError, Netlink};
use relay_control::link::xdp::Netdev;
use relay_userspace::links;
use std::net::Ipv6Addr;
use std::process::Command;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_is_read_as_it_was_made() {
    let wire = Wire::new();
    wire.near_ip(&["link", "set", "in0", "address", "02:00:00:00:00:01", "mtu", "1600"]);
    wire.near_ip(&["address", "add", "203.0.113.1/32", "peer", "203.0.113.9/32", "dev", "in0"]);
    wire.near_ip(&["address", "add", "2001:db8:1::1/64", "dev", "in0"]); // tentative for a second or two
    let ifindex = wire.ifindex();
    let links = wire.inside(async {
        let netlink = Netlink::new().unwrap();
        netlink.facts(Some(&["in0", "nothing"])).await.unwrap()
    });
    let [link] = links.as_slice() else { panic!("{links:?}") };
    assert_eq!((link.name.as_str(), link.ifindex, link.mtu), ("in0", ifindex, 1600));
    assert_eq!(link.mac, [2, 0, 0, 0, 0, 1]);
    assert!(link.up && link.carrier);
    assert_eq!(link.v4, [([198, 51, 100, 1].into(), 24), ([203, 0, 113, 1].into(), 32)]);
    assert_eq!(link.v6.first(), Some(&("2001:db8::1".parse::<Ipv6Addr>().unwrap(), 64)), "{:?}", link.v6);
    assert!(!link.v6.iter().any(|(address, _)| *address == "2001:db8:1::1".parse::<Ipv6Addr>().unwrap()));
    assert_eq!((link.n_rx_queues, link.n_tx_queues), (4, 4));

    let command = ["netns", "exec", &wire.near, "ethtool", "-L", "in0", "rx", "2", "tx", "3"];
    assert!(Command::new("ip").args(command).status().unwrap().success());
    wire.far_ip(&["link", "set", "out0", "down"]);
    let link = wire.inside(async { Netlink::new().unwrap().facts(Some(&["in0"])).await.unwrap().remove(0) });
    assert_eq!((link.n_rx_queues, link.n_tx_queues), (2, 3), "queues in use, not those reserved");
    assert!(link.up && !link.carrier);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_veth_says_what_it_can_do() {
    let wire = Wire::new();
    let ability = wire.inside(async {
        let reading = Netlink::new().unwrap().readings(Some(&["in0"])).await.unwrap().remove(0);
        Ability::of(reading, &[], Netdev::open().unwrap().as_ref())
    });
    assert_eq!(ability.reading.kind, "veth");
    assert_eq!(ability.driver_name(), "veth");
    let channels = ability.channels.unwrap();
    assert_eq!((channels.rx, channels.tx, channels.max_rx, channels.combined), (4, 4, 4, false));
    assert!(ability.features.on("tx-checksum-ip-generic"), "{:?}", ability.features);
    assert_eq!(ability.reading.attached, []);
    let xdp = ability.xdp.unwrap();
    assert!(xdp.native() && xdp.redirect() && !xdp.zero_copy(), "{:?}", xdp.names());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn mcr_links_tells_people_and_programs() {
    let wire = Wire::new();
    let tell = |json, names: &[&str]| {
        let names = names.iter().copied().map(String::from).collect();
        let options = Links { json, lanes: 6, names };
        wire.inside(async {
            let mut out = Vec::new();
            links::run(&options, &mut out).await.map(|()| String::from_utf8(out).unwrap())
        })
    };
    let table = tell(false, &[]).unwrap();
    assert!(table.lines().nth(1).unwrap().contains("native, copy"), "{table}");
    assert!(table.contains("too-few-queues"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&tell(true, &["in0"]).unwrap()).unwrap();
    assert_eq!(json[0]["queues"]["rx"], 4);
    assert_eq!(json[0]["xdp"]["zero_copy"], false);
    let error = tell(false, &["in0", "in9"]).unwrap_err().to_string();
    assert_eq!(error, "there is no interface in9; there are lo, in0");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn routes_lead_to_the_destination_a_gateway_or_nowhere() {
    let wire = Wire::new();
    wire.near_ip(&["route", "add", "192.0.2.0/24", "via", "198.51.100.2"]);
    wire.near_ip(&["route", "add", "203.0.113.0/24", "via", "inet6", "2001:db8::2", "dev", "in0"]);
    let ifindex = wire.ifindex();
    let hop = |destination: &str| {
        let destination = destination.parse().unwrap();
        wire.inside(async { Netlink::new().unwrap().route(destination, ifindex).await.unwrap() })
            .map(|hop| hop.to_string())
    };
    assert_eq!(hop("198.51.100.7").as_deref(), Some("198.51.100.7"));
    assert_eq!(hop("192.0.2.5").as_deref(), Some("198.51.100.2"));
    assert_eq!(hop("203.0.113.5").as_deref(), Some("2001:db8::2"));
    assert_eq!(hop("2001:db8::5").as_deref(), Some("2001:db8::5"));
    assert_eq!(hop("198.51.100.1"), None, "our own address is not behind the link");
    assert_eq!(hop("10.1.2.3").as_deref(), Some("10.1.2.3"), "without a route, as if on the link");
    assert_eq!(hop("2001:db8:ffff::1"), None, "no route");
    wire.near_ip(&["link", "set", "in0", "down"]);
    assert_eq!(hop("198.51.100.7"), None, "a link that is down");
    let gone = wire.inside(async { Netlink::new().unwrap().route([198, 51, 100, 7].into(), 0x00ff_ffff).await });
    assert!(matches!(gone, Ok(None)), "{:?}", gone.map_err(|error: LinkError| error.to_string()));
}
