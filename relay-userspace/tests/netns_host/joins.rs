//! Groups are joined while mcr runs, whatever becomes of the link, and left when it ends.

use crate::groups::{Groups, joined};
use crate::line::{INPUT, Line, ONE, OUTPUT};
use crate::query::{Record, Router, igmp_query, record};
use bench::links::ip;
use bench::sink::Flow;
use bench::source::{Load, Stream, send_frames};
use bench::{Ledger, Sink, Source, UdpListener, ledger};
use std::net::IpAddr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A relay with this input; all send to the same place.
fn relay(name: &str, input: &str) -> String {
    let output = if input.contains("ff3e") { "ff3e::8000:ffff" } else { "239.255.0.1" };
    format!(
        "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", {input} }}\n\
         outputs = [{{ interface = \"out0\", group = \"{output}\", port = 9 }}]\n"
    )
}

/// The kernel's own limits: the laboratory raises one of them.
fn default_limits(line: &Line) {
    line.relay.sysctl("net/ipv4/igmp_max_memberships", "20").unwrap();
    line.relay.sysctl("net/ipv4/igmp_max_msf", "10").unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn any_source_and_named_sources_are_asked_for() {
    let line = Line::new();
    default_limits(&line);
    let sources = |range: std::ops::Range<u8>| range.map(|n| format!("\"10.9.0.{n}\"")).collect::<Vec<_>>().join(", ");
    let config = [
        relay("any", r#"group = "239.1.1.1", port = 5000"#),
        // Three relays share a group, the last in order: see `joined`. They name 24 sources, and the kernel takes 10 on
        // a socket.
        relay("named-1", &format!(r#"group = "239.232.1.1", port = 1, sources = [{}]"#, sources(1..9))),
        relay("named-2", &format!(r#"group = "239.232.1.1", port = 2, sources = [{}]"#, sources(9..17))),
        relay("named-3", &format!(r#"group = "239.232.1.1", port = 3, sources = [{}]"#, sources(17..25))),
        // One that takes any source wins over one that names some.
        relay("both-1", r#"group = "239.1.1.2", port = 1, sources = ["10.9.0.1"]"#),
        relay("both-2", r#"group = "239.1.1.2", port = 2"#),
        relay("any6", r#"group = "ff3e::8000:1", port = 5000"#),
        relay("named6", r#"group = "ff3e::8000:2", port = 5000, sources = ["fd00:9::1", "fd00:9::2"]"#),
        relay("off", r#"group = "239.1.1.3", port = 5000"#).replace("input =", "enabled = false\ninput ="),
        relay("unicast", r#"address = "10.1.0.2", port = 5000"#),
    ];
    let mcr = line.start(&config.concat());
    let expected: Groups = [
        (address("239.1.1.1"), [].into()),
        (address("239.232.1.1"), (1..25).map(|n| IpAddr::from([10, 9, 0, n])).collect()),
        (address("239.1.1.2"), [].into()),
        (address("ff3e::8000:1"), [].into()),
        (address("ff3e::8000:2"), [address("fd00:9::1"), address("fd00:9::2")].into()),
    ]
    .into();
    assert_eq!(joined(&line.relay, "in0"), expected);
    assert_eq!(joined(&line.relay, "out0"), Groups::new(), "outputs join nothing");
    mcr.stop().unwrap();
    assert_eq!(joined(&line.relay, "in0"), Groups::new(), "after the end");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn three_hundred_groups_fit_the_kernels_default_limits() {
    let line = Line::new();
    default_limits(&line);
    let config = [
        relay("tv", r#"group = "239.7.0.0-239.7.1.43", port = 5000"#),
        relay("six", r#"group = "ff3e::7:0-ff3e::7:12b", port = 5000"#),
    ];
    let mcr = line.start(&config.concat());
    let v4 = (0..300_u16).map(|n| IpAddr::from([239, 7, n.to_be_bytes()[0], n.to_be_bytes()[1]]));
    let v6 = (0..300).map(|n| IpAddr::from([0xff3e, 0, 0, 0, 0, 0, 7, n]));
    let expected: Groups = v4.chain(v6).map(|group| (group, [].into())).collect();
    assert_eq!(joined(&line.relay, "in0"), expected);
    mcr.stop().unwrap();
    assert_eq!(joined(&line.relay, "in0"), Groups::new(), "after the end");
}

/// Sends part of a stream and has it arrive whole.
fn stream_passes(line: &Line, when: &str) {
    let ledger = Ledger::shared(when, 1);
    let sink = Sink::start(&line.receiver, "rx0", vec![Flow::new(OUTPUT.parse().unwrap(), &ledger)]).unwrap();
    let load = Load::new(vec![Stream::new(1, line.headers(INPUT), 1316)]).rate(5_000).packets(2_500);
    let sent = Source::start(&line.source, "src0", load).unwrap().finish().unwrap();
    sent.enter(std::slice::from_ref(&ledger));
    ledger::wait_for_tail(std::slice::from_ref(&ledger), Duration::from_secs(2));
    sink.stop().unwrap().check().unwrap();
    ledger::lock(&ledger).check(0).unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn groups_and_relaying_outlast_a_link_that_goes_down() {
    let line = Line::new();
    let config = [
        ONE.to_owned(),
        relay("named", r#"group = "239.232.1.1", port = 1, sources = ["10.9.0.1"]"#),
        relay("six", r#"group = "ff3e::8000:1", port = 5000"#),
    ];
    let mcr = line.start(&config.concat());
    let groups = || joined(&line.relay, "in0").into_keys().collect::<Vec<_>>();
    let before = groups();
    assert_eq!(before.len(), 3, "{before:?}");
    stream_passes(&line, "before");
    // The carrier goes with the other end; then the relay's own end is taken down.
    for (namespace, link, text) in [(&line.source, "src0", "has no carrier"), (&line.relay, "in0", "is down")] {
        let mark = mcr.process.mark();
        ip(&["-n", namespace.name(), "link", "set", link, "down"]).unwrap();
        let told = mcr.process.wait_for_after(mark, text, SOON).unwrap();
        assert!(told.contains("in0") && told.contains("pending"), "{told}");
        assert_eq!(groups(), before, "while {link} is down");
        let mark = mcr.process.mark();
        ip(&["-n", namespace.name(), "link", "set", link, "up"]).unwrap();
        mcr.process.wait_for_after(mark, "no longer pending", SOON).unwrap();
        assert_eq!(groups(), before, "after {link} came back");
        stream_passes(&line, link);
    }
    // What the kernel asks the network for in the end.
    let mut router = Router::listen(&line.source, "src0");
    send_frames(&line.source, "src0", &[igmp_query("10.1.0.1".parse().unwrap(), line.src0.mac)]).unwrap();
    let named = router
        .hears("239.232.1.1", |record| record.kind == record::IS_INCLUDE && record.group == address("239.232.1.1"));
    assert_eq!(named.sources, [address("10.9.0.1")]);
    let report = mcr.stop().unwrap();
    assert_eq!(report.received("one"), 7_500);
    assert_eq!(report.restarts(), 0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_clean_stop_leaves_every_group_on_the_wire() {
    let line = Line::new();
    let config = [
        ONE.to_owned(),
        relay("named", r#"group = "239.232.1.1", port = 1, sources = ["10.9.0.1"]"#),
        relay("six", r#"group = "ff3e::8000:1", port = 5000"#),
        relay("kept", r#"group = "239.1.1.7", port = 5000"#),
    ];
    let mcr = line.start(&config.concat());
    // A decoder on the same host wants one of the groups too.
    let _decoder = UdpListener::start(&line.relay, "in0", "239.1.1.7:6000".parse().unwrap()).unwrap();
    let mut router = Router::listen(&line.source, "src0");
    mcr.stop().unwrap();
    let no_source = |kind: u8, group: &str| {
        let group = address(group);
        move |record: &Record| record.kind == kind && record.group == group && record.sources.is_empty()
    };
    router.hears("a leave of 239.1.1.1", no_source(record::TO_INCLUDE, "239.1.1.1"));
    router.hears("a leave of ff3e::8000:1", no_source(record::TO_INCLUDE, "ff3e::8000:1"));
    let blocked = router.hears("a leave of 239.232.1.1", |record| record.kind == record::BLOCK_SOURCES);
    assert_eq!((blocked.group, blocked.sources), (address("239.232.1.1"), vec![address("10.9.0.1")]));
    let rest: Groups = [(address("239.1.1.7"), [].into())].into();
    assert_eq!(joined(&line.relay, "in0"), rest, "the decoder's group stays");
}
