//! What mcr costs when nothing comes, and what its lanes may do.

use crate::line::{Line, ONE};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A relay that has nothing to do takes two hundredths of a core at most; this allows three times that.
const MOST_PERCENT: u64 = 6;
const LOOKED_AT: Duration = Duration::from_secs(3);

/// Clock ticks of processor time that a process has had, in user mode and in the kernel.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in brackets may hold anything; user and system time are the 12th and 13th word behind it.
    let (_, behind) = stat.rsplit_once(')').unwrap();
    behind.split_whitespace().skip(11).take(2).map(|word| word.parse::<u64>().unwrap()).sum()
}

fn ticks_per_second() -> u64 {
    nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap().unsigned_abs()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_idle_relay_takes_next_to_no_processor_time() {
    let line = Line::new();
    let mcr = line.start(&format!("[lanes]\npoll = \"adaptive\"\n{ONE}"));
    let lanes = mcr.lanes();
    assert_eq!(lanes.len(), 1);
    let all: Vec<u32> = lanes.into_iter().chain([mcr.process.pid()]).collect();
    let sum = || all.iter().map(|pid| ticks(*pid)).sum::<u64>();
    let before = sum();
    std::thread::sleep(LOOKED_AT);
    let percent = (sum() - before) * 100 / (LOOKED_AT.as_secs() * ticks_per_second());
    assert!(percent < MOST_PERCENT, "{percent} % of a core for nothing");
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
