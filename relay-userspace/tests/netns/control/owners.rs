//! Places in the table change hands, and nobody is credited with what another relay did.

use super::desk::Desk;
use super::kept::kill_and_start;
use crate::rig::{Rig, Show, TAIL};
use bench::clock::Deadline;
use serde_json::Value;
use std::fs;

/// Room for two relays: the third has the place of one that is gone.
const NARROW: &str = "[lanes]\nmax_relays = 2\nmax_outputs = 2\n";
const PACKETS: u64 = 500;

fn add(desk: &Desk, name: &str) {
    desk.done(&["relay", "add", name, "--in", "in0/239.1.1.1:5000", "--out", "out0/239.2.1.1:5001"]);
}

/// Packets that came in, and that went out, with every drop.
fn counted(desk: &Desk, name: &str) -> (u64, u64, u64) {
    let status = &desk.json(&["relay", "show", name])["status"];
    let drops =
        |traffic: &Value| traffic["drops"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    let (input, output) = (&status["input"], &status["outputs"][0]);
    let packets = |traffic: &Value| traffic["packets"].as_u64().unwrap();
    (packets(input), packets(output), drops(input) + drops(output))
}

/// The relay has relayed nothing yet; then it relays what is sent to it, and has relayed that and no more.
#[track_caller]
fn plays(show: &Show<'_>, desk: &Desk, name: &str) {
    assert_eq!(counted(desk, name), (0, 0, 0), "{name} has relayed nothing yet");
    show.send(show.rig.streams(&["239.1.1.1:5000"]).rate(5_000).packets(PACKETS));
    let deadline = Deadline::after(TAIL);
    while counted(desk, name).1 < PACKETS && !deadline.passed() {}
    assert_eq!(counted(desk, name), (PACKETS, PACKETS, 0), "{name} has relayed its own");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_relay_begins_at_0_whoever_had_its_place() {
    let rig = Rig::new(1);
    let mut show = rig.start(NARROW);
    let desk = Desk::of(&show.mcr);
    // Two fresh places, then one that was given back.
    for name in ["first", "second", "third", "fourth"] {
        add(&desk, name);
        plays(&show, &desk, name);
        desk.done(&["relay", "rm", name]);
    }
    // A control that is new does not know who had the places that are free.
    kill_and_start(&mut show);
    add(&desk, "fifth");
    plays(&show, &desk, "fifth");
    // The table is full, and both places change hands at once.
    desk.done(&["relay", "add", "spare", "--in", "in0/239.1.1.9:5000", "--out", "out0/239.2.1.9:5001"]);
    let file = show.mcr.folder().join("others.toml");
    let relay = |name: &str, group: &str| {
        format!(
            "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"{group}\", port = 5000 }}\n\
             outputs = [{{ interface = \"out0\", group = \"239.2.1.1\", port = 5001 }}]\n"
        )
    };
    fs::write(&file, relay("sixth", "239.1.1.1") + &relay("seventh", "239.1.1.2")).unwrap();
    desk.done(&["apply", file.to_str().unwrap()]);
    assert_eq!(counted(&desk, "seventh"), (0, 0, 0));
    plays(&show, &desk, "sixth");
    show.mcr.stop().unwrap();
}

/// The kernel lets go of a closed socket's frames a moment later. Who adds and removes faster waits for them.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn frames_of_sockets_that_were_just_closed_are_waited_for() {
    let rig = Rig::new(1);
    let show = rig.start("[lanes]\nspare_sockets = 2\n");
    let desk = Desk::of(&show.mcr);
    // Each takes all frames for the sockets of both links, and gives them back.
    for n in 0..3 {
        let name = format!("relay-{n}");
        add(&desk, &name);
        desk.done(&["relay", "rm", &name]);
    }
    add(&desk, "last");
    plays(&show, &desk, "last");
    show.mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_there_are_no_frames_for_is_refused_by_a_dry_run_too() {
    let rig = Rig::new(1);
    let show = rig.start("[lanes]\nspare_sockets = 0\n");
    let desk = Desk::of(&show.mcr);
    for dry in [&["--dry-run"][..], &[]] {
        let add = ["relay", "add", "one", "--in", "in0/239.1.1.1:5000", "--out", "out0/239.2.1.1:5001"];
        let why = desk.refused(&[&add[..], dry].concat());
        assert!(why.contains("raise lanes.spare_sockets"), "{why}");
    }
    assert!(desk.names().is_empty() && desk.failing().is_empty());
    show.mcr.stop().unwrap();
}
