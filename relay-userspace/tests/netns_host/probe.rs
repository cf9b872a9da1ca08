//! `mcr probe` tries a link out, tells what it found, and leaves nothing behind.

use crate::line::{INPUT, Line, ONE, OUTPUT, printed};
use bench::links::ip;
use bench::relay::binary;
use bench::sink::Flow;
use bench::source::{Load, Stream};
use bench::{Ledger, Sink, Source, ledger};
use std::time::Duration;

/// Runs it where it must refuse, and returns what it said.
fn refused(line: &Line, link: &str) -> String {
    let output = line.relay.command(binary()).args(["probe", link]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(output.stdout, b"");
    said
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_veth_is_probed_and_left_as_it_was() {
    let line = Line::shaped(1500, 2);
    let before = ip(&["-n", line.relay.name(), "-d", "link", "show", "in0"]).unwrap();
    let said = printed(line.relay.command(binary()).args(["probe", "in0"]));
    for words in
        ["in0: veth", "2 receive, 2 transmit", "attached native", "queue 0            copy", "sends              yes"]
    {
        assert!(said.contains(words), "no \"{words}\" in\n{said}");
    }
    assert!(said.ends_with("mcr relays here, and the kernel copies each frame.\n"), "{said}");
    let json = printed(line.relay.command(binary()).args(["probe", "--json", "in0"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["xdp"], &json["zero_copy"], &json["sends"]), (&"native".into(), &false.into(), &"yes".into()));
    assert_eq!(json["queues"].as_array().unwrap().len(), 2);
    assert_eq!(ip(&["-n", line.relay.name(), "-d", "link", "show", "in0"]).unwrap(), before);
    assert_eq!(ip(&["netns", "pids", line.relay.name()]).unwrap(), "");
    // Its queues are free again: a relay binds them at once.
    line.start(ONE).stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_in_use_is_left_alone() {
    let line = Line::new();
    let mcr = line.start(ONE);
    let ledger = Ledger::shared("one", 1);
    let sink = Sink::start(&line.receiver, "rx0", vec![Flow::new(OUTPUT.parse().unwrap(), &ledger)]).unwrap();
    let load = Load::new(vec![Stream::new(1, line.headers(INPUT), 1316)]).rate(2_000).packets(4_000);
    let source = Source::start(&line.source, "src0", load).unwrap();
    let input = refused(&line, "in0");
    assert!(input.contains("in0 is in use: mcr runs on it") && input.contains("mcr links in0"), "{input}");
    source.finish().unwrap().enter(std::slice::from_ref(&ledger));
    ledger::wait_for_tail(std::slice::from_ref(&ledger), Duration::from_secs(2));
    sink.stop().unwrap().check().unwrap();
    ledger::lock(&ledger).check(0).unwrap();
    mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_cannot_be_probed_is_named() {
    let line = Line::new();
    assert!(refused(&line, "in9").contains("there is no interface in9; there are "));
    ip(&["-n", line.relay.name(), "link", "set", "in0", "down"]).unwrap();
    assert!(refused(&line, "in0").contains("in0 is down and cannot be probed: ip link set dev in0 up"));
    let output = line
        .relay
        .command("setpriv")
        .args(["--bounding-set=-bpf", "--inh-caps=-bpf"])
        .arg(binary())
        .args(["probe", "in0"])
        .output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("mcr probe needs CAP_BPF"), "{said}");
}
