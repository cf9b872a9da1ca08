//! Thousands of relays in one step.

use super::desk::Desk;
use crate::rig::Rig;
use bench::clock::monotonic_ns;
use bench::source::{Load, Stream};
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

const RELAYS: usize = 4_000;
const AT_MOST: Duration = Duration::from_secs(300);
/// Far more than it takes, and far less than would bring a machine down: MiB.
const MEMORY: u64 = 512;

fn thousands() -> String {
    let mut text = String::new();
    for n in 0..RELAYS {
        let (high, low) = (n / 250, n % 250 + 1);
        write!(
            text,
            "[[relay]]\nname = \"r{n}\"\ninput = {{ interface = \"in0\", group = \"239.3.{high}.{low}\", port = 5000 }}\n\
             outputs = [{{ interface = \"out0\", group = \"239.4.{high}.{low}\", port = 5001 }}]\n"
        )
        .unwrap();
    }
    text
}

/// The most memory that a process has had, in MiB.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn four_thousand_relays_come_and_go_in_one_step_each_and_a_stream_is_whole() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "steady"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        "#,
    );
    // The last of the thousands is listened to as well.
    let flows = [show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.4.15.250:5001")];
    show.listen(0, flows.into());
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(5_000).duration(AT_MOST));
    let (file, none) = (show.mcr.folder().join("set.toml"), show.mcr.folder().join("none.toml"));
    fs::write(&file, thousands()).unwrap();
    fs::write(&none, "").unwrap();
    let apply = |file: &std::path::Path| {
        let before = monotonic_ns();
        let printed = desk.done(&["apply", file.to_str().unwrap()]);
        (Duration::from_nanos(monotonic_ns() - before), printed)
    };
    let (coming, printed) = apply(&file);
    assert!(printed.contains("4000 new"), "{}", printed.lines().last().unwrap());
    assert_eq!(desk.names().len(), RELAYS);
    let last = Load::new(vec![Stream::new(2, rig.headers("239.3.15.250:5000"), 1316)]);
    let sent_last = show.send(last.rate(1_000).packets(500));
    let (again, printed) = apply(&file);
    assert!(printed.contains("nothing"), "{printed}");
    let (going, _) = apply(&none);
    assert!(desk.names().is_empty());
    let most = memory(show.mcr.process.pid());
    eprintln!(
        "{RELAYS} relays: came in {coming:.1?}, the same again {again:.1?}, went in {going:.1?}; control took {most} MiB"
    );
    assert!(most < MEMORY, "control took {most} MiB");
    let sent = source.stop().unwrap();
    show.balance(&[sent, sent_last]);
}
