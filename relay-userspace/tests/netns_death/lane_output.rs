//! What lanes write reaches the log, whoever reads it by then, and whatever they write stops nobody.

use crate::control::kill_control;
use crate::stage::{ForLanes, SOON, Stage, wait_until};
use bench::Relay;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

fn start(stage: &Stage, writes: &str) -> Relay {
    let config = stage.config().replace("[lanes]", "[lanes]\ncores = [0, 1]");
    let chaos = Path::new(env!("CARGO_BIN_EXE_mcr"));
    let relay =
        Relay::launch(chaos, &stage.relay, &config, &[("MCR_WRITES", writes), ("RUST_BACKTRACE", "0")]).unwrap();
    relay.wait_until_ready().unwrap();
    relay
}

fn next(stage: &Stage, relay: &mut Relay) {
    relay.process = relay.another(Path::new(env!("CARGO_BIN_EXE_mcr")), &stage.relay).unwrap();
    relay.wait_until_ready().unwrap();
}

/// What the API answers, over its Unix socket.
fn get(relay: &Relay, path: &str) -> String {
    let mut stream = UnixStream::connect(relay.folder().join("mcr.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn dropped(relay: &Relay) -> u64 {
    let metrics = get(relay, "/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix("mcr_log_dropped_total ")).unwrap();
    line.parse().unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_a_lane_says_when_it_panics_is_in_the_log_with_its_number() {
    let stage = Stage::new(1);
    let file = ForLanes::new("panic", "");
    let relay = start(&stage, &format!("1:panic:{}", file.path().display()));
    let said = relay.process.wait_for("a lane that panics, on purpose", SOON).unwrap();
    assert!(said.contains(" WARN lane 1 wrote: ") && said.ends_with(" lane=1"), "{said}");
    relay.process.wait_for("lane died: it is started again (lane 1, exit code 101)", SOON).unwrap();
    let lines = relay.process.lines();
    let place = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    assert!(place("lane 1 wrote: ") < place("lane died"), "what it says comes before its end");
    assert_eq!((dropped(&relay), relay.lanes().len()), (0, 2));
    relay.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_a_lane_said_while_there_was_no_control_is_told_by_the_next() {
    let stage = Stage::new(1);
    let mut relay = start(&stage, "1:orphan");
    kill_control(&mut relay);
    wait_until("the lane does not panic", || relay.lanes().len() == 1);
    next(&stage, &mut relay);
    let said = relay.process.wait_for("a lane without control, on purpose", SOON).unwrap();
    assert!(said.contains(" lane 1 wrote: "), "{said}");
    relay.stop().unwrap();
}

/// Of lane 0, which has the stream.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_floods_its_standard_error_stops_nobody() {
    let stage = Stage::new(1);
    let mut relay = start(&stage, "0:flood");
    let traffic = stage.stream_at(10_000);
    traffic.pass(5_000);
    relay.process.wait_for("lane 0 wrote: a lane in a stranger's hands says this", SOON).unwrap();
    relay.process.wait_for("lines that were left out", SOON).unwrap();
    assert!(dropped(&relay) > 1_000, "{}", dropped(&relay));
    let health = get(&relay, "/healthz");
    assert!(health.lines().next().unwrap().contains(" 200 "), "{health}");
    let told = relay.process.lines().iter().filter(|line| line.contains("lane 0 wrote")).count();
    assert!(told < 1_000, "{told} lines of one lane");
    // The pipe is full in a moment, and nobody reads.
    let lanes = relay.lanes();
    kill_control(&mut relay);
    traffic.pass(5_000);
    assert_eq!(relay.lanes(), lanes, "a lane has died of it");
    next(&stage, &mut relay);
    relay.process.wait_for("lane 0 wrote: a lane in a stranger's hands says this", SOON).unwrap();
    traffic.pass(1_000);
    assert_eq!(relay.lanes(), lanes);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!((account.lost(), report.restarts()), (account.lost_on_links, 0));
}
