//! A host with our program on its link goes on as before: what is not a relay's reaches its own sockets.

use crate::line::{INPUT, Line, ONE, OUTPUT, printed};
use crate::query::{Router, igmp_query, mld_query, record};
use bench::links::ip;
use bench::packet::Headers;
use bench::sink::Flow;
use bench::source::{Load, Stream, send_frames};
use bench::{Ledger, Sink, Source, UdpListener, ledger};
use std::net::SocketAddr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

/// The simplest relay for each family.
fn both_families() -> String {
    let v6 =
        ONE.replace("\"one\"", "\"six\"").replace("239.1.1.1", "ff3e::8000:1").replace("239.2.1.1", "ff3e::8000:2");
    format!("{ONE}{v6}")
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn ping_arp_and_neighbour_discovery_work_both_ways() {
    let line = Line::new();
    let mcr = line.start(&both_families());
    for (from, link, to) in [
        (&line.source, "src0", "10.1.0.2"),
        (&line.source, "src0", "fd00:1::2"),
        (&line.relay, "in0", "10.1.0.1"),
        (&line.relay, "in0", "fd00:1::1"),
        (&line.receiver, "rx0", "10.2.0.1"),
        (&line.receiver, "rx0", "fd00:2::1"),
    ] {
        ip(&["-n", from.name(), "neighbour", "flush", "dev", link]).unwrap();
        let text = printed(from.command("ping").args(["-c", "3", "-i", "0.01", "-W", "5", to]));
        assert!(text.contains(" 0% packet loss"), "{text}");
        let neighbours = ip(&["-n", from.name(), "neighbour", "show", "dev", link, to]).unwrap();
        assert!(neighbours.contains("lladdr"), "{neighbours}");
    }
    let report = mcr.stop().unwrap();
    assert!(report.verdict("not_udp") >= 12 + 4, "echoes and neighbour discovery: {:?}", report.0["verdicts"]);
    assert_eq!(report.verdict("not_ours"), 0, "{:?}", report.0["verdicts"]);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_hosts_own_sockets_hear_everything_but_the_relays_stream() {
    let line = Line::new();
    let mcr = line.start(&both_families());
    let others = [
        "10.1.0.2:6000", // the host itself
        "10.1.0.2:5000", // the host itself, at the relay's port
        "[fd00:1::2]:5000",
        "239.9.9.9:5000",   // another group at the same port
        "239.129.1.1:5000", // a group with the same MAC
        "239.1.1.1:5002",   // another port of the same group
        "224.0.0.251:5353", // of link-local scope
        "[ff3e::8000:9]:5000",
        "[ff3e::8000:1]:5002",
        "[ff05::fb]:5353",
    ];
    let listener = |to: &str| {
        let destination: SocketAddr = to.parse().unwrap();
        UdpListener::start(&line.relay, "in0", destination).unwrap()
    };
    let listeners: Vec<_> = others.iter().map(|to| (to, listener(to))).collect();
    let ours = ["239.1.1.1:5000", "[ff3e::8000:1]:5000"].map(|to| (to, listener(to)));
    for round in 0..20 {
        let frames = |to: &str| line.frame(to, format!("{to} {round}").as_bytes());
        let all = others.iter().chain(ours.iter().map(|(to, _)| to));
        send_frames(&line.source, "src0", &all.map(|to| frames(to)).collect::<Vec<_>>()).unwrap();
    }
    for (to, listener) in &listeners {
        for round in 0..20 {
            let (datagram, _) = listener.receive(SOON).unwrap().unwrap_or_else(|| panic!("{to}: only {round} came"));
            assert_eq!(String::from_utf8_lossy(&datagram), format!("{to} {round}"));
        }
    }
    for (to, listener) in &ours {
        let stolen = listener.receive(Duration::from_millis(50)).unwrap();
        assert!(stolen.is_none(), "{to} is the relay's, and the host heard it too");
    }
    let report = mcr.stop().unwrap();
    assert_eq!((report.received("one"), report.received("six")), (20, 20));
    assert_eq!(report.verdict("ours"), 40);
    assert_eq!(report.verdict("not_ours"), 20 * others.len() as u64);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_kernel_answers_queries_for_the_joined_groups() {
    let line = Line::new();
    let mut config = both_families();
    config += &ONE
        .replace("\"one\"", "\"ssm\"")
        .replace("239.1.1.1", "232.1.1.1")
        .replace("port = 5000", "sources = [\"10.9.0.1\"], port = 5000");
    let mcr = line.start(&config);
    let mut router = Router::listen(&line.source, "src0");
    let link_local = "fe80::1".parse().unwrap();
    let queries = [igmp_query("10.1.0.1".parse().unwrap(), line.src0.mac), mld_query(link_local, line.src0.mac)];
    send_frames(&line.source, "src0", &queries).unwrap();
    // What the kernel reports unasked after a join are changes; these kinds are answers.
    for group in ["239.1.1.1", "ff3e::8000:1"] {
        let answer = router.hears(group, |record| {
            record.group == group.parse::<std::net::IpAddr>().unwrap() && record.kind == record::IS_EXCLUDE
        });
        assert!(answer.sources.is_empty(), "{answer:?}");
    }
    let group: std::net::IpAddr = "232.1.1.1".parse().unwrap();
    let answer = router.hears("232.1.1.1", |record| record.group == group && record.kind == record::IS_INCLUDE);
    assert_eq!(answer.sources, ["10.9.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert!(mcr.stop().unwrap().verdict("not_udp") >= 2);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn both_links_can_be_input_and_output_at_once() {
    let line = Line::shaped(1500, 2);
    let back = r#"
        [[relay]]
        name = "back"
        input = { interface = "out0", group = "239.3.1.1", port = 5000 }
        outputs = [{ interface = "in0", group = "239.4.1.1", port = 5001 }]
    "#;
    let mcr = line.start(&format!("[lanes]\ncores = [0, 1]\n{ONE}{back}"));
    let ledgers = [Ledger::shared("there", 1), Ledger::shared("back", 2)];
    let flow = |to: &str, ledger| Flow::new(to.parse().unwrap(), ledger);
    let there = Sink::start(&line.receiver, "rx0", vec![flow(OUTPUT, &ledgers[0])]).unwrap();
    let back = Sink::start(&line.source, "src0", vec![flow("239.4.1.1:5001", &ledgers[1])]).unwrap();
    let load = |stream| Load::new(vec![stream]).rate(5_000).packets(5_000);
    let answers = Headers::new("10.2.0.9:4000".parse().unwrap(), "239.3.1.1:5000".parse().unwrap());
    let sources = [
        Source::start(&line.source, "src0", load(Stream::new(1, line.headers(INPUT), 1316))).unwrap(),
        Source::start(&line.receiver, "rx0", load(Stream::new(2, answers, 1316))).unwrap(),
    ];
    for (source, ledger) in sources.into_iter().zip(&ledgers) {
        source.finish().unwrap().enter(std::slice::from_ref(ledger));
    }
    ledger::wait_for_tail(&ledgers, Duration::from_secs(2));
    for sink in [there, back] {
        sink.stop().unwrap().check().unwrap();
    }
    mcr.stop().unwrap();
    for ledger in &ledgers {
        ledger::lock(ledger).check(0).unwrap();
    }
}
