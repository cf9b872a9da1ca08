//! A lane has done with a socket what it was asked, and dies; the one that follows is handed the sockets before control has noted
//! it. What control notes is what the lane has that relays.

use crate::points::{Point, build};
use crate::stage::{RATE, Stage, frames_are_all_there, kill_now, wait_for_frames};
use bench::Relay;
use std::process::Command;

/// Both outputs, or the first of them.
fn configure(stage: &Stage, relay: &Relay, outputs: usize) {
    std::fs::write(relay.config(), config(stage, outputs)).unwrap();
}

fn config(stage: &Stage, outputs: usize) -> String {
    let whole = stage.config();
    let second = whole.find(r#", { interface = "out1""#).unwrap();
    let end = second + whole[second..].find('}').unwrap() + 1;
    if outputs == 2 { whole } else { format!("{}{}", &whole[..second], &whole[end..]) }
}

fn reload(relay: &Relay) -> Command {
    let mut mcr = Command::new(bench::relay::binary());
    mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).arg("reload");
    mcr
}

/// Has control change sockets, and the lane die between what it has done and what control notes of that.
fn changes(relay: &Relay, point: &Point) {
    point.waits(&["socket.done", "lane", "socket.noted"]);
    std::thread::scope(|scope| {
        let reloads = scope.spawn(|| reload(relay).output().unwrap());
        point.is_waited_at("socket.done");
        kill_now(relay.lanes()[0]);
        // The next one relays, and control does not know it yet.
        point.is_waited_at("lane");
        point.waits(&["lane", "socket.noted"]);
        point.is_waited_at("socket.noted");
        point.waits(&[]);
        let reloaded = reloads.join().unwrap();
        assert!(reloaded.status.success(), "{reloaded:?}");
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_a_lane_did_that_died_since_is_done_by_the_next_one() {
    let (stage, point) = (Stage::new(2), Point::new(77));
    let relay = Relay::launch(build(), &stage.relay, &config(&stage, 1), &[point.env()]).unwrap();
    relay.wait_until_ready().unwrap();
    // It is given a socket.
    configure(&stage, &relay, 2);
    changes(&relay, &point);
    let traffic = stage.stream_at(RATE / 10);
    traffic.wait_until_it_arrives();
    let first = traffic.settle();
    // One is taken from it, and the queue is free.
    configure(&stage, &relay, 1);
    changes(&relay, &point);
    wait_for_frames(&relay, 1);
    configure(&stage, &relay, 2);
    let added = reload(&relay).output().unwrap();
    assert!(added.status.success(), "{added:?}");
    let traffic = stage.stream_at(RATE / 10);
    traffic.wait_until_it_arrives();
    let second = traffic.settle();
    wait_for_frames(&relay, 2);
    let report = relay.stop().unwrap();
    assert_eq!(report.restarts(), 2);
    frames_are_all_there(&report, 2);
    for account in [first, second] {
        assert_eq!(account.lost(), account.lost_on_links, "{account:?}: {:#}", report.0);
    }
}
