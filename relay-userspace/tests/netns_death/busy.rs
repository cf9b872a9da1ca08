//! Lanes are killed while control is busy with something that takes long: each is followed by another all the same.

use crate::stage::{SOON, Stage, Traffic, frames_are_all_there, is_alive, kill_now, rounds, wait_until};
use bench::Relay;
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

/// At this rate the receive ring holds what comes in a second, and a packet comes every quarter of a millisecond.
const RATE: u64 = 4_000;
/// A lane that lives shorter is started again later and later.
const LIFE: u64 = RATE * 12 / 10;
/// The lane that follows a dead one relays within this: the middle one of some, with `--timed`. Others may have the machine
/// otherwise, and ten times as long is enough.
const WITHIN: Duration = Duration::from_millis(20);

/// Kills the lane. Says how long packets waited for the one that follows: from the death to the first that it relayed.
fn death(traffic: &Traffic<'_>, relay: &Relay) -> Duration {
    traffic.pass(LIFE);
    kill_the_lane(traffic, relay)
}

/// The same for a lane that has lived for a while.
fn kill_the_lane(traffic: &Traffic<'_>, relay: &Relay) -> Duration {
    let lane = relay.lanes()[0];
    traffic.longest();
    kill_now(lane);
    wait_until("no other lane is started", || relay.lanes().first().is_some_and(|now| *now != lane && is_alive(*now)));
    traffic.longest()
}

/// Nothing was lost, and no packet waited for long.
fn nothing_is_missed(traffic: Traffic<'_>, relay: Relay, mut waited: Vec<Duration>) {
    traffic.longest();
    traffic.pass(RATE / 10);
    let without = traffic.longest();
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    waited.sort();
    let (middle, longest) = (waited[waited.len() / 2], waited[waited.len() - 1]);
    eprintln!(
        "    from a death to the first packet of the lane that follows: {middle:.1?}, the longest of {}: {longest:.1?}; \
         without a death a packet takes up to {without:.1?}",
        waited.len()
    );
    assert_eq!(report.restarts(), waited.len() as u64);
    account.balance(&report, 1);
    assert_eq!(account.lost(), account.lost_on_links, "{account:?}");
    let within = if std::env::var_os("MCR_TIMED").is_some() { WITHIN } else { 10 * WITHIN };
    assert!(middle <= within, "packets waited for {waited:?}");
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
fn a_lane_that_dies_while_nothing_else_happens_is_followed_at_once() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(RATE);
    let waited = (0..rounds(5, 20)).map(|_| death(&traffic, &relay)).collect();
    nothing_is_missed(traffic, relay, waited);
}

/// One lane dies when the first groups are joined, one in the middle, one at the end, and so on.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_dies_while_four_thousand_relays_are_made_is_followed_at_once() {
    const MANY: usize = 4096;
    let stage = Stage::new(1);
    // As machines have it: 20 groups on a socket, and a lane holds each socket.
    stage.relay.sysctl("net/ipv4/igmp_max_memberships", "20").unwrap();
    let config = stage.config().replace("[lanes]", "[lanes]\nmax_relays = 8192\nmax_outputs = 8192");
    let many = "[[relay]]\nname = \"many\"\ninput = { interface = \"in0\", group = \"239.3.0.0-239.3.15.255\", port = 5000 }\n\
                outputs = [{ interface = \"out0\", group = \"239.4.0.0-239.4.15.255\", port = 5001 }]\n";
    let relay = Relay::start(&stage.relay, &config).unwrap();
    let traffic = stage.stream_at(RATE);
    let reload = |text: &str| {
        let mark = relay.process.mark();
        fs::write(relay.config(), text).unwrap();
        relay.process.signal(Signal::SIGHUP).unwrap();
        mark
    };
    let is_applied =
        |mark| relay.process.wait_for_after(mark, "reload all relays: applied, generation", 6 * SOON).unwrap();
    let mut waited = Vec::new();
    for joined in [1, MANY / 2, MANY].into_iter().cycle().take(rounds(3, 9) as usize) {
        traffic.pass(LIFE);
        let mark = reload(&format!("{config}\n{many}"));
        wait_until("the groups are not joined", || n_joined(&stage) > joined);
        waited.push(kill_the_lane(&traffic, &relay));
        is_applied(mark);
        assert_eq!(n_joined(&stage), 1 + MANY);
        is_applied(reload(&config));
    }
    nothing_is_missed(traffic, relay, waited);
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
    let waited = (0..rounds(3, 9)).map(|_| death(&traffic, &relay)).collect();
    assert!(waits(), "control went on");
    File::open(&disk).unwrap().read_to_end(&mut Vec::new()).unwrap();
    // A pipe cannot be flushed: the change is refused, and control goes on.
    let refused = add.wait_with_output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    relay.process.wait_for("lane died: it is started again", SOON).unwrap();
    nothing_is_missed(traffic, relay, waited);
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
    let waited = kill_the_lane(&traffic, &relay);
    assert!(waits(), "control was answered");
    drop(held);
    let added = add.wait_with_output().unwrap();
    assert!(added.status.success(), "{added:?}");
    nothing_is_missed(traffic, relay, vec![waited]);
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
    let waited = kill_the_lane(&traffic, &relay);
    assert!(add.try_wait().unwrap().is_none(), "control waits for nobody");
    drop(held);
    // What became of it depends on how long it took to get here.
    add.wait().unwrap();
    wait_until("a lane is missing", || relay.lanes().len() == 2);
    nothing_is_missed(traffic, relay, vec![waited]);
}
