//! The smallest relay: one stream in, one out.

use bench::links::{End, Veth};
use bench::packet::{Headers, Mac};
use bench::source::{Load, Stream};
use bench::{Ledger, Namespace, Relay, Sink, Source, ledger, sink::Flow};
use std::time::Duration;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn one_stream_comes_out_once_and_whole() {
    let (source, relay, receiver) =
        (Namespace::new("mcr-one").unwrap(), Namespace::new("mcr-one").unwrap(), Namespace::new("mcr-one").unwrap());
    let near = End::new(&source, "src0").address("10.1.0.1/24");
    let (from, _) = Veth::new(near, End::new(&relay, "in0").address("10.1.0.2/24")).create().unwrap();
    let out = End::new(&relay, "out0").address("10.2.0.1/24");
    let (out, _) = Veth::new(out, End::new(&receiver, "rx0").address("10.2.0.9/24")).create().unwrap();
    let mcr = Relay::start(
        &relay,
        r#"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001, ttl = 7, dscp = 34 }]
        "#,
    )
    .unwrap();
    let ledger = Ledger::shared("one", 1);
    let flow = Flow::new("239.2.1.1:5001".parse().unwrap(), &ledger)
        .source("10.2.0.1".parse().unwrap())
        .source_port(4000)
        .source_mac(out.mac)
        .destination_mac(Mac::of_group("239.2.1.1".parse().unwrap()).unwrap())
        .hops(7)
        .dscp(34);
    let sink = Sink::start(&receiver, "rx0", vec![flow]).unwrap();
    let headers = Headers::new("10.1.0.1:4000".parse().unwrap(), "239.1.1.1:5000".parse().unwrap()).from_mac(from.mac);
    let load = Load::new(vec![Stream::new(1, headers, 1316)]).rate(20_000).packets(20_000);
    let sent = Source::start(&source, "src0", load).unwrap().finish().unwrap();
    sent.enter(std::slice::from_ref(&ledger));
    ledger::wait_for_tail(std::slice::from_ref(&ledger), Duration::from_secs(2));
    sink.stop().unwrap().check().unwrap();
    let report = mcr.stop().unwrap();
    ledger::lock(&ledger).check(report.lost_around_lanes()).unwrap();
    assert_eq!(report.received("one"), 20_000);
    assert_eq!(report.sent("one", 0) - report.lanes("kick_busy"), ledger::lock(&ledger).received());
}
