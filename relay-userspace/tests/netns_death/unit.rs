//! The unit is stopped while control is away, which lanes hear from systemd alone: whatever became of control, they end.
//!
//! systemd is played here as far as control talks to it, so that it can be slow where a real one is fast.

use crate::control::kill_control;
use crate::moments::{asks, two_binaries};
use crate::points::{Point, SECOND, build};
use crate::refused::{done, relays};
use crate::stage::{RATE, SOON, Stage, Traffic, kill_now, wait_until};
use bench::Relay;
use bench::clock::monotonic_ns;
use nix::sys::signal::Signal;
use relay_engine::sys::fd_passing::{self as passing, Waits};
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lanes have 200 ms; ten times that where others have the machine.
const FENCED_WITHIN: Duration = Duration::from_secs(2);

/// systemd, as long as it runs the unit.
struct Systemd {
    socket: PathBuf,
    unit: Arc<Mutex<Unit>>,
    hears: Option<JoinHandle<()>>,
}

/// What it has of the unit.
#[derive(Default)]
struct Unit {
    kept: Vec<OwnedFd>,
    keeps_nothing: bool,
    /// It reads nothing of what it is told.
    is_busy: bool,
    /// It becomes so when another main process is named, before it has dealt with that.
    is_busy_once_followed: bool,
    main: Option<u32>,
    has_ended: bool,
}

impl Systemd {
    fn new(name: &str) -> Self {
        let socket = std::env::temp_dir().join(format!("mcr-notify-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&socket);
        let listens = UnixDatagram::bind(&socket).unwrap();
        listens.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let unit = Arc::<Mutex<Unit>>::default();
        let told = Arc::clone(&unit);
        let hears = std::thread::spawn(move || {
            while !lock(&told).has_ended {
                let mut text = [0; 4096];
                if lock(&told).is_busy {
                    std::thread::sleep(Duration::from_millis(1));
                } else if let Ok(received) = passing::receive(listens.as_fd(), &mut text, Waits::Yes) {
                    lock(&told).hear(&String::from_utf8_lossy(&text[..received.bytes]), received.descriptors);
                }
            }
        });
        Self { socket, unit, hears: Some(hears) }
    }

    fn unit(&self) -> MutexGuard<'_, Unit> {
        lock(&self.unit)
    }

    /// The unit is inactive: nothing is kept for it any more.
    fn stops_the_unit(&self) {
        assert!(!self.unit().kept.is_empty(), "nothing was kept, or control has let go of it");
        self.unit().kept.clear();
    }
}

impl Unit {
    fn hear(&mut self, text: &str, descriptors: Vec<OwnedFd>) {
        if text.lines().any(|line| line == "FDSTORE=1") && !self.keeps_nothing {
            self.kept.extend(descriptors);
        }
        if let Some(main) = text.lines().find_map(|line| line.strip_prefix("MAINPID=")) {
            self.main = main.parse().ok();
            self.is_busy = self.is_busy_once_followed;
        }
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        self.unit().has_ended = true;
        let _ = self.hears.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.socket);
        // No process of a test outlives it.
        if let Some(main) = self.unit().main.take() {
            kill_now(main);
        }
    }
}

fn lock(unit: &Mutex<Unit>) -> MutexGuard<'_, Unit> {
    unit.lock().unwrap()
}

/// A unit that runs, with a stream.
struct Runs<'a> {
    stage: &'a Stage,
    systemd: Systemd,
    point: Point,
    relay: Relay,
    traffic: Traffic<'a>,
}

impl<'a> Runs<'a> {
    fn on(stage: &'a Stage, name: &str) -> Self {
        let (systemd, point) = (Systemd::new(name), Point::new(name.len() + 100));
        let env = [point.env(), ("NOTIFY_SOCKET", systemd.socket.to_str().unwrap())];
        let relay = Relay::launch(build(), &stage.relay, &stage.config(), &env).unwrap();
        relay.wait_until_ready().unwrap();
        wait_until("systemd is given nothing to keep", || !systemd.unit().kept.is_empty());
        let traffic = stage.stream_at(RATE / 10);
        traffic.wait_until_it_arrives();
        Self { stage, systemd, point, relay, traffic }
    }

    /// systemd starts control again, with nothing that another has given it.
    fn starts_again(&mut self) {
        let env = [("NOTIFY_SOCKET", self.systemd.socket.to_str().unwrap())];
        self.relay.process = self.relay.another_with(build(), &self.stage.relay, &env).unwrap();
        let ready = self.relay.wait_until_ready();
        assert!(ready.is_ok(), "{}", self.relay.process.last_words());
    }

    /// Control is dead, and lanes relay; then the unit is stopped, and they end.
    #[track_caller]
    fn ends_with_the_unit(self) {
        self.traffic.wait_until_it_arrives();
        assert!(!self.relay.lanes().is_empty());
        self.systemd.stops_the_unit();
        let began = monotonic_ns();
        wait_until("a lane relays on in a unit that is stopped", || self.relay.lanes().is_empty());
        let took = Duration::from_nanos(monotonic_ns() - began);
        eprintln!("    lanes have ended after {took:?}");
        assert!(took < FENCED_WITHIN, "{took:?}");
    }
}

/// The newer control ends with the one before it, at a moment at which it has the lanes.
fn dies_in_an_upgrade(name: &str, point: &str) {
    let stage = Stage::new(1);
    let mut runs = Runs::on(&stage, name);
    let [newer, _] = two_binaries(build(), runs.relay.folder());
    runs.point.is(&format!("hang {point}"));
    let mut asking = asks(&runs.relay).arg("upgrade").arg(&newer).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the newer control does not come to its point", || runs.point.was_come_to());
    kill_control(&mut runs.relay);
    asking.wait().unwrap();
    runs.ends_with_the_unit();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn both_controls_die_when_the_newer_one_has_the_lanes() {
    dies_in_an_upgrade("held", "takeover.held");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn both_controls_die_when_a_lane_is_renewed() {
    dies_in_an_upgrade("renewed", "renew.go");
}

/// systemd is busy from the moment on at which it is told of the newer control, and deals with nothing that this one asks for.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_newer_control_dies_as_soon_as_it_leads() {
    let stage = Stage::new(1);
    let mut runs = Runs::on(&stage, "leads");
    let [newer, _] = two_binaries(build(), runs.relay.folder());
    runs.systemd.unit().is_busy_once_followed = true;
    done(&runs.relay, &["upgrade", newer.to_str().unwrap()]);
    let ended = runs.relay.process.wait(SOON).unwrap();
    assert!(ended.success(), "{}", runs.relay.process.last_words());
    let main = runs.systemd.unit().main.unwrap();
    kill_now(main);
    runs.ends_with_the_unit();
}

/// SIGHUP comes while systemd is told of the newer control, which leads: it is that one's to carry out.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_reload_that_is_asked_for_while_a_newer_control_follows_is_carried_out_by_that() {
    let stage = Stage::new(1);
    let mut runs = Runs::on(&stage, "reload");
    let [newer, _] = two_binaries(build(), runs.relay.folder());
    runs.systemd.unit().is_busy_once_followed = true;
    let mut asking = asks(&runs.relay).arg("upgrade").arg(&newer).stderr(Stdio::null()).spawn().unwrap();
    wait_until("systemd is not told of the newer control", || runs.systemd.unit().main.is_some());
    fs::write(runs.relay.config(), fs::read_to_string(runs.relay.config()).unwrap() + SECOND).unwrap();
    runs.relay.process.signal(Signal::SIGHUP).unwrap();
    runs.systemd.unit().is_busy = false;
    assert!(asking.wait().unwrap().success());
    assert!(runs.relay.process.wait(SOON).unwrap().success());
    wait_until("the file is not taken", || relays(&runs.relay).len() == 2);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_was_started_anew_dies_before_systemd_has_heard_it() {
    let stage = Stage::new(1);
    let mut runs = Runs::on(&stage, "restart");
    runs.systemd.unit().is_busy = true;
    done(&runs.relay, &["restart"]);
    kill_control(&mut runs.relay);
    runs.ends_with_the_unit();
}

/// As above, and nothing was handed on: what lanes hold is good until there is something better.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_dies_twice_while_systemd_hears_nothing() {
    let stage = Stage::new(1);
    let mut runs = Runs::on(&stage, "busy");
    kill_control(&mut runs.relay);
    runs.systemd.unit().is_busy = true;
    runs.starts_again();
    kill_control(&mut runs.relay);
    runs.ends_with_the_unit();
}

/// Where systemd lets go of what it had and keeps nothing else, a control that dies leaves lanes that relay.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn lanes_hold_nothing_where_systemd_keeps_nothing() {
    let stage = Stage::new(1);
    let mut runs = Runs::on(&stage, "nothing");
    let lanes = runs.relay.lanes();
    kill_control(&mut runs.relay);
    runs.systemd.unit().keeps_nothing = true;
    runs.starts_again();
    kill_control(&mut runs.relay);
    runs.systemd.unit().kept.clear();
    // They look a hundred times a second.
    runs.traffic.pass(RATE / 20);
    assert_eq!(runs.relay.lanes(), lanes);
    runs.traffic.wait_until_it_arrives();
    // What another has had of the unit is nothing to one that was started by hand.
    runs.relay.process = runs.stage.another(&runs.relay);
    runs.relay.wait_until_ready().unwrap();
    runs.relay.process.signal(Signal::SIGTERM).unwrap();
    runs.relay.process.wait(SOON).unwrap();
}
