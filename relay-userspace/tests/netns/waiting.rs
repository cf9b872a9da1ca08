//! How lanes wait, and where the program runs: the packets are the same.

use crate::rig::{Rig, SILENCE};
use bench::relay::Report;

/// Packets under way at once.
const UNDER_WAY: u64 = 48;

/// Relays a stream with this in the configuration, after a while in which there is nothing to do.
fn relay_with(section: &str) -> (Report, String) {
    let rig = Rig::new(1);
    let mut show = rig.start(&format!(
        r#"
        {section}

        [[relay]]
        name = "one"
        input = {{ interface = "in0", group = "239.1.1.1", port = 5000 }}
        outputs = [{{ interface = "out0", group = "239.2.1.1", port = 5001 }}]
        "#
    ));
    std::thread::sleep(SILENCE);
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let lines = show.mcr.process.lines().join("\n");
    // No more under way than the smallest ring holds while the lane does not run.
    let load = rig.streams(&["239.1.1.1:5000"]).rate(4_000).packets(4_000).window(UNDER_WAY, &show.ledgers);
    let report = show.play(load);
    assert_eq!((report.received("one"), report.sent("one", 0)), (4_000, 4_000));
    (report, lines)
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_busy_lane_relays_and_never_sleeps() {
    let (report, _) = relay_with("lanes = { poll = \"busy\" }");
    assert_eq!(report.lanes("sleeps"), 0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_adaptive_lane_relays_and_sleeps_when_idle() {
    let (report, _) = relay_with("lanes = { poll = \"adaptive\" }");
    assert!(report.lanes("sleeps") >= 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_waiting_lane_relays_and_sleeps_whenever_it_can() {
    let (report, _) = relay_with("lanes = { poll = \"wait\" }");
    assert!(report.lanes("sleeps") >= 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn behind_the_driver_it_relays_as_well() {
    let (report, lines) = relay_with("[[interface]]\nname = \"in0\"\nmode = \"generic\"");
    assert!(lines.contains("mode=\"generic\""), "{lines}");
    assert_eq!(report.verdict("ours"), 4_000);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn small_rings_and_large_frames_relay_as_well() {
    let (report, _) = relay_with("lanes = { ring_size = 64, frame_size = 4096 }");
    assert_eq!(report.0["lanes"][0]["frames"].as_u64().map(|frames| frames % 1024), Some(0));
}
