//! A control that starts and finds a configuration file that is refused.

use crate::control::kill_control;
use crate::stage::{RATE, SOON, Stage, frames_are_all_there, wait_until};
use bench::Relay;
use bench::relay::binary;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

/// A file that nobody can read.
const BROKEN: &str = "[[relay]\nname = \"one\"\n";

/// Asks the running node.
pub(crate) fn mcr(relay: &Relay, arguments: &[&str]) -> Output {
    let mut mcr = Command::new(binary());
    mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).args(arguments).output().unwrap()
}

#[track_caller]
pub(crate) fn done(relay: &Relay, arguments: &[&str]) -> String {
    let output = mcr(relay, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn status(relay: &Relay) -> Value {
    serde_json::from_str(&done(relay, &["status", "--json"])).unwrap()
}

/// The names of all relays, with where they come from and how they do.
pub(crate) fn relays(relay: &Relay) -> Vec<(String, String, String)> {
    let all: Value = serde_json::from_str(&done(relay, &["relay", "ls", "--json"])).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one = |relay: &Value| (text(&relay["name"]), text(&relay["origin"]), text(&relay["status"]["state"]));
    all["relays"].as_array().unwrap().iter().map(one).collect()
}

/// The next control of a relay, ready.
#[track_caller]
pub(crate) fn next(stage: &Stage, relay: &mut Relay) {
    relay.process = stage.another(relay);
    let ready = relay.wait_until_ready();
    assert!(ready.is_ok(), "{}", relay.process.last_words());
}

/// What is in force is on disk, for the next control.
#[track_caller]
pub(crate) fn wait_until_kept(relay: &Relay) {
    let kept = relay.folder().join("relays.toml.last-good");
    wait_until("the configuration that runs is not kept", || kept.exists());
}

/// Ends what is there, and says what it said of that.
#[track_caller]
pub(crate) fn stop(stage: &Stage, relay: &Relay) -> String {
    let mut mcr = stage.relay.command(binary());
    let output = mcr.arg("stop").arg("--run-dir").arg(relay.folder()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(relay.lanes().is_empty(), "a lane is left after {output:?}");
    wait_until("something stays behind", || !stage.is_attached() && !stage.is_joined());
    String::from_utf8(output.stdout).unwrap()
}

/// How links are used stands in the file only, and the sockets depend on it.
fn in_generic_mode(stage: &Stage) -> String {
    format!("[[interface]]\nname = \"in0\"\nmode = \"generic\"\n{}", stage.config())
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_finds_a_bad_file_goes_on_with_what_runs() {
    let stage = Stage::new(1);
    let mut relay = Relay::start(&stage.relay, &in_generic_mode(&stage)).unwrap();
    done(&relay, &["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"]);
    let traffic = stage.stream_at(RATE / 4);
    traffic.pass(RATE / 40);
    let (lanes, good) = (relay.lanes(), fs::read_to_string(relay.config()).unwrap());
    for bad in [Some(BROKEN), Some("[lanes]\nring_sise = 4096\n"), None] {
        kill_control(&mut relay);
        match bad {
            Some(text) => fs::write(relay.config(), text).unwrap(),
            None => fs::remove_file(relay.config()).unwrap(),
        }
        next(&stage, &mut relay);
        traffic.pass(RATE / 40);
        assert_eq!(relay.lanes(), lanes, "{bad:?}");
        let config = &status(&relay)["config"];
        assert_eq!((&config["in_force"], &config["last_good"]), (&Value::Bool(false), &Value::Null), "{config}");
        assert!(config["error"].as_str().unwrap().contains("relay.toml"), "{config}");
        let found = relays(&relay);
        let origins: Vec<_> = found.iter().map(|(name, origin, _)| (name.as_str(), origin.as_str())).collect();
        assert_eq!(origins, [("one", "file"), ("two", "api")]);
        let events = done(&relay, &["events", "--json"]);
        assert!(events.contains("config.refused") && events.contains("what ran before goes on"), "{events}");
        // It can be changed as ever.
        done(&relay, &["relay", "mute", "two"]);
        done(&relay, &["relay", "unmute", "two"]);
    }
    fs::write(relay.config(), good).unwrap();
    done(&relay, &["reload"]);
    assert_eq!(status(&relay)["config"]["in_force"], true);
    traffic.pass(RATE / 40);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!((account.lost_since_the_first(), report.restarts()), (account.lost_on_links, 0), "{account:?}");
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_node_with_a_bad_file_comes_up_with_the_last_good_one() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let kept = relay.folder().join("relays.toml.last-good");
    wait_until_kept(&relay);
    // What is refused while it runs is not kept, what is taken is.
    let good = fs::read_to_string(relay.config()).unwrap();
    fs::write(relay.config(), BROKEN).unwrap();
    assert!(!mcr(&relay, &["reload"]).status.success());
    let better = good.replace("239.2.0.1", "239.2.0.7");
    fs::write(relay.config(), &better).unwrap();
    done(&relay, &["reload"]);
    wait_until("what was taken is not kept", || fs::read_to_string(&kept).unwrap().contains("239.2.0.7"));
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();

    fs::write(relay.config(), BROKEN).unwrap();
    next(&stage, &mut relay);
    let told = relay.process.wait_for("running the last good configuration of 20", SOON).unwrap();
    assert!(told.contains("relay.toml:1"), "{told}");
    let node = status(&relay);
    assert_eq!(node["config"]["in_force"], false);
    assert!(node["config"]["last_good"].as_str().unwrap().starts_with("20"), "{node}");
    let text = done(&relay, &["status"]);
    assert!(text.contains("config refused, running the last good configuration of 20"), "{text}");
    assert!(done(&relay, &["relay", "show", "one"]).contains("239.2.0.7"));
    // The file as it is now is good.
    fs::write(relay.config(), &good).unwrap();
    done(&relay, &["reload"]);
    let config = &status(&relay)["config"];
    assert_eq!((&config["in_force"], &config["last_good"]), (&Value::Bool(true), &Value::Null));
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();

    // Nothing is left to begin with, or it is another node's.
    for damage in ["", "# The last configuration that mcr ran of /another/relay.toml\n"] {
        fs::write(relay.config(), BROKEN).unwrap();
        fs::write(&kept, damage).unwrap();
        relay.process = stage.another(&relay);
        assert!(!relay.process.wait(SOON).unwrap().success());
        assert!(relay.process.last_words().contains("relay.toml:1"), "{}", relay.process.last_words());
    }
}

/// A trial goes on whatever becomes of control and of the machine, and what was given up is not taken by a start.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_nobody_confirms_is_given_up_also_when_control_or_everything_has_died() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    wait_until_kept(&relay);
    let good = fs::read_to_string(relay.config()).unwrap();
    let other = good.replace("239.2.0.1", "239.2.0.7");
    let runs = |relay: &Relay, group: &str| done(relay, &["relay", "show", "one"]).contains(group);
    fs::write(relay.config(), &other).unwrap();
    done(&relay, &["reload", "--confirm", "2s"]);
    assert!(runs(&relay, "239.2.0.7"));
    kill_control(&mut relay);
    next(&stage, &mut relay);
    relay.process.wait_for("runs again: nobody has confirmed it in time", SOON).unwrap();
    assert!(runs(&relay, "239.2.0.1"));
    let kept = relay.folder().join("relays.toml.last-good");
    wait_until("what runs again is not kept", || fs::read_to_string(&kept).unwrap().contains("239.2.0.1"));
    // Nor does a start of everything take it, which has not changed.
    for _ in 0..2 {
        stop(&stage, &relay);
        relay.process.wait(SOON).unwrap();
        next(&stage, &mut relay);
        assert!(runs(&relay, "239.2.0.1"));
        assert_eq!(status(&relay)["config"]["in_force"], false);
    }
    // Somebody insists, and everything dies; its time is up before anything is there again.
    done(&relay, &["reload", "--confirm", "1s"]);
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    next(&stage, &mut relay);
    assert!(runs(&relay, "239.2.0.1"));
    relay.process.wait_for("config.rolled_back", SOON).unwrap();
    // What is reloaded without a trial is nobody's to doubt.
    done(&relay, &["reload"]);
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();
    next(&stage, &mut relay);
    assert!(runs(&relay, "239.2.0.7"));
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();
}
