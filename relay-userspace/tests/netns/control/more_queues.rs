//! A link gets more queues than its lane can have sockets, or its driver does not say how many it has: its streams go on.

use super::desk::Desk;
use crate::rig::{NOTED, Rig, Shape, Show};
use bench::Process;
use bench::clock::Deadline;
use bench::source::Source;
use std::time::Duration;

/// No socket can come to a lane but those that it begins with.
const CONFIG: &str = r#"
    [lanes]
    spare_sockets = 0

    [[relay]]
    name = "one"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
"#;

/// A link with one queue in use of four that it could have.
fn one_of_four() -> Rig {
    let rig = Rig::shaped(Shape { outputs: 1, queues: 4, output_queues: 1, output_mtu: 1500, output_mac: None });
    set_queues(&rig, "1");
    rig
}

fn set_queues(rig: &Rig, n: &str) {
    let done = rig.relay.command("ethtool").args(["-L", "in0", "rx", n, "tx", n]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn stream(rig: &Rig) -> (Show<'_>, Source) {
    let mut show = rig.start(CONFIG);
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(1_000));
    (show, source)
}

/// So much more of the stream comes out; nothing else is waited for so long.
fn pass(show: &Show<'_>, n: u64) {
    let (until, deadline) = (show.sinks[0].datagrams() + n, Deadline::after(NOTED));
    while show.sinks[0].datagrams() < until {
        assert!(!deadline.passed(), "the stream is dark");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Nothing of the stream was lost.
fn is_whole(show: Show<'_>, source: Source) {
    let sent = source.stop().unwrap();
    let ledgers = show.ledgers.clone();
    let report = show.balance(&[sent]);
    assert_eq!((bench::ledger::lock(&ledgers[0]).lost(), report.verdict("no_socket")), (0, 0));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_queue_that_no_lane_can_serve_costs_the_streams_of_others_nothing() {
    let rig = one_of_four();
    let (show, source) = stream(&rig);
    let desk = Desk::of(&show.mcr);
    pass(&show, 200);
    set_queues(&rig, "2");
    let told = desk.wait_until_failing("sockets");
    assert!(told.starts_with("in0 queue 1 has no socket: lane 0 has no frames left"), "{told}");
    pass(&show, 500);
    // Whatever else is changed meanwhile is no worse for it.
    desk.done(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001", "--dry-run"]);
    desk.done(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);
    pass(&show, 200);
    set_queues(&rig, "1");
    desk.wait_until_well();
    is_whole(show, source);
}

/// Every question by ioctl fails, as while a driver resets its card.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_question_that_the_driver_does_not_answer_changes_nothing() {
    let rig = one_of_four();
    let (show, source) = stream(&rig);
    let desk = Desk::of(&show.mcr);
    pass(&show, 200);
    let mut strace = rig.relay.command("strace");
    strace.args([
        "-f",
        "-e",
        "trace=ioctl",
        "-e",
        "inject=ioctl:error=EBUSY",
        "-p",
        &show.mcr.process.pid().to_string(),
    ]);
    let strace = Process::start("strace", strace).unwrap();
    strace.wait_for("attached", NOTED).unwrap();
    for address in ["10.1.0.3/24", "10.1.0.4/24"] {
        // Each change of an address has it look again.
        let mark = strace.mark();
        bench::links::ip(&["-n", rig.relay.name(), "address", "add", address, "dev", "in0"]).unwrap();
        strace.wait_for_after(mark, "(INJECTED)", NOTED).unwrap();
        pass(&show, 200);
    }
    assert_eq!(desk.failing(), []);
    drop(strace);
    is_whole(show, source);
}
