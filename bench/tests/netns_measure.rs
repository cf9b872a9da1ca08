//! The bench's own instruments: what the generator makes is right, and what the gauge says is true.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bench::Sink;
use bench::measure::bout::Lengths;
use bench::measure::contestant::{Contestant, Programs};
use bench::measure::gauge::{Arrived, Gauge};
use bench::measure::generator::Generator;
use bench::measure::scenario::{Scenario, VLAN};
use bench::measure::session::Session;
use bench::measure::stage::{INPUT_LINK, Stage};
use bench::packet::{Checksum, Ip, Mac, Parsed, Vlan, parse};
use bench::source::send_frames;

const MOMENT: Duration = Duration::from_millis(300);
const QUIET: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

fn scenario(relays: u16, ipv6: bool, tagged: bool) -> Scenario {
    Scenario {
        name: "test".to_owned(),
        about: String::new(),
        relays,
        outputs: 1,
        links: 1,
        payload: 131,
        ipv6,
        tagged,
        contestants: Vec::new(),
        quick: false,
    }
}

/// The first frames that come to the relay.
fn frames(stage: &Stage, scenario: &Scenario, rate: f64, most: usize) -> Vec<Vec<u8>> {
    let sink = Sink::start_keeping(most, &stage.relay, INPUT_LINK, Vec::new()).unwrap();
    let mut generator = Generator::new(stage, scenario).unwrap();
    // What the generator sent to find out how fast it is.
    assert!(sink.settle(QUIET, LONG));
    let calibrated = sink.stop().unwrap();
    assert_eq!(calibrated.datagrams, 0, "a program drops what is sent for calibration");
    let sink = Sink::start_keeping(most, &stage.relay, INPUT_LINK, Vec::new()).unwrap();
    let made = generator.send(Some(rate), MOMENT).unwrap();
    assert!(sink.settle(QUIET, LONG));
    let report = sink.stop().unwrap();
    assert_eq!((report.datagrams, report.missed), (made.packets, 0));
    assert!(made.packets > 0 && made.packets as f64 <= rate * MOMENT.as_secs_f64() + 1.0, "{made:?}");
    report.frames
}

fn is_right(parsed: &Parsed, scenario: &Scenario, relay: u16) {
    let headers = &parsed.headers;
    assert_eq!(headers.checksum, Checksum::Right);
    assert!(!matches!(&headers.ip, Ip::V4(ip) if ip.checksum != Checksum::Right));
    assert_eq!(headers.destination(), scenario.input(relay));
    assert_eq!(headers.source(), Stage::sender(scenario));
    assert_eq!(Some(headers.destination_mac), Mac::of_group(scenario.input(relay).ip()));
    let tags = if scenario.tagged { vec![Vlan::new(VLAN)] } else { Vec::new() };
    assert_eq!(headers.vlans, tags);
    assert_eq!(parsed.payload.len(), usize::from(scenario.payload));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn every_packet_of_every_stream_is_right() {
    for (relays, ipv6, tagged) in [(1, false, false), (3, true, false), (252, false, true), (251, true, true)] {
        let scenario = scenario(relays, ipv6, tagged);
        let stage = Stage::new(&scenario).unwrap();
        let frames = frames(&stage, &scenario, 5_000.0, 1_000);
        assert!(frames.len() > usize::from(relays), "{} frames", frames.len());
        for (number, frame) in frames.iter().enumerate() {
            let relay = u16::try_from(number % usize::from(relays)).unwrap();
            is_right(&parse(frame).unwrap(), &scenario, relay);
        }
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_gauge_counts_each_packet_once() {
    let scenario = scenario(3, false, false);
    let stage = Stage::new(&scenario).unwrap();
    let gauge = Gauge::new(&stage).unwrap();
    let mut generator = Generator::new(&stage, &scenario).unwrap();
    let programs = Programs { mcr: "none".into(), peer: "none".into() };
    let ceiling = Contestant::named("xdp-redirect").unwrap().start(&programs, &stage, &scenario).unwrap();
    let before = gauge.times().unwrap();
    let made = generator.send(Some(20_000.0), MOMENT).unwrap();
    std::thread::sleep(QUIET);
    let bytes = made.packets * generator.frame_bytes() as u64;
    let expected = Arrived { packets: made.packets, bytes, late: 0, strangers: 0 };
    assert_eq!(gauge.arrived().unwrap(), expected);
    let (latency, jitter) = gauge.times().unwrap().since(&before).unwrap();
    // Nothing crosses two links in no time, and nothing takes a second.
    assert!(latency.p50 > 100.0 && latency.max < 1e9, "{latency:?}");
    assert!(jitter.max > 0.0 && jitter.max <= latency.max, "{jitter:?}");
    (ceiling.end)().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_gauge_notices_what_is_doubled_late_or_strange() {
    let scenario = scenario(2, false, false);
    let stage = Stage::new(&scenario).unwrap();
    let mut frames = frames(&stage, &scenario, 5_000.0, 100);
    let gauge = Gauge::new(&stage).unwrap();
    let out = &stage.outputs[0].0.name;
    let send = |frames: &[Vec<u8>]| {
        let before = gauge.arrived().unwrap();
        let batch: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        send_frames(&stage.relay, out, &batch).unwrap();
        std::thread::sleep(QUIET);
        let Arrived { packets, late, strangers, .. } = gauge.arrived().unwrap().since(before);
        (packets, late, strangers)
    };
    assert_eq!(send(&frames[..60]), (60, 0, 0), "in order");
    assert_eq!(send(&frames[50..60]), (10, 10, 0), "doubled");
    frames.swap(70, 72);
    assert_eq!(send(&frames[60..]), (40, 1, 0), "one stream's packets changed places");
    let at = parse(&frames[0]).unwrap().payload.start;
    frames[0][at + 2] ^= 1;
    assert_eq!(send(&frames[..1]), (0, 0, 1), "not ours");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_ceiling_waits_for_the_queue_that_another_has_just_left() {
    let scenario = scenario(1, false, false);
    let stage = Stage::new(&scenario).unwrap();
    let programs = Programs { mcr: "none".into(), peer: "none".into() };
    for _ in 0..10 {
        let running = Contestant::named("xsk-transmit").unwrap().start(&programs, &stage, &scenario).unwrap();
        (running.end)().unwrap();
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_session_measures_all_that_it_promises() {
    let programs = Programs { mcr: bench::relay::binary(), peer: env!("CARGO_BIN_EXE_peer").into() };
    let named = |name: &str| Contestant::named(name).unwrap();
    let variant = Contestant::variant("short-rings=ring_size = 256; poll = \"wait\"").unwrap();
    let contestants = vec![named("mcr"), variant, named("mmsg"), named("socat")];
    let short = Duration::from_millis(60);
    let lengths = Lengths { overload: short, trial: short, load: 5 * short, idle: short, loads: vec![20, 80] };
    let scenarios = vec![(scenario(2, false, false), contestants)];
    let mut lines = Vec::new();
    let session = Session { scenarios, rounds: 2, lengths, programs };
    let (results, faults) = session.run(&mut |line| lines.push(line.to_owned())).unwrap();
    assert_eq!(faults, Vec::<String>::new(), "{lines:#?}");
    let [mcr, variant, mmsg, socat] = results[0].contestants.as_slice() else { panic!("{results:?}") };
    for contestant in [mcr, variant, mmsg] {
        assert_eq!(contestant.skipped, None);
        let rates = &contestant.rate.as_ref().unwrap().values;
        assert!(rates.len() == 2 && rates.iter().all(|rate| *rate > 0.0), "{contestant:?}");
        assert!(contestant.overload.as_ref().unwrap().low() > 0.0);
        assert_eq!(contestant.loads.iter().map(|load| load.percent).collect::<Vec<_>>(), [20, 80]);
        assert!(contestant.loads.iter().all(|load| load.latency.p50 > 0.0 && load.latency.max >= load.latency.p99));
        assert!(contestant.loads.iter().all(|load| load.core_ns.is_finite() && load.rate > 0.0), "{contestant:?}");
        assert!(contestant.memory_kib.unwrap() > 500 && contestant.idle_percent.is_some());
    }
    assert!(variant.memory_kib < mcr.memory_kib, "shorter rings need fewer frames");
    assert!(socat.skipped.as_ref().unwrap().contains("one relay"), "{socat:?}");
    // One line for each turn; who cannot take part is asked once.
    assert_eq!(lines.len(), 7, "{lines:#?}");
}
