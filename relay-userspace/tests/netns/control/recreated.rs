//! An interface is deleted and made again under load, while others change relays.

use super::desk::Desk;
use crate::rig::{NOTED, Rig};
use bench::clock::Deadline;
use bench::links::{End, Veth, ip};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(120);
const TIMES: usize = 3;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_that_comes_and_goes_while_relays_change_costs_the_others_nothing() {
    let rig = Rig::new(2);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "steady"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        [[relay]]
        name = "other"
        input = { interface = "in0", group = "239.1.1.2", port = 5000 }
        outputs = [{ interface = "out1", group = "239.2.1.2", port = 5001 }]
        "#,
    );
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let streams = rig.streams(&["239.1.1.1:5000", "239.1.1.2:5000"]);
    let source = show.source(streams.rate(10_000).duration(AT_MOST));
    let is_over = AtomicBool::new(false);
    let changes = std::thread::scope(|scope| {
        let changer = scope.spawn(|| {
            let mut changes = 0;
            while !is_over.load(Ordering::Relaxed) {
                // One output on the link that is there, one on that which comes and goes.
                let outs = ["--out", "out0/239.2.1.3:5001", "--out", "out1/239.2.1.3:5001"];
                desk.done(&[&["relay", "add", "changing", "--in", "in0/239.1.1.3:5000"][..], &outs].concat());
                desk.done(&["relay", "rm", "changing"]);
                changes += 2;
            }
            changes
        });
        for _ in 0..TIMES {
            let mark = show.mcr.process.mark();
            ip(&["-n", rig.relay.name(), "link", "del", "out1"]).unwrap();
            show.wait_for(mark, "out1");
            std::thread::sleep(Duration::from_millis(300));
            let near = End::new(&rig.relay, "out1").address("10.2.1.1/24");
            let far = End::new(&rig.receivers, "rx1").address("10.2.1.9/24");
            Veth::new(near, far).create().unwrap();
            let deadline = Deadline::after(NOTED);
            // It flows there again.
            while !desk.ask(&["why", "other"]).status.success() {
                assert!(!deadline.passed(), "{}", String::from_utf8_lossy(&desk.ask(&["why", "other"]).stdout));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        changer.join().unwrap()
    });
    assert!(changes > TIMES, "{changes} changes");
    desk.wait_until_well();
    let sent = source.stop().unwrap();
    // The other relay's packets are lost while its link is away; those of the first are whole.
    let ledger = show.ledgers[0].clone();
    sent.enter(&show.ledgers[..1]);
    assert!(bench::ledger::wait_for_tail(&show.ledgers, crate::rig::TAIL), "{:?}", bench::ledger::lock(&ledger));
    show.sinks.drain(..).for_each(|sink| sink.stop().unwrap().check().unwrap());
    let report = show.mcr.stop().unwrap();
    bench::ledger::lock(&ledger).check(0).unwrap_or_else(|error| panic!("{error:#}; {:#}", report.0));
    assert_eq!(report.restarts(), 0);
}

/// A lane dies just after one of its links has gone: the next one does without that link.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_dies_when_a_link_has_just_gone_is_followed_by_another() {
    let rig = Rig::new(2);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "steady"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        [[relay]]
        name = "other"
        input = { interface = "in0", group = "239.1.1.2", port = 5000 }
        outputs = [{ interface = "out1", group = "239.2.1.2", port = 5001 }]
        "#,
    );
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(1_000).duration(AT_MOST));
    let lane = nix::unistd::Pid::from_raw(i32::try_from(show.mcr.lanes()[0]).unwrap());
    ip(&["-n", rig.relay.name(), "link", "del", "out1"]).unwrap();
    nix::sys::signal::kill(lane, nix::sys::signal::Signal::SIGKILL).unwrap();
    desk.wait_until_well();
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!(report.restarts(), 1);
}
