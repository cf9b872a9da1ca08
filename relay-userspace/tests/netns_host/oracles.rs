//! What tshark thinks of the relay's output: an independent reader that trusts no checksum.

use crate::line::{Folder, Line, printed};
use bench::Sink;
use bench::ledger::Ledger;
use bench::packet::{Checksum, Headers, Ip, Vlan, build};
use bench::sink::Flow;
use bench::source::send_frames;
use std::process::Command;
use std::time::Duration;

const CONFIG: &str = r#"
[[relay]]
name = "plain"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [
    { interface = "out0", group = "239.2.1.1", port = 5001, ttl = 7, dscp = 34 },
    { interface = "out0", group = "239.2.1.2", port = 5002, ttl = 9, dscp = 0, source = "10.2.0.8", source_port = 60 },
    { interface = "out0", group = "239.2.1.3", port = 5003, source = "keep", vlan = 300 },
]

[[relay]]
name = "six"
input = { interface = "in0", group = "ff3e::8000:1", port = 5000 }
outputs = [
    { interface = "out0", group = "ff3e::8000:11", port = 5011, ttl = 9, dscp = 46 },
    { interface = "out0", group = "ff3e::8000:12", port = 5012, source = "keep", vlan = [400, 401] },
]

[[relay]]
name = "tagged"
input = { interface = "in0", group = "239.1.1.1", port = 5000, vlan = 100 }
outputs = [
    { interface = "out0", group = "239.2.1.21", port = 5021 },
    { interface = "out0", group = "239.2.1.22", port = 5022, vlan = "keep" },
]
"#;

const PAYLOAD: &[u8] = b"an odd number of bytes, as a stream may have.";

/// Frames that the source sends, each with another payload so that the checksums differ.
fn sent(line: &Line) -> Vec<Vec<u8>> {
    let v4 = || line.headers("239.1.1.1:5000").ttl(33).dscp(10);
    let v6 = || line.headers("[ff3e::8000:1]:5000").ttl(33).dscp(10);
    let mut options = v4();
    if let Ip::V4(header) = &mut options.ip {
        header.options = vec![0x94, 4, 0, 0];
    }
    let kinds: [Headers; 5] =
        [v4(), options, v4().checksum(Checksum::Zero), v6(), v4().tagged(&[Vlan { priority: 5, ..Vlan::new(100) }])];
    let mut frames = Vec::new();
    for round in 0..100_u8 {
        let payload = [PAYLOAD, &[round, round.wrapping_mul(73)][..]].concat();
        frames.extend(kinds.iter().map(|headers| build(headers, &payload[..PAYLOAD.len() + usize::from(round % 3)])));
    }
    frames
}

/// Frames as a capture file that every reader knows (libpcap's first format, Ethernet).
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0xffff, 1_u32] {
        file.extend(word.to_le_bytes());
    }
    for (second, frame) in (0_u32..).zip(frames) {
        let length = u32::try_from(frame.len()).unwrap();
        for word in [second, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

/// What tshark reads, a line a frame.
const FIELDS: [&str; 15] = [
    "ip.src",
    "ipv6.src",
    "ip.dst",
    "ipv6.dst",
    "udp.srcport",
    "udp.dstport",
    "ip.ttl",
    "ipv6.hlim",
    "ip.dsfield.dscp",
    "ipv6.tclass.dscp",
    "ieee8021ad.id",
    "vlan.id",
    "ip.hdr_len",
    "ip.checksum.status",
    "udp.checksum.status",
];

/// What tshark says of frames: each different line and how often it came.
fn read_by_tshark(frames: &[Vec<u8>]) -> Vec<(String, usize)> {
    let folder = Folder::new("tshark");
    std::fs::write(folder.file("out.pcap"), pcap(frames)).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(folder.file("out.pcap")).args(["-n", "-o", "ip.check_checksum:TRUE"]);
    tshark.args(["-o", "udp.check_checksum:TRUE", "-T", "fields", "-E", "separator=/s"]);
    tshark.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let text = printed(&mut tshark);
    let mut lines: Vec<(String, usize)> = Vec::new();
    for line in text.lines() {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, count)) => *count += 1,
            None => lines.push((line, 1)),
        }
    }
    lines.sort();
    lines
}

/// Status of a checksum: tshark's numbers for good and for not there.
const GOOD: u8 = 1;
const NONE: u8 = 3;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn tshark_finds_every_output_right() {
    let line = Line::new();
    let mcr = line.start(CONFIG);
    let ledger = Ledger::shared("unused", 1);
    let flow = Flow::new("239.255.255.255:1".parse().unwrap(), &ledger);
    let sink = Sink::start_keeping(2_000, &line.receiver, "rx0", vec![flow]).unwrap();
    for chunk in sent(&line).chunks(50) {
        send_frames(&line.source, "src0", chunk).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(sink.settle(Duration::from_millis(300), Duration::from_secs(10)));
    let frames = sink.stop().unwrap().frames;
    mcr.stop().unwrap();
    let mut expected = Vec::new();
    for (header, udp, count) in [(20, GOOD, 100), (24, GOOD, 100), (20, NONE, 100)] {
        expected.push((format!("10.2.0.1 239.2.1.1 4000 5001 7 34 {header} {GOOD} {udp}"), count));
        expected.push((format!("10.2.0.8 239.2.1.2 60 5002 9 0 {header} {GOOD} {udp}"), count));
        expected.push((format!("10.1.0.1 239.2.1.3 4000 5003 16 10 300 {header} {GOOD} {udp}"), count));
    }
    expected.push((format!("fd00:2::1 ff3e::8000:11 4000 5011 9 46 {GOOD}"), 100));
    expected.push((format!("fd00:1::1 ff3e::8000:12 4000 5012 16 10 400 401 {GOOD}"), 100));
    expected.push((format!("10.2.0.1 239.2.1.21 4000 5021 16 10 20 {GOOD} {GOOD}"), 100));
    expected.push((format!("10.2.0.1 239.2.1.22 4000 5022 16 10 100 20 {GOOD} {GOOD}"), 100));
    expected.sort();
    assert_eq!(read_by_tshark(&frames), expected);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn tshark_would_find_a_wrong_checksum() {
    let good = Headers::new("10.1.0.1:4000".parse().unwrap(), "239.1.1.1:5000".parse().unwrap());
    let mut wrong = good.clone().checksum(Checksum::Wrong);
    if let Ip::V4(header) = &mut wrong.ip {
        header.checksum = Checksum::Wrong;
    }
    let lines = read_by_tshark(&[build(&good, PAYLOAD), build(&wrong, PAYLOAD)]);
    let expected = ["0 0", "1 1"].map(|status| (format!("10.1.0.1 239.1.1.1 4000 5000 64 0 20 {status}"), 1));
    assert_eq!(lines, expected);
}
