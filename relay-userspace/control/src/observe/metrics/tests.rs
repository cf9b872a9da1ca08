//! What `/metrics` says, judged by promtool where it is and by the formats' own rules everywhere.

use super::scrape::{Scrape, SocketRow, links};
use super::{Format, Sources, Type, chosen, families, write};
use crate::certificate::Certificate;
use crate::desk::Desk;
use crate::events::{Event, Kind};
use crate::observe::Requests;
use crate::observe::fixtures::{NOW, Node};
use relay_common::counters::LaneCounter;
use relay_common::decide::Verdict;
use relay_common::drops::Drop;
use relay_common::facts::LinkCounts;
use relay_config::Tls;
use relay_engine::xsk::levels::Levels;
use relay_engine::xsk::options::Statistics;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

fn sources() -> Sources {
    let requests = Arc::new(Requests::default());
    requests.count("GET", 200);
    Sources { verdicts: Arc::new(|| Verdict::ALL.iter().map(|verdict| (*verdict, 7)).collect()), requests }
}

/// A node on which each counter of lane 1 has a number of its own, and one relay has a name that must be escaped.
fn desk() -> Desk {
    let node = Node::new(&["one", "two"]);
    let lane = node.lane(1);
    for (n, counter) in (1000..).zip(LaneCounter::ALL) {
        lane.add(*counter, n);
    }
    lane.received(0, 100, NOW - 250_000_000);
    lane.relay_dropped(0, Drop::NoChecksum);
    lane.dropped(Drop::Malformed);
    let counter = node.view.table.relays[0].as_ref().unwrap().outputs[1].counter;
    lane.sent(counter, 60);
    lane.output_dropped(counter, Drop::Pending);
    for ns in [1, 700, 1500, 1_000_000, u64::MAX] {
        lane.latency(ns);
    }
    let mut node = node;
    let name = "a \"b\" \\ c\nd".to_owned();
    let before = std::mem::replace(&mut node.relay(1).relay.name, name.clone());
    let pending = Arc::make_mut(&mut node.view.pending).iter_mut().filter(|pending| pending.relay == before);
    pending.for_each(|pending| pending.relay.clone_from(&name));
    let desk = node.desk();
    desk.events.record(Event::new(Kind::NodeReady, "ready"));
    desk.http.certificate.store(Some(Arc::new(certificate())));
    desk.pulse.applied.record(7_000_000);
    desk
}

fn socket() -> SocketRow {
    SocketRow {
        labels: "lane=\"0\",link=\"in0\",queue=\"0\"".to_owned(),
        zero_copy: true,
        statistics: Statistics {
            rx_dropped: 21,
            rx_invalid: 22,
            tx_invalid: 23,
            rx_ring_full: 24,
            fill_ring_empty: 25,
            tx_ring_empty: 26,
        },
        levels: Levels { fill: 31, rx: Some(32), tx: None, completion: 33 },
    }
}

fn text(format: Format) -> String {
    text_of(&[], format)
}

/// What is said of the families that these words mean.
fn text_of(words: &[&str], format: Format) -> String {
    text_from(&desk(), words, format)
}

fn text_from(desk: &Desk, words: &[&str], format: Format) -> String {
    let (view, sources) = (desk.view(), sources());
    let mut scrape = Scrape::new(desk, &view, &sources, NOW);
    scrape.sockets = LazyCell::new(Box::new(|| vec![socket()]));
    scrape.links = LazyCell::new(Box::new(|| {
        let mut rows = links(&view);
        let input = rows.iter_mut().find(|row| row.name == "in0").unwrap();
        let counts = LinkCounts { rx_packets: 40, rx_errors: 41, rx_dropped: 42, tx_errors: 43, tx_dropped: 44 };
        input.counts = Some(counts);
        rows
    }));
    let mut text = Vec::new();
    scrape.write(&chosen(words).unwrap(), format, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// A certificate of its own issuer.
fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["pem", "key"].map(|ending| {
        std::env::temp_dir().join(format!(
            "mcr-metrics-{}-{:?}.{ending}",
            std::process::id(),
            std::thread::current().id()
        ))
    });
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = Tls { certificate, key };
    let read = Certificate::open(&files).unwrap();
    let _ = (std::fs::remove_file(&files.certificate), std::fs::remove_file(&files.key));
    read
}

/// Every sample by its name and labels.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(samples.insert(series, value.parse().unwrap()).is_none(), "twice: {series}");
    }
    samples
}

#[test]
fn labels_of_people_are_told_once_of_each_relay() {
    let mut node = Node::new(&["one", "two"]);
    let relay = &mut Arc::make_mut(&mut node.view.table).relays[1].as_mut().unwrap().relay;
    relay.labels = [("group", "news"), ("relay", "x")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let text = text_from(&node.desk(), &[], Format::Text);
    let told: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && line.contains("label_group")).collect();
    let wanted = "mcr_relay_info{relay=\"two\",input=\"in0/239.1.0.2:5000\",origin=\"api\",label_group=\"news\",label_relay=\"x\"} 1";
    assert_eq!(told, [wanted]);
}

#[test]
fn every_number_is_found_in_its_place() {
    let text = text(Format::Text);
    let samples = samples(&text);
    for (series, value) in [
        ("mcr_relay_packets_total{relay=\"one\"}", 1.0),
        ("mcr_relay_bytes_total{relay=\"one\"}", 100.0),
        ("mcr_relay_drops_total{relay=\"one\",reason=\"no_checksum\"}", 1.0),
        ("mcr_relay_drops_total{relay=\"one\",reason=\"no_output\"}", 0.0),
        ("mcr_relay_last_packet_age_seconds{relay=\"one\"}", 0.25),
        ("mcr_relay_state{relay=\"one\",state=\"running\"}", 1.0),
        ("mcr_relay_packets_total{relay=\"a \\\"b\\\" \\\\ c\\nd\"}", 0.0),
        ("mcr_relay_info{relay=\"one\",input=\"in0/239.1.0.1:5000\",origin=\"api\"}", 1.0),
        ("mcr_output_packets_total{relay=\"one\",output=\"1\",to=\"gone0/239.3.0.1:5002\"}", 1.0),
        ("mcr_output_drops_total{relay=\"one\",output=\"1\",to=\"gone0/239.3.0.1:5002\",reason=\"pending\"}", 1.0),
        ("mcr_output_pending{relay=\"one\",output=\"1\",to=\"gone0/239.3.0.1:5002\"}", 1.0),
        ("mcr_lane_heartbeat_age_seconds{lane=\"1\"}", 0.05),
        ("mcr_lane_frames{lane=\"0\",owner=\"free\"}", 1024.0),
        ("mcr_lane_drops_total{lane=\"1\",reason=\"malformed\"}", 1.0),
        ("mcr_lane_latency_seconds_bucket{lane=\"1\",le=\"0.000000512\"}", 1.0),
        ("mcr_lane_latency_seconds_bucket{lane=\"1\",le=\"0.000001024\"}", 2.0),
        ("mcr_lane_latency_seconds_bucket{lane=\"1\",le=\"0.001048576\"}", 4.0),
        ("mcr_lane_latency_seconds_bucket{lane=\"1\",le=\"+Inf\"}", 5.0),
        ("mcr_lane_latency_seconds_count{lane=\"1\"}", 5.0),
        ("mcr_socket_rx_ring_full_packets_total{lane=\"0\",link=\"in0\",queue=\"0\"}", 24.0),
        ("mcr_socket_ring_entries{lane=\"0\",link=\"in0\",queue=\"0\",ring=\"rx\"}", 32.0),
        ("mcr_link_up{link=\"in0\"}", 1.0),
        ("mcr_link_up{link=\"gone0\"}", 0.0),
        ("mcr_link_dropped_packets_total{link=\"in0\",direction=\"in\"}", 42.0),
        ("mcr_link_dropped_packets_total{link=\"in0\",direction=\"out\"}", 44.0),
        ("mcr_link_errors_total{link=\"in0\",direction=\"in\"}", 41.0),
        ("mcr_link_errors_total{link=\"in0\",direction=\"out\"}", 43.0),
        ("mcr_xdp_frames_total{verdict=\"no_socket\"}", 7.0),
        ("mcr_health_check{check=\"lanes\",verdict=\"fault\"}", 1.0),
        ("mcr_health_check{check=\"pending\",verdict=\"partial\"}", 0.0),
        ("mcr_health_check{check=\"role\",verdict=\"\"}", 1.0),
        ("mcr_health_verdict{verdict=\"fault\"}", 0.0),
        ("mcr_health_verdict{verdict=\"partial\"}", 1.0),
        ("mcr_working_ratio{of=\"relays\"}", 0.5),
        ("mcr_healthy", 1.0),
        ("mcr_ready", 0.0),
        ("mcr_pending_parts{reason=\"link_missing\"}", 2.0),
        ("mcr_pending_parts{reason=\"unusable\"}", 0.0),
        ("mcr_relays{state=\"silent\"}", 1.0),
        ("mcr_config_generation", 1.0),
        ("mcr_config_reads_total", 3.0),
        ("mcr_events_total{event=\"node.ready\"}", 1.0),
        ("mcr_http_requests_total{method=\"GET\",class=\"2xx\"}", 1.0),
        ("mcr_uptime_seconds", 90.0),
        ("mcr_config_apply_duration_seconds_bucket{le=\"0.008388608\"}", 1.0),
        ("mcr_config_apply_duration_seconds_sum", 0.007),
        ("mcr_config_apply_duration_seconds_count", 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}\n{text}");
    }
}

#[test]
fn no_counter_of_lane_or_socket_is_forgotten() {
    let text = text(Format::Text);
    let values: BTreeSet<u64> = samples(&text).values().map(|value| value.to_bits()).collect();
    let has = |n: u32| values.contains(&f64::from(n).to_bits());
    for (n, counter) in (1000..).zip(LaneCounter::ALL) {
        // The first two are set to what makes the node well, the others are shown in seconds.
        let is_set = matches!(
            counter,
            LaneCounter::Heartbeat | LaneCounter::Generation | LaneCounter::Started | LaneCounter::BusyNs
        );
        assert!(is_set || has(n), "{} is in no family", counter.name());
    }
    assert!((21..=26).chain(31..=33).all(has), "a number of the sockets is in no family");
}

#[test]
fn every_family_keeps_to_its_labels_and_conventions() {
    let text = text(Format::Text);
    let mut names = BTreeSet::new();
    for family in families() {
        let name = family.full_name();
        assert!(names.insert(name.clone()), "{name} is there twice");
        assert!(["mcr_", "process_"].iter().any(|begin| name.starts_with(begin)), "{name}");
        assert!(family.help.ends_with('.'), "{name}");
        let samples = text.lines().filter(|line| {
            let of = line.split(['{', ' ']).next().unwrap();
            of == name || (family.kind == Type::Histogram && of.strip_prefix(&name).is_some())
        });
        let mut n = 0;
        for line in samples {
            n += 1;
            let is_always = |label: &&&str| !label.ends_with('*');
            let mut expected: Vec<&str> = family.labels.iter().filter(is_always).copied().collect();
            if line.contains("_bucket{") {
                expected.push("le");
            }
            let found: Vec<&str> =
                line.match_indices("=\"").filter_map(|(at, _)| line[..at].rsplit(['{', ',']).next()).collect();
            assert_eq!(found, expected, "{line}");
        }
        assert!(n > 0, "{name} has no sample");
    }
}

#[test]
fn open_metrics_has_its_shape() {
    let text = text(Format::OpenMetrics);
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    let mut family: Option<(&str, &str)> = None;
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().unwrap();
            assert!(seen.insert(name), "{name} begins twice");
            assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{name}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split_once(' ');
        } else {
            let (name, kind) = family.unwrap();
            let endings: &[&str] = match kind {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_count", "_sum"],
                other => panic!("unknown type {other}"),
            };
            let of = line.split(['{', ' ']).next().unwrap();
            assert!(endings.iter().any(|ending| of.strip_prefix(name) == Some(ending)), "{line} in {name}, a {kind}");
        }
    }
    assert_eq!(seen.len(), families().count());
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = child else {
        eprintln!("not judged by promtool, which is not here: apt-get install prometheus");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text(Format::Text).as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn a_node_without_anything_has_metrics_too() {
    let desk = Node::new(&[]).desk();
    let none = Sources { verdicts: Arc::new(Vec::new), requests: Arc::default() };
    let mut text = Vec::new();
    write(&desk, &none, &chosen(&[]).unwrap(), Format::Text, NOW, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(samples(&text)["mcr_ready"], 1.0);
    assert!(!text.contains("EOF"));
}

#[test]
fn families_are_chosen_by_name_and_pattern() {
    let names = |words: &[&str]| chosen(words).unwrap().iter().map(|family| family.full_name()).collect::<Vec<_>>();
    assert_eq!(names(&[]).len(), families().count());
    assert_eq!(names(&["mcr_ready", "mcr_healthy"]), ["mcr_healthy", "mcr_ready"], "in their order, each once");
    assert_eq!(
        names(&["mcr_events", "mcr_events_total", "mcr_events*"]),
        ["mcr_events_total", "mcr_events_held_back_total"]
    );
    assert_eq!(names(&["process_*"]).len(), 6);
    for words in [&["mcr_read"][..], &["mcr_ready", ""], &["*_no_such"]] {
        assert!(chosen(words).is_err(), "{words:?}");
    }
    let text = text_of(&["mcr_link_*", "mcr_ready"], Format::OpenMetrics);
    let begun: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(begun, ["mcr_link_up", "mcr_link_dropped_packets", "mcr_link_errors", "mcr_ready"]);
    assert!(text.ends_with("# EOF\n") && text.contains("mcr_link_up{link=\"in0\"} 1\n"));
}

/// `cargo test --release -p relay-userspace -- --ignored --nocapture the_time_of_a_scrape` prints it.
#[test]
#[ignore = "prints times: run it in release mode"]
fn the_time_of_a_scrape() {
    for n in [1000, 4096] {
        let names: Vec<String> = (0..n).map(|n| format!("channel-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (desk, sources) = (Node::new(&names).desk(), sources());
        let (mut best, mut len) = (u64::MAX, 0);
        for _ in 0..10 {
            let from = relay_engine::clock::now_ns();
            let mut text = Vec::new();
            write(&desk, &sources, &chosen(&[]).unwrap(), Format::Text, NOW, &mut text).unwrap();
            len = text.len();
            best = best.min(relay_engine::clock::now_ns() - from);
        }
        println!("{n} relays with two outputs: {:.2} ms, {} KiB", best as f64 / 1e6, len >> 10);
    }
}
