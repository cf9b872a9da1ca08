//! A lane that could not run for a moment finds more in its receive ring than its transmit rings hold: on a link that
//! sends, nothing of it is lost.

use crate::rig::{Rig, Show, TAIL, assert_no_frame_is_missing};
use bench::clock::Deadline;
use bench::relay::{Relay, Report, binary};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::path::Path;

/// Outputs on one link.
const OUTPUTS: usize = 8;
/// The receive ring holds 2048; all outputs together make six times what the transmit ring does.
const BACKLOG: u64 = 1_500;
const RING: u64 = 2_048;

fn config() -> String {
    let outputs = (1..=OUTPUTS).fold(String::new(), |mut outputs, n| {
        writeln!(outputs, "{{ interface = \"out0\", group = \"239.2.1.{n}\", port = 5001 }},").unwrap();
        outputs
    });
    format!(
        "[[relay]]\nname = \"wide\"\ninput = {{ interface = \"in0\", group = \"239.1.1.1\", port = 5000 }}\n\
         outputs = [{outputs}]\n"
    )
}

/// Stops the lane, lets a backlog come in, and has the lane go on.
fn backlog(binary: &Path, env: &[(&str, &str)]) -> (Report, String) {
    let rig = Rig::new(1);
    let mcr = Relay::launch(binary, &rig.relay, &config(), env).unwrap();
    let mut show = Show { rig: &rig, mcr, sinks: Vec::new(), ledgers: Vec::new() };
    show.mcr.wait_until_ready().unwrap();
    let lines = show.mcr.process.lines().join("\n");
    let flows = (1..=OUTPUTS).map(|n| show.expect(1, 0, &format!("239.2.1.{n}:5001"))).collect();
    show.listen(0, flows);
    let lane = Pid::from_raw(i32::try_from(show.mcr.lanes()[0]).unwrap());
    kill(lane, Signal::SIGSTOP).unwrap();
    let sent = show.send(rig.streams(&["239.1.1.1:5000"]).rate(50_000).packets(BACKLOG));
    kill(lane, Signal::SIGCONT).unwrap();
    let deadline = Deadline::after(TAIL);
    while show.sinks[0].datagrams() < OUTPUTS as u64 * BACKLOG && !deadline.passed() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    (show.balance(&[sent]), lines)
}

fn nothing_is_lost(report: &Report) {
    assert_eq!(report.received("wide"), BACKLOG);
    for output in 0..OUTPUTS {
        assert_eq!(report.output_dropped("wide", output, "tx_full"), 0, "output {output}: {}", report.0);
        assert_eq!(report.sent("wide", output), BACKLOG);
    }
    println!("{} calls, {} of them again", report.lanes("kicks"), report.lanes("kick_again"));
    assert_no_frame_is_missing(report, 2, RING);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_backlog_is_sent_to_many_outputs_of_one_link() {
    let (report, _) = backlog(&binary(), &[]);
    nothing_is_lost(&report);
}

#[test]
#[cfg(feature = "chaos")]
#[ignore = "needs root: cargo xtask test netns"]
fn a_backlog_is_sent_by_a_kernel_that_sends_a_few_packets_a_call() {
    let (report, lines) = backlog(Path::new(env!("CARGO_BIN_EXE_mcr")), &[("MCR_CHAOS_NO_TX_BUDGET", "1")]);
    nothing_is_lost(&report);
    assert!(report.lanes("kick_again") > 0, "calls end early: {}", report.0);
    assert_eq!(lines.matches("32 packets").count(), 1, "said once: {lines}");
}
