//! What mcr costs when nothing comes, and what its lanes may do.

use crate::line::{Line, ONE};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A relay that has nothing to do takes two hundredths of a core at most; this allows three times that.
const MOST_PERCENT: f64 = 6.0;
const LOOKED_AT: Duration = Duration::from_secs(1);
/// What a start leaves to be done (reports of memberships after 1 s and 3 s, files that are kept) falls into some looks; a
/// relay that never rests shows it in every one.
const LOOKS: usize = 5;

/// Processor time that a process has had, to the nanosecond: clock ticks are samples, and whoever wakes up by a timer is
/// there for more of them than it ran.
fn processor_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let ran = |stat: String| stat.split_whitespace().next().unwrap().parse::<u64>().unwrap();
    Duration::from_nanos(
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok()).map(ran).sum(),
    )
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_idle_relay_takes_next_to_no_processor_time() {
    let line = Line::new();
    let mcr = line.start(&format!("[lanes]\npoll = \"adaptive\"\n{ONE}"));
    let lanes = mcr.lanes();
    assert_eq!(lanes.len(), 1);
    let all: Vec<u32> = lanes.into_iter().chain([mcr.process.pid()]).collect();
    let sum = || all.iter().map(|pid| processor_time(*pid)).sum::<Duration>();
    let look = || {
        let before = sum();
        std::thread::sleep(LOOKED_AT);
        (sum() - before).as_secs_f64() * 100.0 / LOOKED_AT.as_secs_f64()
    };
    let mut percent: Vec<f64> = Vec::new();
    while percent.last().is_none_or(|percent| *percent >= MOST_PERCENT) {
        assert!(percent.len() < LOOKS, "never less than {MOST_PERCENT} % of a core for nothing: {percent:.1?}");
        percent.push(look());
    }
    let report = mcr.stop().unwrap();
    assert!(report.lanes("sleeps") > 0, "the lane slept");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn lanes_have_names_and_no_rights() {
    let line = Line::new();
    let mcr = line.start(ONE);
    let lanes = mcr.lanes();
    assert_eq!(lanes.len(), 1);
    for pid in lanes {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let fields: BTreeMap<&str, &str> = status.lines().filter_map(|line| line.split_once(":\t")).collect();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(fields[set], "0000000000000000", "{set} of lane {pid}");
        }
        assert_eq!((fields["NoNewPrivs"], fields["Seccomp"]), ("1", "2"));
        assert_eq!(fields["Name"], "mcr-lane-0", "what ps and top show");
    }
    mcr.stop().unwrap();
}

/// Rights are a thread's own: none of control's has more than its first one, which gave up what it does not need.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn no_thread_of_control_keeps_more_than_control() {
    let line = Line::new();
    let mcr = line.start(ONE);
    let held = |status: String| -> u64 {
        let set = status.lines().find_map(|line| line.strip_prefix("CapPrm:\t")).unwrap();
        u64::from_str_radix(set, 16).unwrap()
    };
    let pid = mcr.process.pid();
    let wanted = held(fs::read_to_string(format!("/proc/{pid}/status")).unwrap());
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    let all: Vec<u64> = threads.map(|thread| held(fs::read_to_string(thread.join("status")).unwrap())).collect();
    assert!(all.len() > 1, "a thread follows the lane");
    for rights in all {
        assert_eq!(rights & !wanted, 0, "a thread keeps {rights:x}, control {wanted:x}");
    }
    mcr.stop().unwrap();
}
