//! A configuration is on trial while a newer control takes over: one control gives it up in time, whichever is in charge.

use crate::moments::{asks, two_binaries};
use crate::points::{Point, build};
use crate::refused::{done, status, wait_until_kept};
use crate::stage::{SOON, Stage, wait_until};
use bench::Relay;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// The process that runs a binary.
fn runs(binary: &Path) -> Pid {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_it = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary);
    Pid::from_raw(numbers.into_iter().find(is_it).unwrap())
}

/// Whether the relay's output is that group.
fn sends_to(relay: &Relay, group: &str) -> bool {
    done(relay, &["relay", "show", "one"]).contains(group)
}

/// How often what ran before was brought back since then.
fn given_up(relay: &Relay, mark: usize) -> usize {
    relay.process.lines().iter().skip(mark).filter(|line| line.contains("config.rolled_back")).count()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_trial_that_ends_during_an_upgrade_is_given_up_once_by_whoever_is_in_charge() {
    let stage = Stage::new(1);
    let point = Point::new(7);
    let relay = Relay::launch(build(), &stage.relay, &stage.config(), &[point.env()]).unwrap();
    relay.wait_until_ready().unwrap();
    wait_until_kept(&relay);
    let [newer, newest] = two_binaries(build(), relay.folder()).map(|binary| fs::canonicalize(binary).unwrap());
    let good = fs::read_to_string(relay.config()).unwrap();
    fs::write(relay.config(), good.replace("239.2.0.1", "239.2.0.7")).unwrap();
    // The newer control has the lanes, and is not in charge yet: it leaves the trial alone.
    let mark = relay.process.mark();
    done(&relay, &["reload", "--confirm", "2s"]);
    point.is("hang takeover.held");
    let mut asking = asks(&relay).arg("upgrade").arg(&newer).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the newer control does not come to its point", || point.was_come_to());
    wait_until("the trial does not end", || status(&relay)["config"]["on_trial"]["seconds_left"] == 0);
    assert!(sends_to(&relay, "239.2.0.7") && given_up(&relay, mark) == 0, "{}", relay.process.last_words());
    // It never is: the old one goes on, and with what it has to do.
    kill(runs(&newer), Signal::SIGKILL).unwrap();
    assert!(!asking.wait().unwrap().success());
    relay.process.wait_for_after(mark, "runs again: nobody has confirmed it in time", SOON).unwrap();
    wait_until("the old control does not go back", || sends_to(&relay, "239.2.0.1"));
    // The newer one leads before the time is up, and gives it up.
    let mark_of_next = relay.process.mark();
    done(&relay, &["reload", "--confirm", "4s"]);
    done(&relay, &["upgrade", newest.to_str().unwrap()]);
    relay.process.wait_for_after(mark_of_next, "runs again: nobody has confirmed it in time", SOON).unwrap();
    wait_until("the newer control does not go back", || sends_to(&relay, "239.2.0.1"));
    wait_until("a trial is shown that is over", || status(&relay)["config"]["on_trial"].is_null());
    relay.process.wait_for_after(mark_of_next, "to take it would change 1 relay", SOON).unwrap();
    assert_eq!((given_up(&relay, mark), given_up(&relay, mark_of_next)), (2, 1), "{}", relay.process.last_words());
    relay.stop().unwrap();
}
