//! Multicast routing by the kernel, and socat.

use std::fs;

use bench::measure::contestant::Contestant;
use bench::measure::stage::{RELAY_CORE, Stage};

use crate::play::{Look, Play, programs, relays_all, scenario};

fn kernel() -> Contestant {
    Contestant::named("kernel").unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_kernel_relays() {
    for scenario in ["1-to-1", "1-to-4-links", "relays-10", "relays-200"] {
        relays_all(&kernel(), scenario, Look::ROUTED);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_kernel_routes_on_the_relays_core_and_leaves_no_trace() {
    let play = Play::start(&kernel(), "1-to-1", Look::ROUTED);
    let before = handed_over();
    play.send();
    // A source that was held up sends at most a hundred at once.
    assert!(handed_over() - before >= 20, "work was handed over {} times", handed_over() - before);
    let in_relay = |path: &str| {
        let mut cat = play.stage.relay.command("cat");
        String::from_utf8(cat.arg(path).output().unwrap().stdout).unwrap()
    };
    let (steering, routes) = ("/sys/class/net/in0/queues/rx-0/rps_cpus", "/proc/net/ip_mr_cache");
    assert_eq!(in_relay(steering).trim(), (1 << RELAY_CORE).to_string());
    assert_eq!(in_relay(routes).lines().count(), 2);
    (play.running.end)().unwrap();
    assert_eq!(in_relay(steering).trim(), "0");
    assert_eq!(in_relay(routes).lines().count(), 1);
}

/// How often other cores have handed packets to the relay's. The count is of the whole machine and only grows.
fn handed_over() -> u64 {
    let text = fs::read_to_string("/proc/net/softnet_stat").unwrap();
    let column =
        |line: &str, column: usize| u64::from_str_radix(line.split_whitespace().nth(column).unwrap(), 16).unwrap();
    let line = text.lines().find(|line| column(line, 12) == RELAY_CORE as u64).unwrap();
    column(line, 9)
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_the_kernel_cannot_do_is_refused() {
    let scenario = scenario("1-to-4");
    let stage = Stage::new(&scenario).unwrap();
    let error = format!("{:#}", kernel().start(&programs(), &stage, &scenario).err().unwrap());
    assert!(error.contains("\"kernel\"") && error.contains("does not rewrite"), "{error}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn socat_relays() {
    relays_all(&Contestant::named("socat").unwrap(), "1-to-1", Look::SOCKETS);
}
