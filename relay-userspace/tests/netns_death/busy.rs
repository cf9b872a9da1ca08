//! Lanes are killed while control is busy with something that takes long: each is followed by another all the same.

use crate::stage::{SOON, Stage, Traffic, frames_are_all_there, is_alive, kill_now, wait_until};
use bench::Relay;
use bench::clock::monotonic_ns;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, File};
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// At this rate the receive ring holds what comes in half a second.
const RATE: u64 = 8_000;
/// A lane that is dead is followed within 20 ms. On a machine that is busy with other things it takes up to twenty times that.
const GAP: Duration = Duration::from_millis(400);

/// Kills the lane and waits until another runs; says how long that took.
fn kill_the_lane(relay: &Relay) -> Duration {
    let lane = relay.lanes()[0];
    let start = monotonic_ns();
    kill_now(lane);
    wait_until("no other lane is started", || relay.lanes().first().is_some_and(|now| *now != lane && is_alive(*now)));
    Duration::from_nanos(monotonic_ns() - start)
}

/// Nothing was lost, and no packet waited for long.
fn nothing_is_missed(traffic: Traffic<'_>, relay: Relay, took: Duration, restarts: u64) {
    let account = traffic.settle();
    let longest = Duration::from_nanos(account.longest_ns);
    eprintln!("    kill to running: {took:?}; the longest that a packet took: {longest:?}");
    let report = relay.stop().unwrap();
    assert_eq!(report.restarts(), restarts);
    account.balance(&report, 1);
    assert_eq!(account.lost(), account.lost_on_links, "{account:?}");
    assert!(longest < GAP, "a packet took {longest:?}");
    frames_are_all_there(&report, 1);
}

/// Groups that the relay's kernel has joined.
fn n_joined(stage: &Stage) -> usize {
    let text = stage.relay.run(|| fs::read_to_string("/proc/thread-self/net/igmp")).unwrap();
    // In the order of a little-endian word: 239 comes last.
    text.split_whitespace().filter(|word| word.len() == 8 && word.ends_with("EF")).count()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_dies_while_three_thousand_relays_are_made_is_followed_at_once() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(RATE);
    traffic.pass(RATE / 10);
    let many: String = (0..15)
        .map(|n| {
            format!(
                "[[relay]]\nname = \"r{n}\"\ninput = {{ interface = \"in0\", group = \"239.3.{n}.0-199\", port = 5000 }}\n\
                 outputs = [{{ interface = \"out0\", group = \"239.4.{n}.0-199\", port = 5001 }}]\n"
            )
        })
        .collect();
    let text = fs::read_to_string(relay.config()).unwrap();
    let mark = relay.process.mark();
    fs::write(relay.config(), format!("{text}\n{many}")).unwrap();
    relay.process.signal(Signal::SIGHUP).unwrap();
    wait_until("no group is joined", || n_joined(&stage) > 300);
    let took = kill_the_lane(&relay);
    let joined = n_joined(&stage);
    eprintln!("    {joined} of 3001 groups were joined by then");
    relay.process.wait_for_after(mark, "applied, generation", 6 * SOON).unwrap();
    assert!(n_joined(&stage) > 3000);
    traffic.pass(RATE / 10);
    nothing_is_missed(traffic, relay, took, 1);
}

/// The file that the state is written to is a pipe that nobody reads: to open it waits, as on a disk that hangs.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn lanes_that_die_while_the_disk_hangs_are_followed_at_once() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(RATE);
    traffic.pass(RATE / 10);
    let disk = relay.folder().join("relays.toml.new");
    mkfifo(&disk, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut add = Command::new(bench::relay::binary());
    add.env("MCR_SOCKET", relay.folder().join("mcr.sock")).stdout(Stdio::null()).stderr(Stdio::piped());
    add.args(["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"]);
    let add = add.spawn().unwrap();
    // One of its threads does; the loop does not.
    let waits = || {
        let threads = fs::read_dir(format!("/proc/{}/task", relay.process.pid())).unwrap();
        let wait = |thread: &fs::DirEntry| fs::read_to_string(thread.path().join("wchan")).unwrap_or_default();
        threads.filter_map(Result::ok).any(|thread| wait(&thread) == "wait_for_partner")
    };
    wait_until("control does not wait for the disk", waits);
    let main = fs::read_to_string(format!("/proc/{}/wchan", relay.process.pid())).unwrap();
    assert_ne!(main, "wait_for_partner");
    let mut took = Duration::ZERO;
    // Each lives longer than what is let wait.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1_100));
        took = took.max(kill_the_lane(&relay));
    }
    assert!(waits(), "control went on");
    File::open(&disk).unwrap().read_to_end(&mut Vec::new()).unwrap();
    // A pipe cannot be flushed: the change is refused, and control goes on.
    let refused = add.wait_with_output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    relay.process.wait_for("lane died: it is started again", SOON).unwrap();
    traffic.pass(RATE / 10);
    nothing_is_missed(traffic, relay, took, 3);
}
