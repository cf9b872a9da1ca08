//! Several queues, several lanes: each queue has its lane, and each lane its own transmit queue.

use crate::rig::{Rig, Shape};
use bench::links::{received_per_queue, steer};
use bench::relay::Report;
use bench::source::{Load, Stream};
use bench::sys::traced::Traced;

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
    Rig::shaped(Shape { outputs: 1, queues: 2, output_queues: 2, output_mtu: 1500, output_mac: None })
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn each_queue_is_served_by_its_lane() {
    let rig = two_queues();
    let mut show = rig.start(CONFIG);
    let flows = vec![show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows);

    let load = |id, to: &str| Load::new(vec![Stream::new(id, rig.headers(to), 1316)]).rate(8_000);
    steer(&rig.source, "src0", 0, 2).unwrap();
    let first = show.send(load(1, "239.1.1.1:5000").packets(4_000));
    steer(&rig.source, "src0", 1, 2).unwrap();
    let second = show.send(load(2, "239.1.1.2:5000").packets(6_000));
    let per_queue = received_per_queue(&rig.relay, "in0").unwrap();
    assert!(per_queue.len() == 2 && per_queue[0] >= 4_000 && per_queue[1] >= 6_000, "{per_queue:?}");
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
        let stream = Stream::new(id, rig.headers(to), 1316);
        Load::new(vec![stream]).rate(5_000).packets(5_000).around_qdisc().on_core(core)
    };
    let (first, second) = (show.source(load(1, "239.1.1.1:5000", 0)), show.source(load(2, "239.1.1.2:5000", 1)));
    let sent = [first.finish().unwrap(), second.finish().unwrap()];
    let report = show.balance(&sent);
    assert_eq!((of_lane(&report, 0, "received"), of_lane(&report, 1, "received")), (5_000, 5_000));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_with_fewer_queues_than_lanes_is_pending_with_the_remedy() {
    let rig = Rig::shaped(Shape { outputs: 1, queues: 2, output_queues: 1, output_mtu: 1500, output_mac: None });
    let show = rig.start(CONFIG);
    let remedy = "interface \"out0\" has 1 transmit queues, none of them for lane 1, which receives on \"in0\": \
                  ethtool -L out0 combined 2";
    let lines = show.mcr.process.lines().join("\n");
    assert!(lines.contains(remedy), "{remedy} is not in\n{lines}");
    let headers = rig.headers("239.1.1.1:5000");
    let frames = vec![crate::rig::frame(&headers, &crate::rig::payload(1316)); 10];
    assert!(show.exchange(&frames, 0).is_empty());
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.received("first"), report.output_dropped("first", 0, "pending")), (10, 10));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_no_packet_comes_to_needs_no_queue() {
    let rig = Rig::new(1);
    let mut show = rig.start(CONFIG);
    let flows = vec![show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows);
    let stream = |id, to: &str| Stream::new(id, rig.headers(to), 1316);
    let streams = vec![stream(1, "239.1.1.1:5000"), stream(2, "239.1.1.2:5000")];
    let sent = show.send(Load::new(streams).rate(2_000).packets(1_000));
    let report = show.balance(&[sent]);
    assert_eq!((of_lane(&report, 0, "received"), of_lane(&report, 1, "received")), (2_000, 0));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_hangs_holds_up_changes_and_nothing_else() {
    let rig = Rig::shaped(Shape { outputs: 2, queues: 2, output_queues: 2, output_mtu: 1500, output_mac: None });
    let mut show = rig.start(&CONFIG.replace("out0\", group = \"239.2.1.2", "out1\", group = \"239.2.1.2"));
    let (steady, other) = (show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 1, "239.2.1.2:5001"));
    show.listen(0, vec![steady]);
    show.listen(1, vec![other]);
    steer(&rig.source, "src0", 0, 2).unwrap();
    let load = |id, to: &str| Load::new(vec![Stream::new(id, rig.headers(to), 1316)]).rate(2_000);
    let first = show.source(load(1, "239.1.1.1:5000"));
    // As a debugger holds it: one that hangs by itself would be ended.
    let hanging = Traced::hold(show.mcr.lanes()[1]).unwrap();
    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.relay, "out1", &["down"]);
    show.wait_for(mark, "did not confirm generation 2 within a second");
    // The next attempt must not touch what the other lane is reading.
    show.wait_for(mark, "the change waits for it");
    Rig::set_link(&rig.relay, "out1", &["up"]);
    drop(hanging);
    // Although links are as they were at first, the lanes are not: they are given a table again.
    show.wait_for(mark, "applied generation=3");
    let first = first.stop().unwrap();
    let second = show.send(load(2, "239.1.1.2:5000").packets(1_000));
    let report = show.balance(&[first, second]);
    assert_eq!((report.dropped("no_relay"), report.received("second")), (0, 1_000));
    assert_eq!((report.output_dropped("second", 0, "pending"), report.restarts()), (0, 0));
}
