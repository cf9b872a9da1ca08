//! What the kernel loses on a link is told.

use super::desk::Desk;
use crate::rig::Rig;
use bench::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// More in a second than the rings of a lane hold that does not come round.
const RATE: u64 = 20_000;

/// What the kernel says that it dropped on the way in and out of a link.
fn dropped(namespace: &Namespace, link: &str) -> (u64, u64) {
    let text = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/dev")).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{link}:"))).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
    (numbers[3], numbers[11])
}

/// The links that are told of, by name, and what was lost on each.
fn told(desk: &Desk) -> BTreeMap<String, Value> {
    let links: Value = serde_json::from_str(&desk.get("/api/v1/links")).unwrap();
    let one = |link: &Value| (link["name"].as_str().unwrap().to_owned(), link["losses"].clone());
    links.as_array().unwrap().iter().map(one).collect()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_the_kernel_lost_is_told_as_it_counts_it() {
    let rig = Rig::new(1);
    let show = rig.start(
        r#"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        "#,
    );
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(RATE).duration(Duration::from_secs(120)));
    let before = dropped(&rig.relay, "in0").0;
    let lane = Pid::from_raw(i32::try_from(show.mcr.lanes()[0]).unwrap());
    kill(lane, Signal::SIGSTOP).unwrap();
    let mut lost = false;
    for _ in 0..20 {
        let why = desk.ask(&["why", "one", "--json"]);
        let why: Value = serde_json::from_slice(&why.stdout).unwrap();
        let warnings = why["warnings"].as_array().unwrap();
        lost = warnings.iter().any(|warning| warning.as_str().unwrap().contains("\"in0\" dropped "));
        if lost {
            break;
        }
    }
    // One that stands for too long is ended, and followed by another.
    let _ = kill(lane, Signal::SIGCONT);
    source.stop().unwrap();
    assert!(lost, "the kernel dropped {} since and nobody says so", dropped(&rig.relay, "in0").0 - before);
    desk.wait_until_well();
    let (incoming, outgoing) = dropped(&rig.relay, "in0");
    assert!(incoming > before, "the lane was stopped, and nothing was lost");
    let told = told(&desk)["in0"]["rx_dropped"].as_u64().unwrap();
    assert!((incoming..=dropped(&rig.relay, "in0").0).contains(&told), "{told} of {incoming}");
    let metrics = desk.get("/metrics");
    let metric = |direction: &str| {
        let name = format!("mcr_link_dropped_packets_total{{link=\"in0\",direction=\"{direction}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).unwrap()
    };
    assert!(metric("in") >= told && metric("out") >= outgoing, "{metrics}");
    for link in ["in0", "out0"] {
        assert!(metrics.contains(&format!("mcr_link_up{{link=\"{link}\"}} 1\n")), "{metrics}");
    }
    show.mcr.stop().unwrap();
}
