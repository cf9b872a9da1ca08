//! MCR, and our own relays of plain sockets.

use bench::measure::contestant::Contestant;

use crate::play::{Look, Play, relays_all};

fn named(name: &str) -> Contestant {
    Contestant::named(name).unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn mcr_relays_in_all_its_forms() {
    for contestant in ["mcr", "mcr-busy", "mcr-wait"] {
        relays_all(&named(contestant), "1-to-1", Look::MCR);
    }
    for scenario in ["1-to-4-links", "relays-10", "ipv6", "tagged"] {
        relays_all(&named("mcr"), scenario, Look::MCR);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn mcr_is_its_control_and_its_lane() {
    let play = Play::start(&named("mcr"), "1-to-1", Look::MCR);
    assert_eq!(play.running.pids.len(), 2);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn batches_of_sockets_relay() {
    for scenario in ["1-to-1", "1-to-4-links", "relays-10", "ipv6"] {
        relays_all(&named("mmsg"), scenario, Look::SOCKETS);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn sockets_relay_one_by_one() {
    for scenario in ["1-to-1", "1-to-4", "relays-10", "ipv6"] {
        relays_all(&named("plain"), scenario, Look::SOCKETS);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_headend_of_sockets_relays() {
    relays_all(&named("mmsg"), "relays-200", Look::SOCKETS);
}
