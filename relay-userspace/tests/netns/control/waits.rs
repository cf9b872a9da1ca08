//! Control hears and answers while its worker is busy with what takes long, and says what that is.

use super::desk::Desk;
use crate::rig::{NOTED, Rig};
use bench::clock::{Deadline, monotonic_ns};
use bench::sys::xsk::Xsk;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// A reload of so many takes a second, and up to twenty times that on a machine that is busy with other things.
const RELOADED: Duration = Duration::from_secs(60);

/// mcr ends within a second; where a disk hangs it waits for one more.
const STOPPED: Duration = Duration::from_secs(60);

/// Asks `/healthz` again and again.
pub(super) struct Prober {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Vec<String>)>,
}

impl Prober {
    pub(super) fn start(socket: PathBuf) -> Self {
        let ends = Arc::<AtomicBool>::default();
        let ended = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let (mut asked, mut failures) = (0, Vec::new());
            while !ended.load(Relaxed) {
                let mut stream = UnixStream::connect(&socket).unwrap();
                write!(stream, "GET /healthz HTTP/1.0\r\n\r\n").unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                asked += 1;
                if !answer.starts_with("HTTP/1.0 200") {
                    failures.push(answer);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            (asked, failures)
        });
        Self { ends, thread }
    }

    /// It was always well.
    #[track_caller]
    pub(super) fn end(self, what: &str) {
        self.ends.store(true, Relaxed);
        let (asked, failures) = self.thread.join().unwrap();
        assert!(failures.is_empty(), "{what}: {} of {asked} were not well, the first: {}", failures.len(), failures[0]);
    }
}

fn took(began: u64) -> Duration {
    Duration::from_nanos(monotonic_ns() - began)
}

/// Relays with groups of their own, and four outputs each.
fn many() -> String {
    let output = |n: u32| {
        format!("{{ interface = \"out0\", group = \"239.{}.0.0-239.{}.15.255\", port = 5001 }}", 100 + n, 100 + n)
    };
    let outputs: Vec<String> = (0..4).map(output).collect();
    format!(
        "[[relay]]\nname = \"many\"\ninput = {{ interface = \"in0\", group = \"239.3.0.0-239.3.15.255\", port = 5000 }}\n\
         outputs = [{}]\n",
        outputs.join(", ")
    )
}

/// No turn of the loop took long, in processor time of its thread, nor in calls that wait: it heard everything at once. That is
/// 10 ms; where others have the machine it takes up to ten times as long, and who has waited for a moment waits for the processor,
/// too: what must show is a call that waits for the disk that hangs for seconds. It is the release build, whatever these tests are built as.
fn the_loop_hears(desk: &Desk) {
    let longest = desk.json(&["status"])["longest_turn_s"].as_f64().unwrap();
    eprintln!("    the longest turn of the loop: {:.1} ms", longest * 1e3);
    assert!(longest > 0.0 && longest < 0.1, "{longest} s");
    let scrape = desk.get("/metrics");
    let waited = "mcr_control_longest_turn_seconds{time=\"waited\"} ";
    let waited: f64 = scrape.lines().find_map(|line| line.strip_prefix(waited)).unwrap().parse().unwrap();
    eprintln!("    the longest wait of the loop: {:.1} ms", waited * 1e3);
    assert!(waited < 1.0, "{waited} s");
}

const ROOM: &str = "[lanes]\nmax_relays = 4200\nmax_outputs = 17000\n";

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn four_thousand_relays_are_taken_and_their_link_goes_down_and_nobody_is_unwell() {
    let rig = Rig::new(1);
    let show = rig.start(ROOM);
    let desk = Desk::of(&show.mcr);
    let prober = Prober::start(show.mcr.folder().join("mcr.sock"));
    fs::write(show.mcr.config(), format!("{ROOM}{}", many())).unwrap();
    let (began, mark) = (monotonic_ns(), show.mcr.process.mark());
    show.mcr.process.signal(Signal::SIGHUP).unwrap();
    show.mcr.process.wait_for_after(mark, "4096 changes", RELOADED).unwrap();
    eprintln!("    4096 relays with 16384 outputs and groups of their own: {:?}", took(began));
    for (what, counted) in [("down", 16_384), ("up", 0)] {
        let began = monotonic_ns();
        Rig::set_link(&rig.relay, "out0", &[what]);
        let deadline = Deadline::after(NOTED);
        let pending = || desk.json(&["status"])["pending"].as_array().unwrap().len();
        while pending() != counted {
            assert!(!deadline.passed(), "{} are pending after out0 went {what}", pending());
        }
        eprintln!("    out0 {what}: {:?}", took(began));
    }
    let began = monotonic_ns();
    desk.done(&["relay", "add", "one", "--in", "in0/239.1.1.1:5000", "--out", "out0/239.2.1.1:5001"]);
    eprintln!("    one relay more: {:?}", took(began));
    prober.end("4096 relays");
    the_loop_hears(&desk);
    let began = monotonic_ns();
    show.mcr.stop().unwrap();
    eprintln!("    the end: {:?}", took(began));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_add_on_a_link_that_another_program_has_is_refused_within_a_second() {
    let rig = Rig::new(2);
    let _other = rig.relay.run(|| Xsk::receiver("out1")).unwrap();
    let show = rig.start("");
    let desk = Desk::of(&show.mcr);
    let prober = Prober::start(show.mcr.folder().join("mcr.sock"));
    let began = monotonic_ns();
    let why = desk.refused(&["relay", "add", "two", "--in", "out1/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);
    let took = took(began);
    eprintln!("    refused after {took:?}");
    assert!(why.contains("out1 queue 0 is in use by another AF_XDP program: end that one first"), "{why}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    prober.end("a busy link");
    show.mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_binary_that_never_answers_is_refused_and_ended() {
    let rig = Rig::new(1);
    let show = rig.start("");
    let desk = Desk::of(&show.mcr);
    let prober = Prober::start(show.mcr.folder().join("mcr.sock"));
    let (script, pid) = (show.mcr.folder().join("silent"), show.mcr.folder().join("pid"));
    fs::write(&script, format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", pid.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let (began, lanes) = (monotonic_ns(), show.mcr.lanes());
    let why = desk.refused(&["upgrade", script.to_str().unwrap()]);
    let took = took(began);
    assert!(why.contains("did not answer within 2 s"), "{why}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!fs::exists(format!("/proc/{}", pid.trim())).unwrap(), "{pid} is there still");
    assert_eq!(show.mcr.lanes(), lanes);
    prober.end("a silent binary");
    show.mcr.stop().unwrap();
}

/// The file that the state is written to is a pipe that nobody reads: to open it waits, as on a disk that hangs.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_disk_that_hangs_for_eight_seconds_makes_nobody_unwell_and_is_told() {
    let rig = Rig::new(1);
    let show = rig.start("");
    let desk = Desk::of(&show.mcr);
    let prober = Prober::start(show.mcr.folder().join("mcr.sock"));
    let disk = show.mcr.folder().join("relays.toml.new");
    mkfifo(&disk, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let add = ["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"];
    let add = desk.command(&add).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let doing = || -> Value { desk.json(&["status"])["doing"].clone() };
    let deadline = Deadline::after(NOTED);
    while doing()["step"]["what"] != "writing the state file" {
        assert!(!deadline.passed(), "{}", doing());
    }
    std::thread::sleep(Duration::from_secs(8));
    let told = doing();
    assert_eq!(told["what"], "create relay \"two\" by uid 0", "{told}");
    let waited = told["step"]["since_s"].as_f64().unwrap();
    assert!(waited > 7.0, "{told}");
    prober.end("a disk that hangs");
    // A pipe cannot be flushed: the change is refused, and control goes on.
    File::open(&disk).unwrap().read_to_end(&mut Vec::new()).unwrap();
    let refused = add.wait_with_output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    desk.wait_until_well();
    // It may be at something else by then: links are looked at every few seconds.
    assert_ne!(doing()["step"]["what"], "writing the state file");
    show.mcr.stop().unwrap();
}

/// Waits until a change is in that state, and says its number.
#[track_caller]
pub(super) fn wait_for(desk: &Desk, what: &str, state: &str) -> Value {
    let deadline = Deadline::after(NOTED);
    loop {
        let all = desk.json(&["changes"]);
        let found = all.as_array().unwrap().iter().find(|change| change["what"] == what && change["state"] == state);
        if let Some(found) = found {
            return found["id"].clone();
        }
        assert!(!deadline.passed(), "{what} is not {state}: {all}");
    }
}

/// A change waits for a disk that hangs, and so does everything after it, but for what silences a relay.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_relay_is_muted_before_what_waits_and_nothing_older_undoes_that() {
    let rig = Rig::new(1);
    let show = rig.start("");
    let desk = Desk::of(&show.mcr);
    let add =
        |name: &'static str, group: &'static str| ["relay", "add", name, "--in", group, "--out", "out0/239.2.1.2:5001"];
    desk.done(&add("one", "in0/239.1.1.1:5000"));
    let (disk, kept) = (show.mcr.folder().join("relays.toml.new"), show.mcr.folder().join("pipe"));
    mkfifo(&disk, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let begin =
        |arguments: &[&str]| desk.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let create = begin(&add("two", "in0/239.1.1.2:5000"));
    // The one before is done, this one waits for the disk.
    wait_for(&desk, "create", "running");
    let unmute = begin(&["relay", "unmute", "one"]);
    wait_for(&desk, "unmute", "queued");
    let mute = begin(&["relay", "mute", "one"]);
    let by = wait_for(&desk, "mute", "queued");
    // The disk is well again, and what hangs there fails: a pipe cannot be flushed.
    fs::rename(&disk, &kept).unwrap();
    File::open(&kept).unwrap().read_to_end(&mut Vec::new()).unwrap();
    let ended = [create, mute, unmute].map(|child| child.wait_with_output().unwrap());
    assert_eq!(ended.each_ref().map(|output| output.status.success()), [false, true, false], "{ended:?}");
    let why = String::from_utf8_lossy(&ended[2].stderr);
    assert!(why.contains(&format!("change {by} has muted relay \"one\" since")), "{why}");
    assert_eq!(desk.json(&["relay", "show", "one"])["muted"], true);
    let told = desk.json(&["change", &by.to_string()]);
    assert_eq!((&told["state"], &told["relay"]), (&"done".into(), &"one".into()), "{told}");
    show.mcr.stop().unwrap();
}

/// A change that is carried out waits for a disk that hangs, another waits for its turn, and mcr is to end.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn whoever_waits_when_mcr_ends_is_told_so_and_a_disk_that_hangs_holds_up_nobody() {
    let rig = Rig::new(1);
    let mut show = rig.start("");
    let desk = Desk::of(&show.mcr);
    mkfifo(&show.mcr.folder().join("relays.toml.new"), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let begin = |name: &str, group: &str| {
        let add = ["relay", "add", name, "--in", group, "--out", "out0/239.2.1.2:5001"];
        desk.command(&add).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let is_writing = || desk.json(&["status"])["doing"]["step"]["what"] == "writing the state file";
    let deadline = Deadline::after(NOTED);
    let two = begin("two", "in0/239.1.1.2:5000");
    while !is_writing() {
        assert!(!deadline.passed(), "nothing is written");
    }
    let three = begin("three", "in0/239.1.1.3:5000");
    wait_for(&desk, "create", "queued");
    let began = monotonic_ns();
    show.mcr.process.signal(Signal::SIGTERM).unwrap();
    for waiting in [three, two] {
        let refused = waiting.wait_with_output().unwrap();
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && why.contains("mcr is ending"), "{why}");
    }
    show.mcr.process.wait(STOPPED).unwrap();
    let took = took(began);
    eprintln!("    ended after {took:?}");
    assert!(took < Duration::from_secs(15), "a disk has twenty seconds to answer, and mcr took {took:?} to end");
}
