//! A plain UDP socket as the sender. On a veth, its kernel leaves the checksum to a hardware that is not there, and
//! nothing in the frame says so: the relay finishes it, and ordinary programs get what it sends.

use crate::rig::{Rig, TAIL, frame};
use bench::links::{ethtool, ip};
use bench::packet::{Checksum, Vlan, parse};
use bench::relay::Report;
use bench::source::send_frames;
use bench::{Sink, UdpListener};
use std::net::UdpSocket;

const CONFIG: &str = r#"
    [[relay]]
    name = "one"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [
        { interface = "out0", group = "239.2.1.1", port = 5001 },
        { interface = "out0", group = "239.2.1.2", port = 5001, source = "10.9.9.9", source_port = 7000 },
    ]
    [[relay]]
    name = "six"
    input = { interface = "in0", group = "ff3e::8000:1", port = 5000 }
    outputs = [
        { interface = "out0", group = "ff3e::8000:2", port = 5001 },
        { interface = "out0", group = "ff3e::8000:3", port = 5001, source_port = 7000 },
    ]
    [[relay]]
    name = "tagged"
    input = { interface = "in0.100", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.3", port = 5001, vlan = "none" }]
"#;
const DATAGRAMS: u8 = 100;

/// Senders with every offload that a veth has, and routes to the groups.
fn rig() -> Rig {
    let rig = Rig::new(1);
    let source = rig.source.name();
    ip(&["-n", source, "route", "add", "224.0.0.0/4", "dev", "src0"]).unwrap();
    ip(&["-n", source, "-6", "route", "add", "ff3e::/16", "dev", "src0", "table", "local"]).unwrap();
    rig
}

/// What the datagram of that number carries: lengths are even and odd, from the least to the most there is.
fn payload(n: u8) -> Vec<u8> {
    let length = if n == 0 { 0 } else { 1316 - usize::from(n) % 7 };
    (0..length).map(|i| n.wrapping_add(u8::try_from(i % 251).unwrap())).collect()
}

/// Sends by a plain socket to a relay, and says what plain sockets at its outputs must have got, byte by byte.
fn check(relay: &str, from: &str, to: &str, outputs: &[(&str, &str)]) {
    let rig = rig();
    let show = rig.start(CONFIG);
    let listen = |(link, group): &(&str, &str)| UdpListener::start(&rig.receivers, link, group.parse().unwrap());
    let listeners: Vec<_> = outputs.iter().map(|output| listen(output).unwrap()).collect();
    let expected = usize::from(DATAGRAMS) * outputs.len();
    let sink = Sink::start_keeping(expected, &rig.receivers, "rx0", Vec::new()).unwrap();
    let socket = rig.source.run(|| UdpSocket::bind(from)).unwrap();
    for n in 0..DATAGRAMS {
        socket.send_to(&payload(n), to).unwrap();
    }
    for frame in show.take(sink, expected) {
        let headers = parse(&frame).unwrap().headers;
        assert_eq!(headers.checksum, Checksum::Right, "to {}", headers.destination());
    }
    for (listener, (_, group)) in listeners.iter().zip(outputs) {
        for n in 0..DATAGRAMS {
            let (datagram, _) = listener.receive(TAIL).unwrap().unwrap_or_else(|| panic!("{group} lost datagram {n}"));
            assert_eq!(datagram, payload(n), "an ordinary program gets it");
        }
    }
    let report = show.mcr.stop().unwrap();
    assert_eq!(completed(&report, relay), u64::from(DATAGRAMS), "once for each packet");
}

/// How many checksums of a relay's packets were finished.
fn completed(report: &Report, relay: &str) -> u64 {
    let relays = report.0["relays"].as_array().unwrap();
    relays.iter().find(|of| of["name"] == relay).unwrap()["checksums_completed"].as_u64().unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn checksums_left_to_hardware_are_finished_ipv4() {
    check("one", "10.1.0.1:4000", "239.1.1.1:5000", &[("rx0", "239.2.1.1:5001"), ("rx0", "239.2.1.2:5001")]);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn checksums_left_to_hardware_are_finished_ipv6() {
    check(
        "six",
        "[fd01::1]:4000",
        "[ff3e::8000:1]:5000",
        &[("rx0", "[ff3e::8000:2]:5001"), ("rx0", "[ff3e::8000:3]:5001")],
    );
}

/// No 802.1Q device is there, so the test builds the frames that it would send.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn checksums_left_to_hardware_are_finished_in_a_vlan() {
    let rig = rig();
    let show = rig.start(CONFIG);
    let listener = UdpListener::start(&rig.receivers, "rx0", "239.2.1.3:5001".parse().unwrap()).unwrap();
    let headers = rig.headers("239.1.1.1:5000").tagged(&[Vlan::new(100)]).checksum(Checksum::Partial);
    let frames: Vec<_> = (0..DATAGRAMS).map(|n| frame(&headers, &payload(n))).collect();
    send_frames(&rig.source, "src0", &frames).unwrap();
    for n in 0..DATAGRAMS {
        let (datagram, _) = listener.receive(TAIL).unwrap().unwrap_or_else(|| panic!("datagram {n} is lost"));
        assert_eq!(datagram, payload(n), "an ordinary program gets it");
    }
    assert_eq!(completed(&show.mcr.stop().unwrap(), "tagged"), u64::from(DATAGRAMS));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn checksums_that_the_sender_made_are_not_counted_as_finished() {
    let rig = rig();
    ethtool(&rig.source, &["-K", "src0", "tx", "off"]).unwrap();
    let show = rig.start(CONFIG);
    let listener = UdpListener::start(&rig.receivers, "rx0", "239.2.1.1:5001".parse().unwrap()).unwrap();
    let socket = rig.source.run(|| UdpSocket::bind("10.1.0.1:4000")).unwrap();
    for n in 0..DATAGRAMS {
        socket.send_to(&payload(n), "239.1.1.1:5000").unwrap();
        assert_eq!(listener.receive(TAIL).unwrap().unwrap().0, payload(n));
    }
    let report = show.mcr.stop().unwrap();
    assert_eq!(completed(&report, "one"), 0);
}
