//! Lanes are killed while control is busy with something that takes long: each is followed by another all the same.

use crate::stage::{SOON, Stage, Traffic, frames_are_all_there, is_alive, kill_now, wait_until};
use bench::Relay;
use bench::clock::monotonic_ns;
use bench::sys::rtnl::Lock;
use bench::sys::traced::Traced;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// At this rate the receive ring holds what comes in a second.
const RATE: u64 = 4_000;
/// The first packet of the lane that follows a dead one is sent within 20 ms of the death. On a machine that is busy with other
/// things, in a build that is not optimised, it was up to twenty times that.
const GAP: Duration = Duration::from_millis(800);

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
    eprintln!("    death to the first packet of the lane that follows: {longest:?}; to its process seen: {took:?}");
    let report = relay.stop().unwrap();
    assert_eq!(report.restarts(), restarts);
    account.balance(&report, 1);
    assert_eq!(account.lost(), account.lost_on_links, "{account:?}");
    assert!(longest < GAP, "a packet took {longest:?}");
    if report.0["lanes"].as_array().unwrap().len() == 1 {
        frames_are_all_there(&report, 1);
    }
}

/// Asks for one relay more.
fn add(relay: &Relay) -> Child {
    let mut add = Command::new(bench::relay::binary());
    add.env("MCR_SOCKET", relay.folder().join("mcr.sock")).stdout(Stdio::null()).stderr(Stdio::piped());
    add.args(["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"]);
    add.spawn().unwrap()
}

/// What control says of itself.
fn status(relay: &Relay) -> String {
    let mut stream = UnixStream::connect(relay.folder().join("mcr.sock")).unwrap();
    write!(stream, "GET /api/v1/status HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The threads of control of that name.
fn threads(relay: &Relay, name: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(format!("/proc/{}/task", relay.process.pid())).unwrap();
    let all = all.filter_map(|thread| Some(thread.ok()?.path()));
    all.filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim_end() == name)).collect()
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
    let add = add(&relay);
    // One of its threads does; the loop does not.
    let wait = |thread: &PathBuf| fs::read_to_string(thread.join("wchan")).unwrap_or_default();
    let waits = || threads(&relay, "mcr-disk").iter().any(|thread| wait(thread) == "wait_for_partner");
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

/// Somebody holds the kernel's lock of all network settings, as a driver does that resets its card.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_dies_while_the_kernel_does_not_tell_of_its_links_is_followed_at_once() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(RATE);
    traffic.pass(RATE / 10);
    let lock = Lock::new().unwrap();
    let held = lock.take().unwrap();
    let add = add(&relay);
    // It cannot be interrupted there.
    let is_stuck = |thread: &PathBuf| fs::read_to_string(thread.join("stat")).is_ok_and(|stat| stat.contains(") D "));
    let waits = || threads(&relay, "mcr-worker").iter().any(is_stuck);
    wait_until("control does not ask for its links", waits);
    let took = kill_the_lane(&relay);
    assert!(waits(), "control was answered");
    drop(held);
    let added = add.wait_with_output().unwrap();
    assert!(added.status.success(), "{added:?}");
    traffic.pass(RATE / 10);
    nothing_is_missed(traffic, relay, took, 1);
}

/// A change waits for a lane that a debugger holds.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_dies_while_another_answers_nothing_is_followed_at_once() {
    let stage = Stage::new(1);
    let config = stage.config().replace("[lanes]", "[lanes]\ncores = [0, 1]");
    let relay = Relay::start(&stage.relay, &config).unwrap();
    let traffic = stage.stream_at(RATE);
    traffic.pass(RATE / 10);
    let lanes = relay.lanes();
    let held = Traced::hold(lanes[1]).unwrap();
    let mut add = add(&relay);
    wait_until("control makes nothing", || status(&relay).contains("create relay"));
    let took = kill_the_lane(&relay);
    assert!(add.try_wait().unwrap().is_none(), "control waits for nobody");
    drop(held);
    // What became of it depends on how long it took to get here.
    add.wait().unwrap();
    wait_until("a lane is missing", || relay.lanes().len() == 2);
    traffic.pass(RATE / 10);
    nothing_is_missed(traffic, relay, took, 1);
}
