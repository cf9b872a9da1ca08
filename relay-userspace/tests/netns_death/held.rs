//! The frames of a socket that was dropped wait for as long as the kernel has that socket, and no longer.

use crate::stage::{SOON, Stage, frames, frames_are_all_there, wait_for_frames};
use bench::Relay;
use bench::links::{End, Veth};
use bench::sys::copied;
use nix::sys::signal::Signal;
use std::fs;
use std::time::Duration;

/// The kernel was given a second once.
const LONG: Duration = Duration::from_millis(1_500);

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn frames_wait_until_the_kernel_has_let_go_of_their_socket() {
    let stage = Stage::new(1);
    let (late, far) = (End::new(&stage.relay, "late0"), End::new(&stage.source, "late1"));
    Veth::new(late.address("10.9.0.1/24"), far.address("10.9.0.2/24")).create().unwrap();
    let second = "ttl = 7 }, { interface = \"late0\", group = \"239.9.1.1\", port = 5001 }";
    let relay = Relay::start(&stage.relay, &stage.config().replace("ttl = 7 }", second)).unwrap();
    wait_for_frames(&relay, 2);
    let filled = frames(&relay, "fill");
    // As a driver keeps it that takes its time.
    let copies = copied::descriptors(relay.process.pid()).unwrap();
    let mark = relay.process.mark();
    fs::write(relay.config(), stage.config()).unwrap();
    relay.process.signal(Signal::SIGHUP).unwrap();
    relay.process.wait_for_after(mark, "applied, generation", SOON).unwrap();
    std::thread::sleep(LONG);
    assert_eq!(frames(&relay, "fill"), filled, "frames are used again that the kernel may still write to");
    drop(copies);
    wait_for_frames(&relay, 1);
    frames_are_all_there(&relay.stop().unwrap(), 1);
}
