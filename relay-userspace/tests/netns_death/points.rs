//! Control dies at each point of a start, of a take-over and of an upgrade where what it has done so far could be lost with it.

use crate::control::kill_control;
use crate::moments::{asks, beside, has_taken_over, two_binaries, with_lanes};
use crate::refused::relays;
use crate::stage::{Account, RATE, SOON, Stage, kill_now, wait_until};
use bench::Relay;
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// The build that can be made to die.
pub(crate) fn build() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mcr"))
}

/// The file that names the point to die at, and the variable that names the file; it goes when this is dropped.
pub(crate) struct Point(PathBuf);

impl Point {
    pub(crate) fn new(lanes: usize) -> Self {
        Self(std::env::temp_dir().join(format!("mcr-point-{}-{lanes}", std::process::id())))
    }

    /// The next control that comes there dies.
    pub(crate) fn is(&self, point: &str) {
        fs::write(&self.0, point).unwrap();
    }

    pub(crate) fn was_come_to(&self) -> bool {
        !self.0.exists()
    }

    /// The next that come to these points wait there; those that waited at others go on.
    pub(crate) fn waits(&self, points: &[&str]) {
        let lines: Vec<String> = points.iter().map(|point| format!("wait {point}\n")).collect();
        // Whoever reads it sees all of it.
        let new = self.0.with_extension("new");
        fs::write(&new, lines.concat()).unwrap();
        fs::rename(&new, &self.0).unwrap();
    }

    /// Waits until somebody waits at a point.
    pub(crate) fn is_waited_at(&self, point: &str) {
        let mark = self.0.with_extension(point);
        wait_until(point, || mark.exists());
        fs::remove_file(&mark).unwrap();
    }

    pub(crate) fn env(&self) -> (&str, &str) {
        ("MCR_CHAOS_DIE", self.0.to_str().unwrap())
    }
}

impl Drop for Point {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Waits until control has died, and for the next one.
fn next(stage: &Stage, relay: &mut Relay, binary: &Path, env: &[(&str, &str)], point: &str) {
    let died = relay.process.wait(SOON);
    assert!(died.is_ok(), "{point} was not come to: {}", relay.process.last_words());
    relay.process = relay.another_with(binary, &stage.relay, env).unwrap();
    let ready = relay.wait_until_ready();
    assert!(ready.is_ok(), "{point}: stuck: {}", relay.process.last_words());
}

/// The points of a start, and whether lanes run by then.
const START: [(&str, bool); 8] = [
    ("start.memo", false),
    ("lane", true),
    ("start.lanes", true),
    ("attach.pass", true),
    ("attach.held", true),
    ("attach.relay", true),
    ("start.attached", true),
    ("start.end", true),
];

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_dies_at_each_point_of_a_start() {
    let stage = Stage::new(1);
    for lanes in [1, 2] {
        for (name, lanes_run) in START {
            let traffic = stage.stream_at(RATE / 10);
            let point = Point::new(lanes);
            point.is(name);
            let config = with_lanes(&stage, lanes);
            let mut relay = Relay::launch(build(), &stage.relay, &config, &[point.env()]).unwrap();
            next(&stage, &mut relay, build(), &[], name);
            assert!(point.was_come_to(), "{name}");
            assert_eq!(has_taken_over(&relay), lanes_run, "{name}, {lanes} lanes: {}", relay.process.last_words());
            traffic.wait_until_it_arrives();
            let account = traffic.settle();
            let report = relay.stop().unwrap();
            let lost = report.lost_around_lanes() + account.lost_on_links;
            assert_eq!(account.lost_since_the_first(), lost, "{name}, {lanes} lanes: {account:?}");
        }
    }
}

/// The points of taking over as another binary, and those that only one with another program comes to.
const UPGRADE: [&str; 7] =
    ["takeover.found", "takeover.held", "takeover.changed", "renew.next", "renew.pause", "lane", "renew.go"];
const OF_PROGRAM: [&str; 2] = ["takeover.replaced", "takeover.noted"];

fn upgrades(lanes: usize, points: &[&str], env: &[(&str, &str)]) {
    let stage = Stage::new(1);
    let point = Point::new(lanes);
    let env = [&[point.env()], env].concat();
    let mut relay = Relay::launch(build(), &stage.relay, &with_lanes(&stage, lanes), &env).unwrap();
    relay.wait_until_ready().unwrap();
    let binaries = two_binaries(build(), relay.folder());
    let traffic = stage.stream_at(RATE / 10);
    traffic.wait_until_it_arrives();
    for (round, name) in points.iter().enumerate() {
        let (binary, pid, mark) = (&binaries[round % 2], relay.process.pid(), relay.process.mark());
        // The newer control dies, and the one that is there goes on.
        point.is(name);
        let asked = asks(&relay).arg("upgrade").arg(binary).output().unwrap();
        let why = String::from_utf8_lossy(&asked.stderr);
        assert!(asked.status.code() == Some(1) && why.contains("it ended: signal 9"), "{name}: {asked:?}");
        assert!(point.was_come_to(), "{name}");
        // Only the one that leads says so: it has brought everything back by then.
        relay.process.wait_for_after(mark, " ready relays=", SOON).unwrap();
        assert!(relay.process.pid() == pid && relay.process.is_running().unwrap(), "{name}");
        // One that was not told to go ends with its control.
        wait_until(name, || relay.lanes().len() == lanes);
        // It dies, and so does the next one.
        kill_control(&mut relay);
        point.is(name);
        relay.process = relay.another_with(binary, &stage.relay, &env).unwrap();
        next(&stage, &mut relay, binary, &env, name);
        assert!(point.was_come_to(), "{name}");
        assert!(has_taken_over(&relay), "{name}, {lanes} lanes: begun anew: {}", relay.process.last_words());
        wait_until(name, || relay.lanes().len() == lanes);
    }
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!((account.lost_since_the_first(), report.restarts()), (account.lost_on_links, 0), "{account:?}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_dies_at_each_point_of_an_upgrade() {
    for lanes in [1, 2] {
        upgrades(lanes, &UPGRADE, &[]);
    }
}

/// Each binary is taken for one with another program.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_dies_at_each_point_of_an_upgrade_to_another_program() {
    upgrades(1, &[&UPGRADE[..], &OF_PROGRAM].concat(), &[("MCR_CHAOS_OBJECT", "1")]);
}

/// A newer control hangs when it has the lanes. Says what is left of the one that runs.
fn hangs(what_then: impl FnOnce(&mut Relay, Child)) -> Account {
    let stage = Stage::new(1);
    let point = Point::new(1);
    let mut relay = Relay::launch(build(), &stage.relay, &stage.config(), &[point.env()]).unwrap();
    relay.wait_until_ready().unwrap();
    let [newer, _] = two_binaries(build(), relay.folder());
    let traffic = stage.stream_at(RATE / 10);
    traffic.wait_until_it_arrives();
    point.is("hang takeover.held");
    let asking = asks(&relay).arg("upgrade").arg(&newer).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the newer control does not come to its point", || point.was_come_to());
    what_then(&mut relay, asking);
    traffic.settle()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn mcr_is_ended_while_a_newer_control_hangs_with_the_lanes() {
    hangs(|relay, asking| {
        relay.process.signal(Signal::SIGTERM).unwrap();
        let ended = relay.process.wait(SOON).unwrap();
        assert!(ended.success() && relay.lanes().is_empty(), "{ended}: {}", relay.process.last_words());
        let asked = asking.wait_with_output().unwrap();
        assert!(!asked.status.success(), "{asked:?}");
    });
}

/// A second relay for a stage's file.
pub(crate) const SECOND: &str = "\n[[relay]]\nname = \"two\"\ninput = { interface = \"in0\", group = \"239.1.1.2\", port = 5000 }\n\
                                 outputs = [{ interface = \"out0\", group = \"239.9.1.1\", port = 5001 }]\n";

/// SIGHUP comes while another control has the lanes, which dies.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_reload_that_is_asked_for_while_a_newer_control_has_the_lanes_is_carried_out() {
    hangs(|relay, asking| {
        let mark = relay.process.mark();
        fs::write(relay.config(), fs::read_to_string(relay.config()).unwrap() + SECOND).unwrap();
        relay.process.signal(Signal::SIGHUP).unwrap();
        beside(relay).into_iter().for_each(kill_now);
        asking.wait_with_output().unwrap();
        let taken = relay.process.wait_for_after(mark, "the configuration file: reload all relays: applied", SOON);
        assert!(taken.is_ok(), "{}", relay.process.last_words());
        assert_eq!(relays(relay).len(), 2);
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_newer_control_that_hangs_with_the_lanes_is_ended_in_time() {
    if std::env::var_os("MCR_LONG").is_none() {
        eprintln!("only with `test long`: it takes as long as a control is given");
        return;
    }
    let account = hangs(|relay, asking| {
        let asked = asking.wait_with_output().unwrap();
        let why = String::from_utf8_lossy(&asked.stderr);
        assert!(why.contains("it was not ready within 10 s"), "{why}");
        wait_until("control does not answer", || asks(relay).arg("status").output().unwrap().status.success());
        assert!(relay.process.is_running().unwrap() && relay.lanes().len() == 1);
    });
    assert_eq!(account.lost_since_the_first(), account.lost_on_links, "{account:?}");
}
