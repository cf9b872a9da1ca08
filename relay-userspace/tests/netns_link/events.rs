//! The kernel's notices arrive, and lost ones are known to be lost.

use crate::wire::{Wire, soon};
use relay_control::link::event::{LinkEvent, LinkEvents};
use relay_control::link::netlink::Netlink;
use std::io::Write;
use std::process::{Command, Stdio};

async fn until(events: &mut LinkEvents, what: &str, wanted: impl Fn(&LinkEvent) -> bool) -> LinkEvent {
    soon(what, async {
        loop {
            let event = events.next().await.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn every_kind_of_change_is_told() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let mut events = Netlink::new().unwrap().events().unwrap();
        wire.near_ip(&["address", "add", "198.51.100.77/24", "dev", "in0"]);
        until(&mut events, "an address", |event| *event == LinkEvent::AddressChanged { ifindex }).await;
        wire.near_ip(&["route", "add", "192.0.2.0/24", "via", "198.51.100.2"]);
        until(&mut events, "a route", |event| *event == LinkEvent::RouteChanged).await;
        wire.near_ip(&["neighbour", "add", "198.51.100.9", "lladdr", "02:00:00:00:00:09", "dev", "in0"]);
        let mac = Some([2, 0, 0, 0, 0, 9]);
        let told = LinkEvent::NeighbourChanged { ifindex, address: [198, 51, 100, 9].into(), mac };
        until(&mut events, "a neighbour", |event| *event == told).await;
        wire.near_ip(&["link", "set", "in0", "down"]);
        until(&mut events, "a link", |event| *event == LinkEvent::LinkChanged { ifindex, gone: false }).await;
        wire.near_ip(&["link", "delete", "in0"]);
        until(&mut events, "a link that is gone", |event| *event == LinkEvent::LinkChanged { ifindex, gone: true })
            .await;
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn notices_that_do_not_fit_are_told_as_lost_and_later_ones_arrive() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let mut events = LinkEvents::new().unwrap();
        let mut batch =
            Command::new("ip").args(["-n", &wire.near, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut lines = batch.stdin.take().unwrap();
        for n in 0..10_000_u32 {
            writeln!(lines, "route add 10.{}.{}.0/24 via 198.51.100.2", n >> 8, n & 0xff).unwrap();
        }
        drop(lines);
        assert!(batch.wait().unwrap().success());
        until(&mut events, "the loss", |event| *event == LinkEvent::Lost).await;
        wire.near_ip(&["link", "set", "in0", "mtu", "1400"]);
        until(&mut events, "a link after it", |event| *event == LinkEvent::LinkChanged { ifindex, gone: false }).await;
    });
}
