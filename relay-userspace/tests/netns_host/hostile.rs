//! What strangers send: broken frames under load harm nothing, and each is counted.

use crate::line::{Line, ONE, OUTPUT};
use bench::ledger::{self, Ledger};
use bench::links::ip;
use bench::packet::{Extension, Headers, Ip, Vlan, build};
use bench::sink::Flow;
use bench::source::{Load, Stream, send_frames};
use bench::{Sink, Source};
use std::time::Duration;

const HOSTILE: usize = 20_000;
const GOOD: u64 = 20_000;
/// Frames sent at once: fewer than a veth queue holds.
const CHUNK: usize = 50;

/// The generator splitmix64: the same frames in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

/// Good frames for a relay, one of each kind that the relay reads.
fn bases() -> Vec<Vec<u8>> {
    let v4 = || Headers::new("10.1.0.1:4000".parse().unwrap(), "239.66.6.6:5000".parse().unwrap());
    let v6 = || Headers::new("[fd00:1::1]:4000".parse().unwrap(), "[ff3e::6666]:5000".parse().unwrap());
    let mut options = v4();
    if let Ip::V4(header) = &mut options.ip {
        header.options = vec![0x94, 4, 0, 0, 1, 1, 1, 1];
    }
    let mut fragment = v4();
    if let Ip::V4(header) = &mut fragment.ip {
        header.more_fragments = true;
    }
    let mut extended = v6();
    if let Ip::V6(header) = &mut extended.ip {
        header.extensions = [0, 60].map(|kind| Extension { kind, content: vec![1, 4, 0, 0, 0, 0] }).to_vec();
    }
    let tagged = v4().tagged(&[Vlan::service(7), Vlan::new(100)]);
    [v4(), v6(), options, fragment, extended, tagged].iter().map(|headers| build(headers, &[0x47; 200])).collect()
}

/// A base with some bits flipped, cut off, or nothing but noise; never shorter than an Ethernet header.
fn mutate(random: &mut Random, bases: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = bases[random.below(bases.len())].clone();
    match random.below(10) {
        0 => frame = (0..14 + random.below(1400)).map(|_| random.byte()).collect(),
        1 | 2 => frame.truncate(14 + random.below(frame.len() - 14)),
        _ => {}
    }
    // Mostly in the headers, where it hurts.
    for _ in 0..random.below(5) {
        let reach = if random.below(4) == 0 { frame.len() } else { frame.len().min(90) };
        frame[random.below(reach)] ^= 1 << random.below(8);
    }
    frame
}

const CONFIG: &str = r#"
[[relay]]
name = "hostile"
input = { interface = "in0", group = "239.66.6.6", port = 5000 }
outputs = [{ interface = "out0", group = "239.66.6.7", port = 5000 }]

[[relay]]
name = "hostile-six"
input = { interface = "in0", group = "ff3e::6666", port = 5000 }
outputs = [{ interface = "out0", group = "ff3e::6667", port = 5000 }]

[[relay]]
name = "hostile-tagged"
input = { interface = "in0", group = "239.66.6.6", port = 5000, vlan = [7, 100] }
outputs = [{ interface = "out0", group = "239.66.6.8", port = 5000, vlan = 9 }]
"#;

/// A kernel that says nothing by itself, so that every frame on its link is one of the test's.
fn silence(line: &Line) {
    line.source.sysctl("net/ipv6/conf/src0/disable_ipv6", "1").unwrap();
    ip(&["-n", line.source.name(), "address", "flush", "dev", "src0"]).unwrap();
}

/// Frames that the wire itself had no room for.
fn dropped_by_the_wire(line: &Line) -> u64 {
    let statistics = ip(&["-n", line.source.name(), "-s", "-j", "link", "show", "src0"]).unwrap();
    let statistics: serde_json::Value = serde_json::from_str(&statistics).unwrap();
    statistics[0]["stats64"]["tx"]["dropped"].as_u64().unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn broken_frames_under_load_harm_no_stream_and_each_is_counted() {
    let line = Line::new();
    silence(&line);
    let mcr = line.start(&format!("{ONE}{CONFIG}"));
    let lanes = mcr.lanes();
    let mut random = Random(2026);
    let frames: Vec<Vec<u8>> = {
        let bases = bases();
        (0..HOSTILE).map(|_| mutate(&mut random, &bases)).collect()
    };

    let ledger = Ledger::shared("good", 1);
    let sink = Sink::start(&line.receiver, "rx0", vec![Flow::new(OUTPUT.parse().unwrap(), &ledger)]).unwrap();
    let before = dropped_by_the_wire(&line);
    let load = Load::new(vec![Stream::new(1, line.headers("239.1.1.1:5000"), 1316)]).rate(10_000).packets(GOOD);
    let good = Source::start(&line.source, "src0", load).unwrap();
    for chunk in frames.chunks(CHUNK) {
        send_frames(&line.source, "src0", chunk).unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    good.finish().unwrap().enter(std::slice::from_ref(&ledger));
    ledger::wait_for_tail(std::slice::from_ref(&ledger), Duration::from_secs(2));
    assert_eq!(sink.stop().unwrap().missed, 0);
    let dropped = dropped_by_the_wire(&line) - before;
    assert_eq!(mcr.lanes(), lanes, "a lane was started again");
    let report = mcr.stop().unwrap();

    // Every frame that the wire took has a verdict, and every frame that was ours an end.
    let verdicts = report.0["verdicts"].as_object().unwrap();
    let counted: u64 = verdicts.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(counted, GOOD + HOSTILE as u64 - dropped, "{verdicts:?}, the wire dropped {dropped}");
    for verdict in ["ours", "not_udp", "not_ours", "fragment", "malformed"] {
        assert!(report.verdict(verdict) > 0, "no frame was {verdict}: {verdicts:?}");
    }
    let lost = report.lost_around_lanes();
    let received = ["one", "hostile", "hostile-six", "hostile-tagged"].map(|relay| report.received(relay));
    let before_lanes = report.sockets("rx_dropped") + report.sockets("rx_ring_full");
    let unnamed: u64 = report.0["drops"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(received.iter().sum::<u64>() + unnamed + before_lanes, report.verdict("ours"), "{received:?}");
    let ledger = ledger::lock(&ledger);
    assert!(ledger.lost() <= lost + dropped, "{} lost, {lost} counted by mcr, {dropped} by the wire", ledger.lost());
    ledger.check(ledger.lost()).unwrap();
}
