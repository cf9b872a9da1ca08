//! Lanes kill themselves in the middle of a commit, at every phase of it.

use crate::stage::{Stage, frames_are_all_there, wait_while_it_grows};
use std::collections::BTreeSet;
use std::path::Path;

const DEATHS: usize = 20;
/// As many commits a life: some tens of milliseconds at this rate, and most of a second where a lane gets so little of its
/// core that each batch is full.
const COMMITS: u32 = 500;
/// Slow enough for the receive ring to hold what comes while one lane after the other dies, on a busy machine too.
const RATE: u64 = 40_000;

/// Before the seal nothing needs to be done again; from the seal on everything is.
fn die_in(phase: u32) {
    let chaos = Path::new(env!("CARGO_BIN_EXE_mcr"));
    for n_outputs in [1, 2] {
        let stage = Stage::new(n_outputs);
        let relay = stage.start_with(chaos, &[("MCR_CHAOS", &format!("{phase}:{COMMITS}"))]);
        let traffic = stage.stream_at(RATE);
        // Lines of the log are held back when they come this fast; process numbers are not.
        let mut seen = BTreeSet::new();
        wait_while_it_grows("lanes do not die often enough", DEATHS + 1, || {
            seen.extend(relay.lanes());
            seen.len()
        });
        let account = traffic.settle();
        let report = relay.stop().unwrap();
        assert!(report.restarts() >= DEATHS as u64);
        assert_eq!(report.lanes("redone"), if phase == 0 { 0 } else { report.restarts() });
        account.balance(&report, n_outputs);
        frames_are_all_there(&report, n_outputs);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn death_before_the_seal() {
    die_in(0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn death_right_after_the_seal() {
    die_in(1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn death_among_the_owner_words() {
    die_in(2);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn death_among_the_headers() {
    die_in(3);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn death_among_the_ring_indices() {
    die_in(4);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn death_before_the_commit_ends() {
    die_in(5);
}
