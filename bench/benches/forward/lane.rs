//! Whole batches: forward, the commit, and everything that a lane does for a batch besides its system calls.

use crate::case::{Case, Per, Round};
use crate::rig::{Metered, Outputs, Rig};
use relay_common::journal::BATCH;
use relay_common::plan::Meters;

pub(crate) fn cases() -> Vec<Case> {
    let differ = [1, 2, 4, 16, 64].map(|n_outputs| (n_outputs, Outputs::Differ));
    let share = [4, 16, 64].map(|n_outputs| (n_outputs, Outputs::Share));
    let lanes = differ.into_iter().chain(share);
    let lanes = lanes.flat_map(|(n, outputs)| [true, false].map(|stamped| lane(n, outputs, stamped))).flatten();
    let metered = [("off", Meters::Off, true), ("rtp", Meters::Rtp, true), ("full", Meters::Full, true)];
    let unfinished = [1, 4].map(|n_outputs| {
        let metered = Metered { is_unfinished: true, ..Metered::DEFAULT };
        let name = format!("1 to {n_outputs}, stamp, unfinished checksum");
        cases_of(name, n_outputs, move || Rig::new(n_outputs, Outputs::Differ, true, metered))
    });
    lanes
        .chain(metered.into_iter().flat_map(|(name, meters, is_rtp)| {
            let name = format!("1 to 1, stamp, RTP, meters {name}");
            let metered = Metered { meters, is_rtp, ..Metered::DEFAULT };
            cases_of(name, 1, move || Rig::new(1, Outputs::Differ, true, metered))
        }))
        .chain(unfinished.into_iter().flatten())
        .collect()
}

fn lane(n_outputs: u16, outputs: Outputs, stamped: bool) -> [Case; 3] {
    let share = if outputs == Outputs::Share { ", shared" } else { "" };
    let name = format!("1 to {n_outputs}{share}, {}", if stamped { "stamp" } else { "lookup" });
    cases_of(name, n_outputs, move || Rig::new(n_outputs, outputs, stamped, Metered::DEFAULT))
}

fn cases_of(name: String, n_outputs: u16, rig: impl Fn() -> Rig + Copy + 'static) -> [Case; 3] {
    let case = |what: &str, make: Box<dyn Fn() -> Box<dyn Round>>| {
        // A batch takes as long as its outputs, or as receiving it, which is not measured.
        Case { name: format!("{what} {name}"), per: Per::Packets, weight: usize::from(n_outputs).max(4), make }
    };
    [
        case("forward", Box::new(move || Box::new(Forward(rig())))),
        case("commit", Box::new(move || Box::new(Commit(rig())))),
        case("round", Box::new(move || Box::new(Whole(rig())))),
    ]
}

/// The pure function.
struct Forward(Rig);

impl Round for Forward {
    fn prepare(&mut self) {
        self.0.receive();
    }

    fn work(&mut self) {
        self.0.forward();
    }

    fn clean_up(&mut self) {
        self.0.commit();
        self.0.turn_over();
        self.0.commit();
    }

    fn check(&self, n_rounds: u64) {
        check(&self.0, n_rounds);
    }
}

/// The commit of a batch, with nothing behind the rings.
struct Commit(Rig);

impl Round for Commit {
    fn prepare(&mut self) {
        self.0.receive();
        self.0.forward();
    }

    fn work(&mut self) {
        self.0.commit();
    }

    fn clean_up(&mut self) {
        self.0.turn_over();
        self.0.commit();
    }

    fn check(&self, n_rounds: u64) {
        check(&self.0, n_rounds);
    }
}

/// Forward, commit, completions and refill.
struct Whole(Rig);

impl Round for Whole {
    fn prepare(&mut self) {
        self.0.receive();
    }

    fn work(&mut self) {
        self.0.forward();
        // Completions and refills of a steady stream: those of the same batch stand for those of an earlier one.
        self.0.commit();
        self.0.turn_over();
        self.0.commit();
    }

    fn check(&self, n_rounds: u64) {
        check(&self.0, n_rounds);
    }
}

fn check(rig: &Rig, n_rounds: u64) {
    assert_eq!(rig.n_relayed(), n_rounds * BATCH as u64, "not every packet was relayed");
    assert_eq!(rig.n_sent(), 0, "descriptors were left");
    assert_eq!(rig.n_missing(), 0, "nothing was left out");
}
