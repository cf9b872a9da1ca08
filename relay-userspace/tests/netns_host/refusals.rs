//! What this machine cannot do: mcr says so, ends, and leaves nothing behind.

use crate::groups::joined;
use crate::line::{Folder, INPUT, Line, ONE, OUTPUT};
use bench::links::ip;
use bench::relay::binary;
use bench::source::send_frames;
use bench::{Process, Sink, ledger::Ledger, sink::Flow};
use nix::fcntl::{Flock, FlockArg};
use relay_common::plan::Mode;
use relay_control::bpf::attached::Attached;
use relay_control::bpf::program::{Loading, Program};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs mcr behind `wrapper` with `head` before the simplest relay, has it refuse, looks that nothing is left, and
/// returns what it said.
fn refusal(line: &Line, wrapper: &[&str], head: &str) -> String {
    let folder = Folder::new("refusals");
    std::fs::write(folder.file("relay.toml"), format!("{head}\n{ONE}")).unwrap();
    let (groups, programs) = (joined(&line.relay, "in0"), programs(line));
    let mut command = line.relay.command("env");
    command.args(wrapper).arg(binary()).arg("run").arg("--run-dir").arg(folder.path());
    command.arg("--config").arg(folder.file("relay.toml"));
    let mut mcr = Process::start("mcr", command).unwrap();
    let status = mcr.wait(PATIENCE).unwrap();
    let said = mcr.lines().join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.lines().last().is_some_and(|last| last.starts_with("mcr: ") || last.starts_with("  ")), "{said}");

    assert_eq!(joined(&line.relay, "in0"), groups, "a group is left joined after\n{said}");
    assert_eq!(self::programs(line), programs, "a program is left attached after\n{said}");
    let processes = ip(&["netns", "pids", line.relay.name()]).unwrap();
    assert_eq!(processes, "", "a process is left after\n{said}");
    for lock in folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        let is_free = Flock::lock(std::fs::File::open(&lock).unwrap(), FlockArg::LockExclusiveNonblock).is_ok();
        assert!(is_free || lock.ends_with("relay.toml"), "{} is held after\n{said}", lock.display());
    }
    said
}

/// The XDP programs on the relay's links, as `ip` shows them.
fn programs(line: &Line) -> Vec<String> {
    let links = ip(&["-n", line.relay.name(), "link", "show"]).unwrap();
    links.lines().filter(|line| line.contains("prog/xdp")).map(str::to_owned).collect()
}

/// The links are free: the simplest relay starts and relays.
fn a_relay_still_works(line: &Line) {
    let mcr = line.start(ONE);
    relays(line);
    mcr.stop().unwrap();
}

fn relays(line: &Line) {
    let flow = Flow::new(OUTPUT.parse().unwrap(), &Ledger::shared("unread", 1));
    let sink = Sink::start_keeping(1, &line.receiver, "rx0", vec![flow]).unwrap();
    send_frames(&line.source, "src0", &[line.frame(INPUT, b"is anybody there?")]).unwrap();
    let deadline = bench::clock::Deadline::after(PATIENCE);
    while sink.datagrams() == 0 {
        assert!(!deadline.passed(), "nothing is relayed");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word} is not in\n{said}");
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn rights_that_are_missing_are_named() {
    let line = Line::new();
    // Everybody can go there, so that only the missing rights can be what is wrong.
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    says(&refusal(&line, &nobody, ""), &["CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF", "root", "systemd"]);
    let said = refusal(&line, &["setpriv", "--bounding-set", "-bpf"], "");
    says(&said, &["mcr run needs CAP_BPF:"]);
    a_relay_still_works(&line);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn memory_that_may_not_be_locked_is_named() {
    let line = Line::new();
    let wrapper = ["prlimit", "--memlock=65536", "setpriv", "--bounding-set", "-ipc_lock"];
    says(&refusal(&line, &wrapper, ""), &["cannot lock 50 MiB of frames", "memory-lock limit", "CAP_IPC_LOCK"]);
    a_relay_still_works(&line);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_the_machine_or_link_cannot_do_is_named() {
    let line = Line::new();
    let interface = |line: &str| format!("[[interface]]\nname = \"in0\"\n{line}");
    says(
        &refusal(&line, &[], "[lanes]\nframes = 64"),
        &["lanes.frames = 64 is too few", "at least 8256, or leave it out"],
    );
    says(&refusal(&line, &[], "[lanes]\ncores = [999]"), &["lanes.cores names core 999", "name others"]);
    let said = refusal(&line, &[], &interface("zero_copy = \"always\""));
    says(&said, &["in0 queue 0 cannot do zero-copy", "zero_copy = \"auto\""]);
    a_relay_still_works(&line);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn frames_too_long_for_xdp_are_named() {
    let line = Line::shaped(9000, 1);
    let said = refusal(&line, &[], "[[interface]]\nname = \"in0\"\nmode = \"native\"");
    says(&said, &["cannot attach the XDP program to in0 in native mode", "MTU", "lower it"]);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_pending_at_the_start_is_named_with_its_remedy() {
    let line = Line::shaped(3000, 1);
    let config =
        format!("[lanes]\ncores = [0, 1]\nframe_size = 2048\n[[interface]]\nname = \"in0\"\nqueues = [0, 3]\n{ONE}");
    let nowhere = ONE.replace("\"one\"", "\"two\"").replace("in0", "none0");
    let mcr = line.start(&format!("{config}{nowhere}"));
    for text in [
        "packets of in0 may have 3000 bytes, a frame of 2048 bytes holds 1766: mcr copies what comes in",
        "relay \"one\" input: interface \"in0\" has 1 receive queues, so queue 3 does not exist: correct queues, or \
         ethtool -L in0 combined 4",
        "relay \"two\" input: interface \"none0\" does not exist: create it, or correct its name",
    ] {
        mcr.process.wait_for(text, Duration::from_millis(1)).unwrap();
    }
    mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_second_mcr_leaves_the_first_alone() {
    let line = Line::new();
    let first = line.start(ONE);
    let folder = first.config().parent().unwrap().display().to_string();
    let start = |run_dir: &str, state_dir: &str| {
        let mut command = line.relay.command(binary());
        command.args(["run", "--run-dir", run_dir, "--state-dir", state_dir, "--config"]).arg(first.config());
        Process::start("mcr", command).unwrap()
    };
    let pid = first.process.pid().to_string();
    let mut second = start(&folder, &folder);
    assert_eq!(second.wait(PATIENCE).unwrap().code(), Some(1));
    says(
        &second.lines().join("\n"),
        &[&format!("another mcr (pid {pid}) runs in this network namespace"), "end it first"],
    );
    relays(&line);
    let elsewhere = Folder::new("second");
    let elsewhere_is = elsewhere.path().display().to_string();
    let mut second = start(&elsewhere_is, &elsewhere_is);
    second.wait_for(" ready relays=", PATIENCE).unwrap();
    says(&second.lines().join("\n"), &["queue 0 is in use by another AF_XDP program", "end that one first"]);
    relays(&line);
    second.stop(PATIENCE).unwrap();
    relays(&line);
    let report = first.stop().unwrap();
    assert_eq!((report.received("one"), report.restarts()), (3, 0));
}

/// Another program's program: ours, but attached by this process.
fn occupy(line: &Line, mode: Mode) -> Attached {
    line.relay.run(|| {
        let program = Program::load(Loading { max_relays: 1, debug: false }).unwrap();
        program.attach("in0", line.in0.index, mode).unwrap()
    })
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_with_another_xdp_program_is_pending_until_that_one_is_gone() {
    let line = Line::new();
    for (theirs, ours) in [(Mode::Native, "native"), (Mode::Native, "auto"), (Mode::Generic, "auto")] {
        let other = occupy(&line, theirs);
        assert_eq!(programs(&line).len(), 1);
        let folder = Folder::new("occupied");
        std::fs::write(folder.file("relay.toml"), ONE).unwrap();
        let mut check = line.relay.command(binary());
        check.arg("check").arg("--run-dir").arg(folder.path()).arg("--state-dir").arg(folder.path());
        let said = String::from_utf8(check.arg(folder.file("relay.toml")).output().unwrap().stdout).unwrap();
        says(&said, &["warning: another XDP program", "is attached to in0: ours cannot be", "xdp"]);
        let mcr = line.start(&format!("[[interface]]\nname = \"in0\"\nmode = \"{ours}\"\n{ONE}"));
        mcr.process.wait_for("another XDP program is attached to in0", PATIENCE).unwrap();
        mcr.process.wait_for("ip link set dev in0 xdp off", PATIENCE).unwrap();
        let mark = mcr.process.mark();
        drop(other);
        mcr.process.wait_for_after(mark, "no longer pending", PATIENCE).unwrap();
        relays(&line);
        mcr.stop().unwrap();
    }
}

/// A link whose queue another program has costs the relays of other links nothing.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_busy_link_is_pending_at_the_start_and_the_others_work() {
    let line = Line::new();
    bench::links::Veth::new(
        bench::links::End::new(&line.relay, "busy0").address("10.9.0.1/24"),
        bench::links::End::new(&line.receiver, "far0").address("10.9.0.2/24"),
    )
    .create()
    .unwrap();
    let busy = ONE.replace("\"one\"", "\"two\"").replace("in0", "busy0").replace("239.2.1.1", "239.2.1.2");
    let other = Folder::new("busy-other");
    std::fs::write(other.file("relay.toml"), busy.replace("out0", "busy0")).unwrap();
    let mut command = line.relay.command(binary());
    command.arg("run").arg("--run-dir").arg(other.path()).arg("--state-dir").arg(other.path());
    command.arg("--config").arg(other.file("relay.toml"));
    let mut other = Process::start("mcr", command).unwrap();
    other.wait_for(" ready relays=", PATIENCE).unwrap();
    let mcr = line.start(&format!("{ONE}{busy}"));
    mcr.process.wait_for("busy0 queue 0 is in use by another AF_XDP program", PATIENCE).unwrap();
    relays(&line);
    let mark = mcr.process.mark();
    other.stop(PATIENCE).unwrap();
    mcr.process.wait_for_after(mark, "no longer pending", PATIENCE).unwrap();
    relays(&line);
    assert_eq!(mcr.stop().unwrap().received("one"), 2);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_neighbour_that_was_kept_is_let_go_of_at_the_end() {
    let line = Line::new();
    let shown = || ip(&["-n", line.relay.name(), "neighbour", "show", "dev", "out0"]).unwrap();
    for is_dead in [false, true] {
        let mut mcr = line.start(&ONE.replace("group = \"239.2.1.1\"", "address = \"10.2.0.9\""));
        let deadline = bench::clock::Deadline::after(PATIENCE);
        while !shown().contains("10.2.0.9 lladdr") {
            assert!(!deadline.passed(), "{}", shown());
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(shown().contains("managed"), "{}", shown());
        if is_dead {
            // Lanes that have no control are ended by who did not ask for it.
            mcr.process.signal(nix::sys::signal::Signal::SIGKILL).unwrap();
            mcr.process.wait(PATIENCE).unwrap();
            let mut stop = line.relay.command(binary());
            let said = stop.args(["stop", "--run-dir"]).arg(mcr.folder()).output().unwrap();
            assert!(said.status.success(), "{said:?}");
        } else {
            mcr.stop().unwrap();
        }
        assert!(!shown().contains("managed"), "the kernel asks for it for ever: {}", shown());
    }
}
