//! Whatever is wrong turns `/healthz`, naming the check, and back when it is mended.

use super::behind;
use super::desk::Desk;
use crate::rig::{NOTED, Rig, Show};
use bench::clock::Deadline;
use bench::sys::traced::Traced;
use std::fs;
use std::time::Duration;

/// What is mended is well at once.
const AT_ONCE: &str = "[health]\nhold_down = \"off\"\n";
const ONE: &str = r#"
[[relay]]
name = "one"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
"#;
/// Longer than any of these tests; the source is stopped.
const AT_MOST: Duration = Duration::from_secs(120);

/// Packets come out of the node again.
fn wait_until_it_flows(show: &Show<'_>) {
    let (arrived, deadline) = (show.sinks[0].datagrams(), Deadline::after(NOTED));
    while show.sinks[0].datagrams() < arrived + 10 {
        assert!(!deadline.passed(), "nothing is relayed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_stopped_lane_is_told_until_it_goes_on_and_loses_nothing() {
    let rig = Rig::new(1);
    let mut show = rig.start(&format!("{}{ONE}", AT_ONCE.replace("off", "1500ms")));
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    assert_eq!(desk.failing(), []);
    // So slow that the receive ring holds what comes while the lane stands.
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(200).duration(AT_MOST));
    for _ in 0..2 {
        // As a debugger holds it: one that hangs by itself would be ended.
        let held = Traced::hold(show.mcr.lanes()[0]).unwrap();
        let text = desk.wait_until_failing("lanes");
        drop(held);
        assert!(text.starts_with("lane 0 has not come round for"), "{text}");
        let text = desk.wait_until_failing("hold_down");
        assert!(text.starts_with("held down for ") && text.contains("s more: lanes failed until"), "{text}");
        desk.wait_until_well();
    }
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!(report.restarts(), 0, "it was mended by patience");
}

/// What others do to the kernel's side of the node: told by its own check, put back, and streams flow as before.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_others_take_out_of_the_kernel_is_told_and_put_back() {
    let rig = Rig::new(1);
    let mut show = rig.start(&format!("{AT_ONCE}{ONE}"));
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(1_000).duration(AT_MOST));
    wait_until_it_flows(&show);
    let told = |check: &str, words: &str| {
        let text = desk.wait_until_failing(check);
        assert!(text.contains(words), "{text}");
        desk.wait_until_well();
        wait_until_it_flows(&show);
    };
    behind::detach(&rig.relay, "in0");
    told("program", "detached from in0 behind mcr's back");
    assert_eq!(behind::empty(&rig.relay, "in0", "INPUTS"), 1);
    told("maps", "1 entries of the map INPUTS were missing");
    assert!(behind::empty(&rig.relay, "in0", "OWN_MACS") > 0);
    told("maps", "of the map OWN_MACS were missing");
    assert!(behind::take_sockets(&rig.relay, "in0") > 0);
    told("sockets", "in0 queue 0");
    source.stop().unwrap();
    let events = desk.done(&["events"]);
    assert!(events.contains("detached from in0"), "{events}");
    show.mcr.stop().unwrap();
}

/// A file that was saved half is not in force and changes nothing; the rest of it is taken when somebody asks for it.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_file_that_is_half_written_is_told_until_it_is_whole() {
    let rig = Rig::new(1);
    let mut show = rig.start(ONE);
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(2_000).duration(AT_MOST));
    let second = ONE.replace("one", "two").replace("239.1.1.1", "239.1.1.2").replace("239.2.1.1", "239.2.1.2");
    let whole = format!("{ONE}{second}");
    // In the middle of a line of the second relay.
    let half = &whole[..whole.len() - 30];
    fs::write(show.mcr.config(), half).unwrap();
    let text = desk.wait_until_failing("config");
    assert!(text.contains("relay.toml as it is now is not in force") && text.contains("line "), "{text}");
    let why = desk.refused(&["reload"]);
    assert!(why.contains("relay.toml") && why.contains("line "), "{why}");
    // A change of something else makes it no better; and what is wrong now is told, not what was.
    fs::write(show.mcr.config(), format!("[lanes]\nring_size = 64\n{ONE}")).unwrap();
    desk.refused(&["reload"]);
    desk.done(&["relay", "add", "other", "--in", "in0/239.1.1.9:5000", "--out", "out0/239.2.1.9:5001"]);
    let text = desk.wait_until_failing("config");
    assert!(text.contains("lanes.ring_size is 64 in the file") && !text.contains("line "), "{text}");
    let mark = show.mcr.process.mark();
    fs::write(show.mcr.config(), &whole).unwrap();
    show.wait_for(mark, "config.differs");
    let text = desk.wait_until_failing("config");
    assert!(text.contains("to take it would add 1 relay"), "{text}");
    desk.done(&["reload"]);
    desk.wait_until_well();
    let sent = source.stop().unwrap();
    show.balance(&[sent]);
}
