//! What is written, byte by byte and as tshark reads it, and where a capture ends.

use super::*;
use relay_common::facts::{Facts, Link};
use relay_common::fixtures::Recipe;
use relay_common::table::{Placement, compile};
use relay_engine::memory::tap::About;
use std::process::Command;

const CLOCKS: Clocks = Clocks { monotonic_ns: 5_000_000_000, real_ns: 1_700_000_000_000_000_000 };

/// A relay `ch1` from `e0` to two groups on `e1`.
fn table() -> Table {
    let text = r#"
        [[relay]]
        name = "ch1"
        input = { interface = "e0", group = "239.1.2.3", port = 5000 }
        outputs = [
            { interface = "e1", group = "239.2.1.1", port = 5001 },
            { interface = "e1", group = "239.2.1.2", port = 5002 },
        ]"#;
    let plan = relay_config::parse("relay.toml", text).unwrap().plan;
    let links = (1..).zip(["e0", "e1"]).map(|(ifindex, name)| Link {
        name: name.to_owned(),
        ifindex,
        mac: [2, 0, 0, 0, 0, 9],
        mtu: 1500,
        up: true,
        carrier: true,
        v4: vec![([10, 0, 0, 1].into(), 24)],
        v6: Vec::new(),
        n_rx_queues: 1,
        n_tx_queues: 1,
    });
    let facts = Facts { links: links.collect(), ..Facts::default() };
    compile(&plan, &facts, &Placement::new(&plan, &facts, None), None).table
}

fn caught(after_ns: u64, way: Way) -> Caught {
    let bytes = Recipe::default().bytes();
    let about = About { time_ns: CLOCKS.monotonic_ns + after_ns, slot: 0, way };
    Caught { about, original: u32::try_from(bytes.len()).unwrap(), bytes }
}

const IN: Way = Way::In { ifindex: 1 };

fn out(counter: u32) -> Way {
    Way::Out { link: 0, counter }
}

fn capture(limits: Limits) -> Capture<Vec<u8>> {
    Capture::begin(Vec::new(), CLOCKS, limits).unwrap()
}

/// The blocks of a file: kind and body. Each must say its length twice, in fours.
fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
    let word = |at: &[u8]| u32::from_le_bytes(at[..4].try_into().unwrap());
    let mut blocks = Vec::new();
    while !file.is_empty() {
        let len = word(&file[4..]) as usize;
        assert_eq!((len % 4, word(&file[len - 4..]) as usize), (0, len));
        blocks.push((word(file), &file[8..len - 4]));
        file = &file[len..];
    }
    blocks
}

#[test]
fn each_link_is_told_once_before_its_first_packet() {
    let (table, mut capture) = (table(), capture(Limits::default()));
    for way in [IN, out(0), out(1), IN] {
        capture.add(&caught(1, way), &table).unwrap();
    }
    assert_eq!(capture.packets(), 4);
    let len = capture.file.len();
    let file = capture.end().unwrap();
    assert_eq!(len, file.len() as u64);
    let kinds: Vec<u32> = blocks(&file).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [0x0a0d_0d0a, 1, 6, 1, 6, 6, 6]);
}

#[test]
fn a_packet_has_its_time_and_what_was_kept_of_it() {
    let (table, mut capture) = (table(), capture(Limits { snap: Some(61), ..Limits::default() }));
    let packet = caught(123_456_789, out(1));
    capture.add(&packet, &table).unwrap();
    let file = capture.end().unwrap();
    let (_, body) = blocks(&file)[2];
    let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap());
    let time = u64::from(word(4)) << 32 | u64::from(word(8));
    assert_eq!(time, 1_700_000_000_123_456_789);
    assert_eq!((word(12), word(16)), (61, packet.original));
    assert_eq!((&body[20..81], &body[81..84]), (&packet.bytes[..61], &[0; 3][..]));
    assert_eq!((&body[84..92], &body[92..94]), (&[2, 0, 4, 0, 2, 0, 0, 0][..], &[1, 0][..]), "outbound, a comment");
    assert_eq!(&body[96..128], b"relay ch1, output 239.2.1.2:5002");
}

#[test]
fn a_capture_ends_at_each_limit() {
    let table = table();
    let count = |limits: Limits| {
        let mut capture = capture(limits);
        (0..100).for_each(|i| capture.add(&caught(i * 1000, IN), &table).unwrap());
        (capture.packets(), capture.end().unwrap().len() as u64)
    };
    let (all, len) = count(Limits::default());
    assert_eq!((all, count(Limits { packets: Some(7), ..Limits::default() }).0), (100, 7));
    assert_eq!(count(Limits { time_ns: Some(10_000), ..Limits::default() }).0, 11);
    assert_eq!(count(Limits { bytes: Some(len), ..Limits::default() }), (100, len));
    let (fewer, shorter) = count(Limits { bytes: Some(len - 1), ..Limits::default() });
    assert!(fewer == 99 && shorter < len);
    assert!(capture(Limits { time_ns: Some(10), ..Limits::default() }).is_over(CLOCKS.monotonic_ns + 11));
}

#[test]
fn what_the_table_does_not_know_is_left_out() {
    let (table, mut capture) = (table(), capture(Limits::default()));
    let mut gone = caught(1, IN);
    gone.about.slot = 9;
    let mut earlier = caught(0, IN);
    earlier.about.time_ns -= 1;
    for packet in [gone, earlier, caught(1, out(77)), caught(1, Way::Out { link: 9, counter: 0 })] {
        capture.add(&packet, &table).unwrap();
    }
    assert_eq!(capture.packets(), 0);
}

#[test]
fn tshark_reads_it() {
    if Command::new("tshark").arg("-v").output().is_err() {
        return; // The netns suite installs it and looks at a whole capture.
    }
    let (table, mut capture) = (table(), capture(Limits::default()));
    for (i, way) in (0..).zip([IN, out(0), out(1)]) {
        capture.add(&caught(i * 1000, way), &table).unwrap();
    }
    let path = std::env::temp_dir().join(format!("mcr-capture-{}.pcapng", std::process::id()));
    std::fs::write(&path, capture.end().unwrap()).unwrap();
    let fields =
        ["frame.interface_name", "frame.packet_flags_direction", "frame.time_epoch", "frame.comment", "ip.dst"];
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&path).args(["-n", "-T", "fields"]).args(fields.iter().flat_map(|field| ["-e", field]));
    let read = tshark.output().unwrap();
    std::fs::remove_file(&path).unwrap();
    let text = String::from_utf8(read.stdout).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 3, "{}", String::from_utf8_lossy(&read.stderr));
    let links: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(links, ["e0", "e1", "e1"]);
    assert!(lines[0][1].ends_with('1') && lines[2][1].ends_with('2'), "in and out: {text}");
    assert_eq!(lines[2][2], "1700000000.000002000");
    assert_eq!((lines[0][3], lines[1][3]), ("relay ch1, input", "relay ch1, output 239.2.1.1:5001"));
}
