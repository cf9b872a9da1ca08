//! A link becomes an output while packets come in on it, or an input while they leave by it, and stops being one: its queues
//! stay with their lanes, and keep their sockets.

use super::desk::Desk;
use crate::rig::{Rig, Shape};
use bench::links::ip;
use bench::sink::Flow;
use bench::source::{Load, Source, Stream};
use bench::{Ledger, Sink};

/// Each input has one receive queue, so the second begins at the second lane.
const CONFIG: &str = r#"
    [lanes]
    cores = [0, 1]

    [[relay]]
    name = "first"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]

    [[relay]]
    name = "second"
    input = { interface = "in1", group = "239.1.1.2", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001 }]
"#;

/// A rig with a second input link, which has one receive queue and so many to transmit on.
fn two_inputs(tx_queues: u16) -> Rig {
    let rig = Rig::shaped(Shape { outputs: 1, queues: 1, output_queues: 2, output_mtu: 1500, output_mac: None });
    let (source, relay, queues) = (rig.source.name(), rig.relay.name(), tx_queues.to_string());
    let near = ["-n", source, "link", "add", "src1", "numtxqueues", "1", "numrxqueues", &queues, "type", "veth"];
    let far = ["peer", "name", "in1", "netns", relay, "numtxqueues", &queues, "numrxqueues", "1"];
    ip(&[&near[..], &far[..]].concat()).unwrap();
    Rig::set_link(&rig.source, "src1", &["up"]);
    Rig::set_link(&rig.relay, "in1", &["up"]);
    ip(&["-n", relay, "address", "add", "10.3.0.1/24", "dev", "in1"]).unwrap();
    rig
}

/// The second relay gets all of its packets while relays come and go that send on its input link.
fn becomes_an_output(tx_queues: u16) {
    let rig = two_inputs(tx_queues);
    let mut show = rig.start(CONFIG);
    let flows = vec![show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows);
    let load = |id, to: &str| Load::new(vec![Stream::new(id, rig.headers(to), 1316)]).rate(4_000);
    let second = Source::start(&rig.source, "src1", load(2, "239.1.1.2:5000")).unwrap();
    let desk = Desk::of(&show.mcr);
    let back = Ledger::shared("stream 1 as 239.3.1.1:5001 on in1", 1);
    for round in 0..3 {
        desk.done(&["relay", "add", "back", "--in", "in0/239.1.1.1:5001", "--out", "in1/239.3.1.1:5001"]);
        let told = desk.done(&["relay", "show", "back"]);
        let is_pending = told.contains("none of them for lane 0, which receives on");
        assert_eq!(is_pending, tx_queues == 1, "{told}");
        if tx_queues > 1 && round == 0 {
            // What it relays leaves by the link that the other stream comes in on.
            let flow = Flow::new("239.3.1.1:5001".parse().unwrap(), &back);
            let sink = Sink::start(&rig.source, "src1", vec![flow]).unwrap();
            let sent = show.send(load(1, "239.1.1.1:5001").packets(500));
            sent.enter(std::slice::from_ref(&back));
            assert!(bench::ledger::wait_for_tail(std::slice::from_ref(&back), crate::rig::TAIL));
            sink.stop().unwrap().check().unwrap();
            bench::ledger::lock(&back).check(0).unwrap();
        }
        desk.done(&["relay", "rm", "back"]);
    }
    let first = show.send(load(1, "239.1.1.1:5000").packets(1_000));
    let second = second.stop().unwrap();
    assert!(second.sent(2) > 1_000, "{} packets under the changes", second.sent(2));
    let ledgers = show.ledgers.clone();
    let report = show.balance(&[first, second]);
    let lost: Vec<u64> = ledgers.iter().map(|ledger| bench::ledger::lock(ledger).lost()).collect();
    assert_eq!((lost, report.verdict("no_socket")), (vec![0, 0], 0), "lost of each stream");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_input_that_becomes_an_output_loses_nothing() {
    becomes_an_output(2);
}

/// Of a link with a single queue one lane has it: what comes to the other lane cannot be sent there, and nothing moves.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_input_with_one_queue_stays_with_its_lane() {
    becomes_an_output(1);
}

/// And an output that becomes an input has the sockets for that already.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_output_that_becomes_an_input_loses_nothing() {
    let rig = two_inputs(2);
    let mut show = rig.start(CONFIG);
    let flows = vec![show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows);
    let load = |id, to: &str| Load::new(vec![Stream::new(id, rig.headers(to), 1316)]).rate(4_000);
    let first = Source::start(&rig.source, "src0", load(1, "239.1.1.1:5000")).unwrap();
    let desk = Desk::of(&show.mcr);
    let back = Ledger::shared("stream 3 as 239.3.1.1:5001 on in1", 3);
    for round in 0..3 {
        desk.done(&["relay", "add", "back", "--in", "out0/239.1.1.3:5000", "--out", "in1/239.3.1.1:5001"]);
        if round == 0 {
            let flow = Flow::new("239.3.1.1:5001".parse().unwrap(), &back);
            let sink = Sink::start(&rig.source, "src1", vec![flow]).unwrap();
            let sent = Source::start(&rig.receivers, "rx0", load(3, "239.1.1.3:5000").packets(500)).unwrap();
            sent.finish().unwrap().enter(std::slice::from_ref(&back));
            assert!(bench::ledger::wait_for_tail(std::slice::from_ref(&back), crate::rig::TAIL));
            sink.stop().unwrap().check().unwrap();
            bench::ledger::lock(&back).check(0).unwrap();
        }
        desk.done(&["relay", "rm", "back"]);
    }
    let first = first.stop().unwrap();
    assert!(first.sent(1) > 1_000, "{} packets under the changes", first.sent(1));
    let second = Source::start(&rig.source, "src1", load(2, "239.1.1.2:5000").packets(500)).unwrap();
    let second = second.finish().unwrap();
    let ledgers = show.ledgers.clone();
    show.balance(&[first, second]);
    let lost: Vec<u64> = ledgers.iter().map(|ledger| bench::ledger::lock(ledger).lost()).collect();
    assert_eq!(lost, vec![0, 0], "lost of each stream");
}
