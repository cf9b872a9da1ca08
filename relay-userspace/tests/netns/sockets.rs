//! A plain UDP socket as the sender. On a veth, its kernel leaves the checksum to a hardware that is not there, and
//! XDP cannot tell: what a receiver then gets is worth nothing. The remedy is `ethtool -K LINK tx off` at the sender.

use crate::rig::{Rig, Show, TAIL};
use bench::links::{ethtool, ip};
use bench::packet::{Checksum, parse};
use bench::{Sink, UdpListener};
use std::net::UdpSocket;
use std::time::Duration;

const CONFIG: &str = r#"
    [[relay]]
    name = "one"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
"#;
const DATAGRAMS: u8 = 100;

fn rig() -> Rig {
    let rig = Rig::new(1);
    ip(&["-n", rig.source.name(), "route", "add", "224.0.0.0/4", "dev", "src0"]).unwrap();
    rig
}

/// Sends datagrams by a plain socket, and says how good the checksums are that come out.
fn checksums_of_a_plain_socket(show: &Show<'_>) -> Vec<Checksum> {
    let sink = Sink::start_keeping(DATAGRAMS.into(), &show.rig.receivers, "rx0", Vec::new()).unwrap();
    let socket = show.rig.source.run(|| UdpSocket::bind("10.1.0.1:4000")).unwrap();
    for n in 0..DATAGRAMS {
        socket.send_to(&[n; 1316], "239.1.1.1:5000").unwrap();
    }
    let frames = show.take(sink, DATAGRAMS.into());
    let parsed = (0..DATAGRAMS).zip(&frames).map(|(n, frame)| {
        let parsed = parse(frame).unwrap();
        assert_eq!(frame[parsed.payload.clone()], [n; 1316], "the bytes are right, and in order");
        parsed.headers.checksum
    });
    parsed.collect()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn checksums_left_to_hardware_are_right_with_offload_switched_off() {
    let rig = rig();
    ethtool(&rig.source, &["-K", "src0", "tx", "off"]).unwrap();
    let show = rig.start(CONFIG);
    let listener = UdpListener::start(&rig.receivers, "rx0", "239.2.1.1:5001".parse().unwrap()).unwrap();
    assert_eq!(checksums_of_a_plain_socket(&show), [Checksum::Right; DATAGRAMS as usize]);
    for n in 0..DATAGRAMS {
        let (datagram, _) = listener.receive(TAIL).unwrap().unwrap();
        assert_eq!(datagram, [n; 1316], "an ordinary program gets it");
    }
    assert_eq!(show.mcr.stop().unwrap().received("one"), u64::from(DATAGRAMS));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn checksums_left_to_hardware_come_out_wrong() {
    let rig = rig();
    let show = rig.start(CONFIG);
    let listener = UdpListener::start(&rig.receivers, "rx0", "239.2.1.1:5001".parse().unwrap()).unwrap();
    assert_eq!(checksums_of_a_plain_socket(&show), [Checksum::Wrong; DATAGRAMS as usize]);
    assert_eq!(listener.receive(Duration::from_millis(200)).unwrap(), None, "an ordinary program gets nothing");
    assert_eq!(show.mcr.stop().unwrap().sent("one", 0), u64::from(DATAGRAMS));
}
