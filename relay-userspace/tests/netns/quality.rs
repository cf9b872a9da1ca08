//! What of the input is measured: was it already broken?

use crate::rig::{NOTED, Rig, Shape as RigShape, payload};
use bench::clock::Deadline;
use bench::links::steer;
use bench::packet::build;
use bench::payload::{RTP_HEADER, Shape, Stamp, TS_PACKET, write};
use bench::relay::Report;
use bench::source::{self, Load, Stream};
use std::time::Duration;

/// A relay for each kind of stream, the same but for what is measured.
const CONFIG: &str = r#"
    [[relay]]
    name = "full"
    silence_after = "100ms"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5000 }]
    [[relay]]
    name = "rtp"
    meters = "rtp"
    input = { interface = "in0", group = "239.1.1.2", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.2", port = 5000 }]
    [[relay]]
    name = "off"
    meters = "off"
    silence_after = "off"
    input = { interface = "in0", group = "239.1.1.3", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.3", port = 5000 }]
    [[relay]]
    name = "plain"
    input = { interface = "in0", group = "239.1.1.4", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.4", port = 5000 }]
"#;

/// The datagrams of a broadcast stream with these numbers.
fn stream(rig: &Rig, to: &str, numbers: impl Iterator<Item = u64>) -> Vec<Vec<u8>> {
    let frame = |sequence| {
        let mut payload = vec![0; RTP_HEADER + 7 * TS_PACKET];
        write(Shape::RtpTs, &mut payload, &Stamp { stream: 1, sequence, sent_ns: 0 });
        build(&rig.headers(to), &payload)
    };
    numbers.map(frame).collect()
}

fn quality(report: &Report, relay: usize, name: &str) -> u64 {
    report.0["relays"][relay]["input_quality"][name].as_u64().unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_missing_of_the_input_is_counted_to_the_packet() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    // From below the wrap of the sequence number on: two holes, of 1 and of 5, one doubled and two exchanged.
    let numbers = (65_400_u64..65_700).filter(|n| *n != 65_450 && !(65_530..65_535).contains(n));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.insert(100, numbers[99]);
    numbers.swap(200, 201);
    let n = numbers.len();
    let mut frames = Vec::new();
    for group in ["239.1.1.1:5000", "239.1.1.2:5000", "239.1.1.3:5000"] {
        frames.extend(stream(&rig, group, numbers.iter().copied()));
    }
    frames.extend((0..n).map(|_| build(&rig.headers("239.1.1.4:5000"), &payload(1316))));
    show.exchange(&frames, 4 * n);
    let report = show.mcr.stop().unwrap();
    for relay in [0, 1] {
        let rtp = ["rtp_lost", "rtp_duplicates", "rtp_reordered", "rtp_restarts"];
        assert_eq!(rtp.map(|name| quality(&report, relay, name)), [6, 1, 1, 0], "{}", report.0);
        assert_eq!(quality(&report, relay, "rtp_packets"), n as u64 - 3, "three were not believed yet");
    }
    // A hole is one error; of a doubled datagram seven counters go back, and the next is an error again; of two that
    // change places each of three is in the wrong place.
    assert_eq!([0, 1].map(|relay| quality(&report, relay, "ts_packets")), [7 * n as u64, 0]);
    assert_eq!(quality(&report, 0, "ts_errors"), 2 + 1 + 3);
    for relay in [2, 3] {
        let payloads = ["rtp_packets", "rtp_lost", "ts_packets", "ts_errors"];
        assert_eq!(payloads.map(|name| quality(&report, relay, name)), [0; 4], "{}", report.0);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_silence_is_an_interruption_where_it_counts_as_one() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    for part in 0..3 {
        for group in ["239.1.1.1:5000", "239.1.1.2:5000", "239.1.1.3:5000"] {
            source::send_frames(&rig.source, "src0", &stream(&rig, group, part * 10..part * 10 + 10)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let report = show.mcr.stop().unwrap();
    assert_eq!(report.received("full"), 30);
    assert_eq!(quality(&report, 0, "interruptions"), 2, "after 100 ms");
    assert_eq!(quality(&report, 2, "interruptions"), 0, "never");
    assert!(quality(&report, 2, "longest_gap_ns") >= 300_000_000, "the gap is told all the same");
}

/// A stream moves from one queue to the other and back, and with it from lane to lane: nothing is missing of it, and of
/// another one what is really missing, while it stays.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_stream_that_moves_between_lanes_has_lost_nothing() {
    let shape = RigShape { outputs: 1, queues: 2, output_queues: 2, output_mtu: 1500, output_mac: None };
    let rig = Rig::shaped(shape);
    let mut show = rig.start(&format!("[lanes]\ncores = [0, 1]\n{CONFIG}"));
    let flow = show.expect(1, 0, "239.2.1.1:5000").shape(Shape::RtpTs);
    show.listen(0, vec![flow]);
    steer(&rig.source, "src0", 0, 2).unwrap();
    let moving = show.source(Load::new(vec![Stream::broadcast(1, rig.headers("239.1.1.1:5000"))]).rate(4_000));
    for turn in 1..=12 {
        let before = moving.sent(1);
        while moving.sent(1) < before + 600 && !moving.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
        steer(&rig.source, "src0", turn % 2, 2).unwrap();
    }
    let moving = moving.stop().unwrap();
    moving.enter(&show.ledgers);
    assert!(bench::ledger::wait_for_tail(&show.ledgers, crate::rig::TAIL));
    show.sinks.remove(0).stop().unwrap().check().unwrap();
    // Two queues are two ways: where the stream moves, packets may overtake others.
    assert_eq!(bench::ledger::lock(&show.ledgers[0]).lost(), 0);

    for turn in 0..4 {
        let hole = turn * 300 + 150;
        let numbers = (turn * 300..(turn + 1) * 300).filter(|n| *n != hole);
        steer(&rig.source, "src0", u16::try_from(turn % 2).unwrap(), 2).unwrap();
        source::send_frames(&rig.source, "src0", &stream(&rig, "239.1.1.2:5000", numbers)).unwrap();
        // Whatever waits comes to its lane before the stream moves on.
        let deadline = Deadline::after(NOTED);
        while received(&show.mcr, "rtp") < (turn + 1) * 299 {
            assert!(!deadline.passed(), "{} packets of turn {turn}", received(&show.mcr, "rtp"));
        }
    }
    let report = show.mcr.stop().unwrap();
    let wrong = ["rtp_lost", "rtp_duplicates", "rtp_reordered", "rtp_restarts", "ts_errors", "interruptions"];
    assert_eq!(wrong.map(|name| quality(&report, 0, name)), [0; 6], "{}", report.0);
    assert!((0..2).all(|lane| report.0["lanes"][lane]["counters"]["received"].as_u64().unwrap() > 1_000));
    assert_eq!(quality(&report, 1, "rtp_lost"), 4, "{}", report.0);
}

/// Packets that have come in for a relay by now.
fn received(mcr: &bench::Relay, relay: &str) -> u64 {
    let mut command = std::process::Command::new(bench::relay::binary());
    command.env("MCR_SOCKET", mcr.folder().join("mcr.sock")).args(["relay", "show", relay, "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    shown["status"]["input"]["packets"].as_u64().unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_successor_of_a_dead_lane_counts_no_loss_that_is_none() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let send = |from: u64, to: u64| {
        source::send_frames(&rig.source, "src0", &stream(&rig, "239.1.1.1:5000", from..to)).unwrap();
    };
    send(0, 100);
    let mark = show.mcr.process.mark();
    let lane = nix::unistd::Pid::from_raw(show.mcr.lanes()[0].cast_signed());
    nix::sys::signal::kill(lane, nix::sys::signal::Signal::SIGKILL).unwrap();
    send(100, 200); // While there is none.
    show.wait_for(mark, "lane died: it is started again");
    send(200, 300);
    std::thread::sleep(crate::rig::SILENCE);
    let report = show.mcr.stop().unwrap();
    assert_eq!(report.restarts(), 1);
    assert!((300..=364).contains(&report.received("full")), "a batch may be counted twice: {}", report.0);
    let wrong = ["rtp_lost", "rtp_duplicates", "rtp_reordered", "rtp_restarts", "ts_errors", "interruptions"];
    assert_eq!(wrong.map(|name| quality(&report, 0, name)), [0; 6], "{}", report.0);
    assert_eq!(report.lanes("starts"), 2);
}
