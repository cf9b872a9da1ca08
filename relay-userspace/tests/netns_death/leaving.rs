//! Lanes die while they drop a socket of a link that lives, and then a socket of that link is wanted again.

use crate::stage::{ForLanes, SOON, Stage, frames_are_all_there, wait_for_frames, wait_until};
use bench::links::{End, Veth, ip};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;

/// For a build that is slow, on a machine that is busy.
const RATE: u64 = 2_000;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_socket_whose_drop_fails_is_dropped_before_another_is_taken() {
    let stage = Stage::new(1);
    let (late, far) = (End::new(&stage.relay, "late0"), End::new(&stage.source, "late1"));
    Veth::new(late.address("10.9.0.1/24"), far.address("10.9.0.2/24")).create().unwrap();
    // The lane that runs, and three that are started in its place, die over the drop.
    let file = ForLanes::new("leaving", "1234");
    let chaos = format!("6:1:{}", file.path().display());
    let relay = stage.start_with(Path::new(env!("CARGO_BIN_EXE_mcr")), &[("MCR_CHAOS", &chaos)]);
    let traffic = stage.stream_at(RATE);
    let second = "ttl = 7 }, { interface = \"late0\", group = \"239.9.1.1\", port = 5001 }";
    let reload = |text: &str| {
        let mark = relay.process.mark();
        fs::write(relay.config(), text).unwrap();
        relay.process.signal(Signal::SIGHUP).unwrap();
        relay.process.wait_for_after(mark, "applied, generation", SOON).unwrap();
    };
    reload(&stage.config().replace("ttl = 7 }", second));
    traffic.pass(RATE / 4);
    ip(&["-n", stage.relay.name(), "link", "set", "late0", "down"]).unwrap();
    // These lie on its ring when its socket is dropped.
    traffic.pass(RATE / 50);
    let mark = relay.process.mark();
    reload(&stage.config());
    wait_until("the lanes do not die over the drop", || !file.path().exists());
    relay.process.wait_for_after(mark, "lane died", SOON).unwrap();
    ip(&["-n", stage.relay.name(), "link", "set", "late0", "up"]).unwrap();
    reload(&stage.config().replace("ttl = 7 }", second));
    traffic.wait_until_it_arrives();
    let account = traffic.settle();
    wait_for_frames(&relay, 2);
    let report = relay.stop().unwrap();
    eprintln!("    {} packets went with the socket", report.lanes("dropped_with_socket"));
    assert!(report.restarts() >= 4, "{} restarts", report.restarts());
    account.balance(&report, 1);
    frames_are_all_there(&report, 2);
}
