//! VLAN tags that do not stand in the frame: those that a NIC takes out, and those that travel beside it on a veth pair.

use crate::rig::{Rig, frame, payload};
use bench::links::{End, Veth, ethtool, ip};
use bench::packet::Vlan;
use nix::sys::signal::Signal;

const FRAMES: usize = 500;
/// What takes tags out of frames, as `ethtool -k` names it.
const STRIPS: &str = "rx-vlan-offload";

/// A relay of this VLAN of the input link.
fn config(interface: &str) -> String {
    format!(
        r#"
        [[relay]]
        name = "ch1"
        input = {{ interface = "{interface}", group = "239.1.1.1", port = 5000 }}
        outputs = [{{ interface = "out0", group = "239.2.1.1", port = 5001, vlan = "none" }}]
        "#
    )
}

/// Senders whose frames come to `src0` by a bridge. A bridge takes a frame's tag out and keeps it beside, as a device of a
/// VLAN does, and `src0` sends it like that unless its `txvlan` is off.
fn behind_a_bridge(rig: &Rig) {
    let namespace = rig.source.name();
    Veth::new(End::new(&rig.source, "host0"), End::new(&rig.source, "port0")).create().unwrap();
    ip(&["-n", namespace, "link", "add", "bridge0", "up", "type", "bridge", "mcast_snooping", "0"]).unwrap();
    for port in ["port0", "src0"] {
        Rig::set_link(&rig.source, port, &["master", "bridge0"]);
    }
    // The ports forward at once: spanning tree is off.
}

/// So many frames of the group, sent behind the bridge with these tags in them.
fn send(rig: &Rig, tags: &[Vlan]) {
    let headers = rig.headers("239.1.1.1:5000").from_mac(bench::packet::Mac([2, 0, 0, 0, 9, 9])).tagged(tags);
    let frames: Vec<_> = (0..FRAMES).map(|_| frame(&headers, &payload(1316))).collect();
    bench::source::send_frames(&rig.source, "host0", &frames).unwrap();
}

/// Sends frames and says how many come out.
fn relayed(show: &crate::rig::Show<'_>, tags: &[Vlan], expected: usize) {
    let sink = bench::Sink::start_keeping(FRAMES + 1, &show.rig.receivers, "rx0", Vec::new()).unwrap();
    send(show.rig, tags);
    assert_eq!(show.take(sink, expected).len(), expected, "relayed of {FRAMES} with {tags:?}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_tag_beside_the_frame_keeps_it_from_the_untagged_relay() {
    let rig = Rig::new(1);
    behind_a_bridge(&rig);
    let show = rig.start(&config("in0"));
    relayed(&show, &[], FRAMES);
    relayed(&show, &[Vlan::new(100)], 0);
    // A priority tag is no VLAN, wherever it is.
    relayed(&show, &[Vlan { priority: 5, ..Vlan::new(0) }], FRAMES);
    let report = show.mcr.stop().unwrap();
    assert_eq!(report.received("ch1"), 2 * FRAMES as u64);
    assert!(report.verdict("tag_beside") >= FRAMES as u64, "{}", report.0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_tag_in_the_frame_is_relayed_by_the_relay_of_its_vlan() {
    let rig = Rig::new(1);
    behind_a_bridge(&rig);
    ethtool(&rig.source, &["-K", "src0", "tx-vlan-hw-insert", "off"]).unwrap();
    let show = rig.start(&config("in0.100"));
    relayed(&show, &[Vlan::new(100)], FRAMES);
    relayed(&show, &[], 0);
    relayed(&show, &[Vlan::new(101)], 0);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.received("ch1"), report.verdict("tag_beside")), (FRAMES as u64, 0));
}

/// Whether the relay's input link takes tags out.
fn strips(rig: &Rig) -> bool {
    let text = ethtool(&rig.relay, &["-k", "in0"]).unwrap();
    let line = text.lines().find(|line| line.starts_with(STRIPS)).unwrap();
    line.contains(": on")
}

fn kill(pid: u32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_was_turned_off_is_on_again_after_the_end_or_without_the_input() {
    let rig = Rig::new(1);
    assert!(strips(&rig), "this is what the kernel begins with");
    let show = rig.start(&config("in0"));
    assert!(!strips(&rig));
    let mark = show.mcr.process.lines().len();
    std::fs::write(
        show.mcr.config(),
        config("out0").replace("interface = \"out0\", group = \"239.2", "interface = \"in0\", group = \"239.2"),
    )
    .unwrap();
    show.mcr.process.signal(Signal::SIGHUP).unwrap();
    show.wait_for(mark, "turned rx-vlan-hw-parse on again");
    show.wait_for(mark, "reload all relays: applied, generation 2");
    assert!(strips(&rig), "in0 is an output only");
    let mark = show.mcr.process.lines().len();
    std::fs::write(show.mcr.config(), config("in0")).unwrap();
    show.mcr.process.signal(Signal::SIGHUP).unwrap();
    show.wait_for(mark, "reload all relays: applied, generation 3");
    assert!(!strips(&rig));
    show.mcr.stop().unwrap();
    assert!(strips(&rig));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_a_killed_relay_turned_off_stays_off_for_its_successor_and_is_on_after_it() {
    let rig = Rig::new(1);
    let mut show = rig.start(&config("in0"));
    // Control alone: the lanes relay on, and nothing changes for them.
    kill(show.mcr.process.pid());
    show.mcr.process = show.mcr.another(&bench::relay::binary(), &rig.relay).unwrap();
    show.mcr.wait_until_ready().unwrap();
    assert!(!strips(&rig));
    // Everything: who starts next knows what to do at its end.
    kill(show.mcr.process.pid());
    show.mcr.lanes().into_iter().for_each(kill);
    while !show.mcr.lanes().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(!strips(&rig));
    show.mcr.process = show.mcr.another(&bench::relay::binary(), &rig.relay).unwrap();
    show.mcr.wait_until_ready().unwrap();
    show.mcr.stop().unwrap();
    assert!(strips(&rig));
}
