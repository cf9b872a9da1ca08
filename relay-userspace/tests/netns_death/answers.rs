//! Whoever chooses between nodes is told the truth while control is away: packets flow.

use crate::control::kill_control;
use crate::stage::{RATE, SOON, Stage, kill_now, wait_until};
use bench::Relay;
use bench::clock::monotonic_ns;
use bench::links::ip;
use bench::probes::Probes;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr};
use nix::unistd::Pid;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Output, Stdio};

/// What `mcr health` says with these options: its exit code, and what it printed.
fn health(stage: &Stage, relay: &Relay, options: &[&str]) -> (i32, String) {
    let mut mcr = stage.relay.command(bench::relay::binary());
    mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).arg("health").args(options);
    if !options.contains(&"--timeout") {
        mcr.args(["--timeout", "5s"]);
    }
    let said = mcr.output().unwrap();
    let [out, errors] = [said.stdout, said.stderr].map(|text| String::from_utf8(text).unwrap());
    (said.status.code().unwrap(), out + &errors)
}

/// A control that is killed and followed by another five times: `/healthz` is never 503, `mcr health` never fails.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_restart_of_control_is_no_reason_to_fail_over() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 10);
    let [healthz, readyz] = ["/healthz", "/readyz"].map(|path| Probes::start(relay.folder().join("mcr.sock"), path));
    for _ in 0..5 {
        healthz.pass(20);
        kill_control(&mut relay);
        let (code, said) = health(&stage, &relay, &["--min", "100%"]);
        assert!(code == 0 && said.contains("ok (drift)") && said.contains("drift: control: control is away"), "{said}");
        assert_eq!(health(&stage, &relay, &["--quiet"]), (0, String::new()));
        assert_eq!(health(&stage, &relay, &["--weight"]), (0, "0\n".to_owned()));
        relay.process = stage.another(&relay);
        while relay.process.is_running().unwrap() && !relay.process.lines().iter().any(|line| line.contains(" ready "))
        {
            let (code, said) = health(&stage, &relay, &["--ready"]);
            assert_eq!(code, 0, "{said}");
        }
    }
    healthz.pass(20);
    for (path, answers) in [("/healthz", healthz.stop()), ("/readyz", readyz.stop())] {
        assert!(answers.failing.is_empty() && answers.well > 0, "{path}: {answers:?}");
        eprintln!("    {path}: {} answers, {} times nobody", answers.well, answers.unanswered);
    }
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!(report.restarts(), 0);
}

/// What a dead control cannot mend is a fault: a lane that stands still, and one that is dead.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_fault_is_found_while_control_is_away() {
    let stage = Stage::new(1);
    let two = stage.config().replace("ring_size", "cores = [0, 1]\nring_size");
    let two = two.replace("name = \"one\"", "name = \"one\"\nlabels = { group = \"news\" }");
    let mut relay = Relay::start(&stage.relay, &two).unwrap();
    kill_control(&mut relay);
    assert_eq!(health(&stage, &relay, &[]).0, 0);
    let (code, said) = health(&stage, &relay, &["--away-limit", "1ms"]);
    assert!(code == 1 && said.contains("fault: control: control is away for"), "{said}");

    // What waits counts where somebody asks for a minimum, of the relays that they name.
    ip(&["-n", stage.relay.name(), "link", "set", "out0", "down"]).unwrap();
    assert_eq!(health(&stage, &relay, &["--quiet"]).0, 0);
    let (code, said) = health(&stage, &relay, &["--relay", "on*", "--min", "1%"]);
    assert!(
        code == 1 && said.contains("partial: pending: 0% of 1 relay work: relay \"one\" outputs[0]: interface out0"),
        "{said}"
    );
    assert_eq!(health(&stage, &relay, &["--weight"]), (0, "-100\n".to_owned()));
    let (code, said) = health(&stage, &relay, &["--relay", "two", "--min", "0%"]);
    assert!(code == 1 && said.contains("no relay is called \"two\""), "{said}");
    let (code, said) = health(&stage, &relay, &["-l", "group=news", "--min", "1%"]);
    assert!(code == 1 && said.contains("partial: pending: 0% of 1 relay work"), "{said}");
    let (code, said) = health(&stage, &relay, &["-l", "group=sport", "--min", "0%"]);
    assert!(code == 1 && said.contains("no relay is meant by group=sport"), "{said}");
    ip(&["-n", stage.relay.name(), "link", "set", "out0", "up"]).unwrap();
    wait_until("the link does not come back", || health(&stage, &relay, &["--min", "100%"]).0 == 0);

    let lanes = relay.lanes();
    let pid = |lane: usize| Pid::from_raw(lanes[lane].cast_signed());
    kill(pid(1), Signal::SIGSTOP).unwrap();
    let (code, said) = health(&stage, &relay, &["--timeout", "300ms"]);
    kill(pid(1), Signal::SIGCONT).unwrap();
    assert!(code == 1 && said.contains("fault: lanes: lane 1 does not answer"), "{said}");
    wait_until("lane 1 does not come round again", || health(&stage, &relay, &[]).0 == 0);
    kill_now(lanes[1]);
    wait_until("lane 1 is not missed", || health(&stage, &relay, &[]).1.contains("fault: lanes: lane 1 is dead"));
    kill_now(lanes[0]);
    wait_until("there is no lane any more", || health(&stage, &relay, &[]).0 == 3);
    assert_eq!(health(&stage, &relay, &["--weight"]).1.lines().next(), Some("-254"));
}

/// A control that stands still answers nobody; its lanes do, also when so many have asked that it lets nobody in.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_stands_still_is_no_reason_to_fail_over() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(RATE / 10);
    relay.process.signal(Signal::SIGSTOP).unwrap();
    let (code, said) = health(&stage, &relay, &["--min", "100%"]);
    assert!(
        code == 0 && said.contains("ok (drift)") && said.contains("drift: control: control does not answer"),
        "{said}"
    );
    // What it wrote down is known.
    ip(&["-n", stage.relay.name(), "link", "set", "out0", "down"]).unwrap();
    let (code, said) = health(&stage, &relay, &["--min", "1%"]);
    assert!(code == 1 && said.contains("partial: pending: 0% of 1 relay work"), "{said}");
    ip(&["-n", stage.relay.name(), "link", "set", "out0", "up"]).unwrap();

    let socket = relay.folder().join("mcr.sock");
    let connect = || {
        let address = UnixAddr::new(&socket).unwrap();
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let client = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
        nix::sys::socket::connect(client.as_raw_fd(), &address).map(|()| client)
    };
    let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).collect();
    let (code, said) = health(&stage, &relay, &[]);
    assert!(code == 0 && said.contains("control does not answer"), "{} wait: {said}", waiting.len());

    let lane = Pid::from_raw(relay.lanes()[0].cast_signed());
    kill(lane, Signal::SIGSTOP).unwrap();
    let (code, said) = health(&stage, &relay, &["--timeout", "600ms"]);
    kill(lane, Signal::SIGCONT).unwrap();
    assert!(code == 1 && said.contains("fault: lanes: lane 0 does not answer"), "{said}");
    relay.process.signal(Signal::SIGCONT).unwrap();
    drop((waiting, traffic));
    relay.stop().unwrap();
}

/// Whoever is to put another control in its place is told what is wrong, and the way out loses nothing.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_stands_still_is_killed_when_somebody_says_so() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 10);
    let lanes = relay.lanes();
    let restart = |relay: &Relay, options: &[&str]| {
        let mut mcr = stage.relay.command(bench::relay::binary());
        mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).arg("restart").args(options);
        mcr
    };
    let words = |said: Output| String::from_utf8(said.stdout).unwrap() + &String::from_utf8(said.stderr).unwrap();
    relay.process.signal(Signal::SIGSTOP).unwrap();
    let began = monotonic_ns();
    let said = restart(&relay, &[]).output().unwrap();
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    // Three seconds, where both cores are busy too.
    assert!(monotonic_ns() - began < 20_000_000_000);
    let (pid, told) = (relay.process.pid(), words(said));
    assert!(told.contains(&format!("kill -CONT {pid}")) && told.contains("mcr restart --force"), "{told}");

    // Nobody starts another.
    let said = restart(&relay, &["--force"]).output().unwrap();
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    let told = words(said);
    assert!(
        told.contains("nobody has started another") && told.contains(" run ") && told.contains("--config"),
        "{told}"
    );
    relay.process.wait(SOON).unwrap();

    // Somebody does.
    relay.process = stage.another(&relay);
    relay.wait_until_ready().unwrap();
    relay.process.signal(Signal::SIGSTOP).unwrap();
    let forced = restart(&relay, &["--force"]).stdout(Stdio::piped()).spawn().unwrap();
    relay.process.wait(SOON).unwrap();
    relay.process = stage.another(&relay);
    let said = forced.wait_with_output().unwrap();
    assert!(said.status.success() && words(said.clone()).contains("is started anew"), "{said:?}");
    traffic.pass(RATE / 10);
    assert_eq!(relay.lanes(), lanes);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert_eq!((account.lost_since_the_first(), report.restarts()), (account.lost_on_links, 0));
}

/// Others than the lanes' user cannot ask them, and are told who can; root can, whoever runs mcr.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn who_may_not_ask_lanes_is_told_who_may() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    kill_control(&mut relay);
    let folder = relay.folder();
    let mut mcr: Command = stage.relay.command("setpriv");
    mcr.args(["--reuid=65534", "--clear-groups", "--inh-caps=-all"]).arg(bench::relay::binary());
    let said = mcr.env("MCR_SOCKET", folder.join("mcr.sock")).args(["health"]).output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(3), "{said:?}");
    assert!(errors.contains("its lanes can be asked by user root and by root only"), "{errors}");
}
