//! A link that was down begins with the packets of now: what had waited for it is thrown away, and counted.

use crate::rig::{Rig, Show};
use bench::ledger::lock;
use bench::relay::Report;
use bench::source::Source;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

const CONFIG: &str = r#"
    [[relay]]
    name = "two"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [
        { interface = "out0", group = "239.2.1.1", port = 5001 },
        { interface = "out1", group = "239.2.1.1", port = 5001 },
    ]
"#;
const RATE: u64 = 4_000;
/// The link is down for so many packets: eight seconds.
const DOWN: u64 = 8 * RATE;
/// No packet is older, whatever the machine does beside; what had waited was eight seconds old.
const OLDEST: Duration = Duration::from_secs(1);

fn wait_for_more(source: &Source, packets: u64) {
    let until = source.sent(1) + packets;
    while source.sent(1) < until && !source.is_finished() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Takes the output link down under traffic and up again.
fn down_and_up(meanwhile: impl FnOnce(&Show<'_>)) -> Report {
    let rig = Rig::new(2);
    let mut show = rig.start(CONFIG);
    for output in [0, 1] {
        let flow = show.expect(1, output, "239.2.1.1:5001");
        show.listen(output, vec![flow]);
    }
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(RATE));
    wait_for_more(&source, RATE);
    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.relay, "out0", &["down"]);
    show.wait_for(mark, "\"out0\" is down");
    meanwhile(&show);
    wait_for_more(&source, DOWN);
    Rig::set_link(&rig.relay, "out0", &["up"]);
    show.wait_for(mark, "no longer pending");
    wait_for_more(&source, RATE);
    let ledgers = show.ledgers.clone();
    let report = show.balance(&[source.stop().unwrap()]);
    lock(&ledgers[1]).check(0).unwrap();
    let ledger = lock(&ledgers[0]);
    let (oldest, stale) = (Duration::from_nanos(ledger.latencies().max()), report.dropped("stale"));
    println!(
        "{stale} stale, {} calls on the link that was down; the oldest packet: {oldest:?}",
        report.lanes("kick_link_down")
    );
    assert!(oldest < OLDEST, "a packet came {oldest:?} after it was sent");
    let (pending, refused) = (report.output_dropped("two", 0, "pending"), report.lanes("kick_busy"));
    assert_eq!(ledger.lost(), pending + refused + stale, "{}", report.0);
    assert!(stale > 0, "nothing had waited: the test shows nothing");
    let [transmit, lost] = ["transmit", "lost"].map(|owner| report.frames(owner));
    assert_eq!((transmit, lost, report.lanes("foreign")), (0, 0, 0));
    // Each 10 ms until what waits is stale, and once for each change.
    let calls = report.lanes("kick_link_down");
    assert!(calls < 100, "{calls} calls on a link that is down");
    report
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_that_was_down_for_long_begins_with_the_packets_of_now() {
    assert_eq!(down_and_up(|_| {}).restarts(), 0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn so_it_does_when_the_lane_is_killed_meanwhile() {
    let report = down_and_up(|show| {
        let mark = show.mcr.process.mark();
        kill(Pid::from_raw(i32::try_from(show.mcr.lanes()[0]).unwrap()), Signal::SIGKILL).unwrap();
        show.wait_for(mark, "lane died: it is started again");
    });
    assert_eq!(report.restarts(), 1);
}
