//! A link goes under traffic, and the lane dies before it has dropped the link's socket.

use crate::stage::{SOON, Stage, frames_are_all_there, kill_now, rounds, wait_for_frames};
use bench::Relay;
use bench::links::{End, Veth, ip};
use nix::sys::signal::Signal;

/// So slow that the receive ring holds what comes in while a lane is started on a busy machine.
const RATE: u64 = 5_000;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_and_the_lane_go_together_again_and_again_and_every_frame_comes_back() {
    let stage = Stage::new(1);
    let second = "ttl = 7 }, { interface = \"late0\", group = \"239.9.1.1\", port = 5001 }";
    let relay = Relay::start(&stage.relay, &stage.config().replace("ttl = 7 }", second)).unwrap();
    let traffic = stage.stream_at(RATE);
    let rounds = rounds(5, 20);
    for _ in 0..rounds {
        let mark = relay.process.mark();
        let (late, far) = (End::new(&stage.relay, "late0"), End::new(&stage.source, "late1"));
        Veth::new(late.address("10.9.0.1/24"), far.address("10.9.0.2/24")).create().unwrap();
        relay.process.wait_for_after(mark, "outputs[1]: no longer pending", SOON).unwrap();
        // Longer than a lane must live to be followed at once.
        traffic.pass(RATE * 12 / 10);
        let late = |doing: &[&str]| ip(&[&["-n", stage.relay.name(), "link"], doing].concat()).unwrap();
        late(&["set", "late0", "down"]);
        // These lie on its ring: the table that says so comes later.
        traffic.pass(RATE / 50);
        late(&["del", "late0"]);
        kill_now(relay.lanes()[0]);
        relay.process.wait_for_after(mark, "lane died: it is started again", SOON).unwrap();
    }
    traffic.wait_until_it_arrives();
    let account = traffic.settle();
    wait_for_frames(&relay, 1);
    let report = relay.stop().unwrap();
    eprintln!("    {} packets went with the link", report.lanes("dropped_with_socket"));
    assert_eq!(report.restarts(), u64::from(rounds));
    assert!(report.lanes("dropped_with_socket") > 0, "nothing lay on the ring of a link that went");
    // What was stale lay on the ring of the link that went.
    account.balance_with(&report, 1, 0);
    frames_are_all_there(&report, 1);
}

/// Control stands still meanwhile, so that the lane's successor finds both sockets gone.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn two_links_and_the_lane_go_together_and_the_frames_of_both_come_back() {
    let stage = Stage::new(1);
    let links =
        ["late0", "more0"].map(|link| format!("{{ interface = \"{link}\", group = \"239.9.1.1\", port = 5001 }}"));
    let more = format!("ttl = 7 }}, {}", links.join(", "));
    for (number, names) in (1..).zip([["late0", "late1"], ["more0", "more1"]]) {
        let (near, far) = (End::new(&stage.relay, names[0]), End::new(&stage.source, names[1]));
        let near = near.address(&format!("10.9.{number}.1/24"));
        Veth::new(near, far.address(&format!("10.9.{number}.2/24"))).create().unwrap();
    }
    let relay = Relay::start(&stage.relay, &stage.config().replace("ttl = 7 }", &more)).unwrap();
    wait_for_frames(&relay, 3);
    let mark = relay.process.mark();
    relay.process.signal(Signal::SIGSTOP).unwrap();
    for link in ["late0", "more0"] {
        ip(&["-n", stage.relay.name(), "link", "del", link]).unwrap();
    }
    kill_now(relay.lanes()[0]);
    relay.process.signal(Signal::SIGCONT).unwrap();
    relay.process.wait_for_after(mark, "lane died: it is started again", SOON).unwrap();
    wait_for_frames(&relay, 1);
    frames_are_all_there(&relay.stop().unwrap(), 1);
}
