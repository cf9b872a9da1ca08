//! Relays that name their sources.

use crate::rig::{Rig, SILENCE, with_ipv4};
use bench::source::{Load, Stream};
use bench::{Ledger, UdpListener, payload::Shape};

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_second_sender_is_counted_and_left_to_the_kernel() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "232.1.1.1", port = 5000, sources = ["10.1.0.1"] }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001, source = "keep" }]

        [[relay]]
        name = "two"
        input = { interface = "in0", group = "232.1.1.2", port = 5000, sources = ["10.1.0.1", "10.1.0.7"] }
        outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001, source = "keep" }]
        "#,
    );
    let flows = vec![
        show.expect(1, 0, "239.2.1.1:5001").source("10.1.0.1".parse().unwrap()),
        show.expect(2, 0, "239.2.1.2:5001").source("10.1.0.7".parse().unwrap()),
    ];
    show.listen(0, flows);
    // On the relay's own host, a program that wants any source hears the one that the relay does not want.
    let stranger = Ledger::shared("stream 3 in the kernel", 3);
    let listener = UdpListener::start(&rig.relay, "in0", "232.1.1.1:5000".parse().unwrap()).unwrap();

    let stream = |id, group: &str, source: &str| {
        let headers = with_ipv4(rig.headers(group), |ip| ip.source = source.parse().unwrap());
        Stream::new(id, headers, 1316)
    };
    let load = Load::new(vec![
        stream(1, "232.1.1.1:5000", "10.1.0.1"),
        stream(2, "232.1.1.2:5000", "10.1.0.7"),
        stream(3, "232.1.1.1:5000", "10.1.0.66"),
    ]);
    let sent = show.send(load.rate(4_000).packets(4_000));
    sent.enter(std::slice::from_ref(&stranger));
    listener.drain(&stranger, Shape::Plain, SILENCE).unwrap();
    bench::ledger::lock(&stranger).check(0).unwrap();
    let report = show.balance(&[sent]);
    assert_eq!((report.verdict("ours"), report.verdict("wrong_source")), (8_000, 4_000));
    assert_eq!((report.received("one"), report.received("two")), (4_000, 4_000));
}
