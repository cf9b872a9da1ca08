//! `mcr why` names the step that is broken, on a node where it really is.

use super::desk::Desk;
use crate::rig::{NOTED, Rig, Show};
use bench::UdpListener;
use bench::clock::Deadline;
use bench::packet::{Headers, Vlan};
use bench::source::{Load, Stream};
use serde_json::Value;
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(120);
const CONFIG: &str = r#"
[[relay]]
name = "plain"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
[[relay]]
name = "source"
input = { interface = "in0", group = "239.1.1.2", port = 5000, sources = ["10.1.0.77"] }
outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001 }]
[[relay]]
name = "vlan"
input = { interface = "in0", group = "239.1.1.3", port = 5000, vlan = 100 }
outputs = [{ interface = "out0", group = "239.2.1.3", port = 5001 }]
[[relay]]
name = "muted"
muted = true
input = { interface = "in0", group = "239.1.1.4", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.4", port = 5001 }]
[[relay]]
name = "host"
input = { interface = "in0", group = "239.1.1.6", port = 5000 }
outputs = [{ interface = "out0", address = "10.2.0.66", port = 5001 }]
[[relay]]
name = "nothing"
input = { interface = "in0", group = "239.1.1.7", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.7", port = 5001 }]
[[relay]]
name = "gone"
input = { interface = "in9", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.8", port = 5001 }]
"#;

/// What arrives all the while: each group of the relays but that of "nothing", one on another port.
fn streams(rig: &Rig) -> Load {
    let headers = |n: u32| -> Headers { rig.headers(&format!("239.1.1.{n}:5000")) };
    let mut streams: Vec<Stream> = (1..=6).map(|n| Stream::new(n, headers(n), 500)).collect();
    streams[2] = Stream::new(3, headers(3).tagged(&[Vlan::new(200)]), 500);
    streams.push(Stream::new(7, rig.headers("239.1.1.7:5002"), 500));
    Load::new(streams).rate(200).duration(AT_MOST)
}

/// The first step of a relay that is broken, with what is said of it and what is to be done.
#[track_caller]
fn broken(desk: &Desk, relay: &str) -> (String, String) {
    let output = desk.ask(&["why", relay, "--json"]);
    assert_eq!(output.status.code(), Some(1), "{relay} is dark: {output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = told["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["state"] == "broken").unwrap_or_else(|| panic!("{told:#}"));
    let remedy = step["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {step}"));
    (step["name"].as_str().unwrap().to_owned(), format!("{} -> {remedy}", step["text"].as_str().unwrap()))
}

#[track_caller]
fn breaks(desk: &Desk, relay: &str, stage: &str, words: &str) {
    let (name, said) = broken(desk, relay);
    assert_eq!(name, stage, "{relay}: {said}");
    assert!(said.contains(words), "{relay}: {words:?} is not in {said:?}");
}

fn start(rig: &Rig) -> (Show<'_>, Desk) {
    let show = rig.start(CONFIG);
    let desk = Desk::of(&show.mcr);
    desk.done(&["relay", "add", "ours", "--in", "in0/239.1.1.5:5000", "--out", "out0/239.2.1.5:5001"]);
    (show, desk)
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn each_dark_relay_is_told_why() {
    let rig = Rig::new(1);
    let (show, desk) = start(&rig);
    let source = show.source(streams(&rig));
    let said = desk.done(&["why", "plain"]);
    assert!(said.starts_with("plain: flows"), "{said}");
    breaks(&desk, "source", "source", "from 10.1.0.1");
    // Nothing joins a group in a VLAN without a device of that VLAN: that comes before the tag, which netns_host tells.
    breaks(&desk, "vlan", "joined", "ip link add link in0 name in0.100 type vlan id 100");
    // What stands in the file is changed there.
    breaks(&desk, "muted", "muted", "set muted = false in ");
    desk.done(&["relay", "mute", "ours"]);
    breaks(&desk, "ours", "muted", "mcr relay unmute ours");
    desk.done(&["relay", "disable", "ours"]);
    breaks(&desk, "ours", "relay", "mcr relay enable ours");
    breaks(&desk, "host", "neighbour", "10.2.0.66");
    breaks(&desk, "nothing", "seen", "on port 5002, not 5000");
    breaks(&desk, "gone", "link", "in9");
    // What cannot work yet is told at once when it is made.
    let made = desk.ask(&["relay", "add", "typo", "--in", "in8/239.1.1.9:5000", "--out", "out0/239.2.1.9:5001"]);
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() && told.contains("typo input is pending: ") && told.contains("in8"), "{told}");
    let why = desk.refused(&["why", "plane"]);
    assert!(why.contains("there is no relay \"plane\": see mcr relay ls"), "{why}");

    let told = |link: &str, stage: &str| {
        Rig::set_link(&rig.relay, link, &["down"]);
        // Until control has heard of it, what the lane meets is told.
        let deadline = Deadline::after(NOTED);
        while broken(&desk, "plain").0 != stage && !deadline.passed() {}
        breaks(&desk, "plain", stage, link);
        Rig::set_link(&rig.relay, link, &["up"]);
    };
    told("out0", "output_link");
    told("in0", "carrier");
    source.stop().unwrap();
    show.mcr.stop().unwrap();
}

/// Two streams in one group flow and are no use to anybody: that is told where one looks.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_group_that_two_relays_send_to_is_told() {
    let rig = Rig::new(1);
    let (show, desk) = start(&rig);
    let source = show.source(streams(&rig));
    let made = desk.ask(&["relay", "add", "twin", "--in", "in0/239.1.1.9:5000", "--out", "out0/239.2.1.1:5001"]);
    let told = String::from_utf8_lossy(&made.stderr);
    let of_twin = "outputs[0] and relay \"plain\" both send to out0/239.2.1.1:5001 from the same address";
    assert!(made.status.success() && told.contains(&format!("twin: warning: {of_twin}")), "{told}");
    let of_plain = "outputs[0] and relay \"twin\" both send to out0/239.2.1.1:5001";
    for look in [["why", "plain"].as_slice(), &["relay", "show", "plain"]] {
        let said = desk.done(look);
        assert!(said.contains(of_plain), "{look:?}: {said}");
    }
    desk.done(&["relay", "mute", "twin"]);
    assert!(!desk.done(&["relay", "show", "plain"]).contains("warning"));
    source.stop().unwrap();
    show.mcr.stop().unwrap();
}

/// A process of this very host that listens to a relayed group gets nothing any more: that is told.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_decoder_on_this_host_that_went_dark_is_told() {
    let rig = Rig::new(1);
    let (show, desk) = start(&rig);
    let source = show.source(streams(&rig));
    let listener = UdpListener::start(&rig.relay, "in0", "239.1.1.1:5000".parse().unwrap()).unwrap();
    let said = desk.done(&["why", "plain"]);
    // Control has no right to look into processes of others, and says who has.
    let who = "a process (ss -lunp 'sport = :5000' tells which) on this host listens on 239.1.1.1:5000";
    assert!(said.contains(who), "{said}");
    drop(listener);
    source.stop().unwrap();
    show.mcr.stop().unwrap();
}
