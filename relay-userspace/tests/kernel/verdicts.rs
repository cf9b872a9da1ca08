//! The table of frames, decided by the program in the kernel.

use crate::program::{Outcome, Program};
use crate::socket::xdp_socket;
use relay_common::abi::Stamp;
use relay_common::decide::{Action, Verdict};
use relay_common::fixtures::{self, Case, LINK, N_QUEUES, OTHER_LINK, SOCKET_BASE};

/// The longest frame that a test run takes for a program without fragments.
const MAX_TEST_RUN: usize = 3400;
/// `log::LevelFilter::Debug` as aya counts it.
const DEBUG: u8 = 4;

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn without_sockets_all_frames_of_ours_pass_untouched() {
    let mut program = Program::load(0);
    program.make_links([LINK, OTHER_LINK]);
    program.write(&fixtures::groups());
    for case in cases() {
        let outcome = program.run(&case);
        let verdict = match case.expected.verdict {
            Verdict::Ours => Verdict::NoSocket,
            other => other,
        };
        compare(&case, verdict, &outcome);
    }
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn with_sockets_frames_of_ours_are_stamped_and_redirected() {
    // Twice, because the log lines are other code.
    for log_level in [0, DEBUG] {
        let mut program = Program::load(log_level);
        program.make_links([LINK, OTHER_LINK]);
        program.write(&fixtures::groups());
        let socket = xdp_socket();
        for queue in 0..N_QUEUES {
            program.set_socket(SOCKET_BASE + queue, &socket);
        }
        let mut last_time = 1;
        for case in cases() {
            let outcome = program.run(&case);
            compare(&case, case.expected.verdict, &outcome);
            if let Some(stamp) = outcome.stamp {
                assert_eq!((stamp.magic, stamp.slot), (Stamp::MAGIC, case.expected.slot), "{}", case.name);
                assert!(stamp.time_ns >= last_time, "{}: time does not go backwards", case.name);
                last_time = stamp.time_ns;
            }
        }
    }
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn without_log_lines_the_program_is_shorter() {
    let (off, on) = (Program::load(0).size(), Program::load(DEBUG).size());
    println!("{off} bytes without log lines, {on} with them");
    assert!(off < on);
}

/// The cases that a test run can take: Ethernet's header at least, and no more than fits.
fn cases() -> impl Iterator<Item = Case> {
    fixtures::cases().into_iter().filter(|case| {
        let fits = case.frame.len() <= MAX_TEST_RUN;
        if !fits {
            println!("skipped, too long for a test run: {}", case.name);
        }
        fits
    })
}

fn compare(case: &Case, verdict: Verdict, outcome: &Outcome) {
    let action = match verdict.action() {
        Action::Pass => XDP_PASS,
        Action::Drop => XDP_DROP,
        Action::Redirect => XDP_REDIRECT,
    };
    assert_eq!(outcome.action, action, "{}", case.name);
    assert_eq!(outcome.stamp.is_some(), verdict == Verdict::Ours, "{}: a stamp for ours only", case.name);
    assert_eq!(outcome.frame, case.frame, "{}: the frame is as it came", case.name);
    for other in Verdict::ALL {
        let counted = outcome.counted[other.index() as usize];
        assert_eq!(counted, u64::from(other == verdict), "{}: counter {}", case.name, other.name());
    }
}
