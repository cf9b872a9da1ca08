//! Which cores lanes may be pinned to.

use super::*;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

fn lanes(cores: Vec<u32>) -> Lanes {
    Lanes { cores, ..Lanes::default() }
}

/// As many as a set holds.
fn n_cores() -> u32 {
    u32::try_from(CpuSet::count()).unwrap()
}

#[test]
fn a_core_that_is_not_there_is_named() {
    let last = n_cores() - 1;
    let text = check_cores(&lanes(vec![last])).unwrap_err().to_string();
    assert!(text.contains(&format!("core {last}, which this machine does not have")), "{text}");
    assert!(check_cores(&lanes(vec![u32::MAX])).is_err(), "a number that no set holds");
}

#[test]
fn cores_that_mcr_was_not_started_on_are_taken_and_its_own_stay() {
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let cores: Vec<u32> = (0..n_cores()).filter(|core| all.is_set(*core as usize).unwrap()).collect();
    // As where the last core is isolated: this thread is started on the first one alone.
    pin(cores[0]).unwrap();
    check_cores(&lanes(vec![cores[cores.len() - 1]])).unwrap();
    let mine = sched_getaffinity(Pid::from_raw(0)).unwrap();
    assert!((0..CpuSet::count()).all(|core| mine.is_set(core).unwrap() == (core == cores[0] as usize)), "{mine:?}");
}
