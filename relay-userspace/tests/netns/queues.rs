//! Several queues, several lanes: each queue has its lane, and each lane its own transmit queue.

use crate::rig::{Rig, Shape};
use bench::links::{received_per_queue, steer};
use bench::relay::Report;

const CONFIG: &str = r#"
    [lanes]
    cores = [0, 1]

    [[relay]]
    name = "first"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]

    [[relay]]
    name = "second"
    input = { interface = "in0", group = "239.1.1.2", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001 }]
"#;

/// A counter of one lane.
fn of_lane(report: &Report, lane: usize, counter: &str) -> u64 {
    report.0["lanes"][lane]["counters"][counter].as_u64().unwrap()
}

fn two_queues() -> Rig {
    Rig::shaped(Shape { outputs: 1, queues: 2, output_mtu: 1500, output_mac: None })
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn each_queue_is_served_by_its_lane() {
    let rig = two_queues();
    let mut show = rig.start(CONFIG);
    let flows = vec![show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows);

    // Both relays on both lanes: a stream that changes its queue keeps its order when the first lane is done with it.
    let both = ["239.1.1.1:5000", "239.1.1.2:5000"];
    steer(&rig.source, "src0", 0, 2).unwrap();
    let first = show.send(rig.streams(&both[..1]).rate(8_000).packets(4_000));
    steer(&rig.source, "src0", 1, 2).unwrap();
    let headers = rig.headers(both[1]);
    let load = bench::source::Load::new(vec![bench::source::Stream::new(2, headers, 1316)]);
    let second = show.send(load.rate(8_000).packets(6_000));
    assert_eq!(received_per_queue(&rig.relay, "in0").unwrap().len(), 2, "in0 has two queues");
    let report = show.balance(&[first, second]);

    assert_eq!((of_lane(&report, 0, "received"), of_lane(&report, 1, "received")), (4_000, 6_000));
    assert_eq!((of_lane(&report, 0, "transmitted"), of_lane(&report, 1, "transmitted")), (4_000, 6_000));
    assert_eq!((report.received("first"), report.received("second")), (4_000, 6_000));
    assert_eq!(report.verdict("no_socket"), 0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn two_lanes_relay_at_the_same_time() {
    let rig = two_queues();
    let mut show = rig.start(CONFIG);
    let flows = vec![show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows);
    // Around the queueing layer a frame takes the queue of the CPU that sends it.
    let load = |id, to: &str, core| {
        let stream = bench::source::Stream::new(id, rig.headers(to), 1316);
        bench::source::Load::new(vec![stream]).rate(5_000).packets(5_000).around_qdisc().on_core(core)
    };
    let (first, second) = (show.source(load(1, "239.1.1.1:5000", 0)), show.source(load(2, "239.1.1.2:5000", 1)));
    let sent = [first.finish().unwrap(), second.finish().unwrap()];
    let report = show.balance(&sent);
    assert_eq!((of_lane(&report, 0, "received"), of_lane(&report, 1, "received")), (5_000, 5_000));
}
