//! Each hint with what calls for it, and without.

use super::*;
use crate::link::ethtool::{Channels, Driver, Feature, Features, Rings};
use crate::link::hardware::{Cores, Hardware};
use crate::link::netlink::Reading;
use crate::link::xdp::{Attached, Place, Support};
use relay_common::facts::Link;
use relay_common::release::Release;
use std::collections::BTreeSet;

fn ability() -> Ability {
    let link = Link {
        name: String::from("ens1f0"),
        ifindex: 3,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        up: true,
        carrier: true,
        v4: Vec::new(),
        v6: Vec::new(),
        n_rx_queues: 4,
        n_tx_queues: 4,
    };
    Ability {
        reading: Reading {
            link,
            kind: String::new(),
            vlan: None,
            controller: None,
            attached: Vec::new(),
            carrier_changes: 0,
        },
        driver: None,
        is_module: true,
        channels: Some(Channels { rx: 4, tx: 4, max_rx: 8, max_tx: 8, combined: true }),
        rings: None,
        hardware: None,
        features: Features::default(),
        xdp: None,
        members: Vec::new(),
    }
}

fn with_features(features: &[(&str, bool, bool)]) -> Ability {
    let feature = |&(name, on, fixed): &(&str, bool, bool)| Feature { name: name.to_owned(), on, fixed };
    Ability { features: Features(features.iter().map(feature).collect()), ..ability() }
}

fn only(ability: &Ability, usage: &Use) -> Hint {
    let mut all = hints(ability, usage);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_good_link_has_no_hints() {
    assert_eq!(hints(&ability(), &Use::default()), []);
}

#[test]
fn down_and_without_carrier_are_different() {
    let mut ability = ability();
    ability.reading.link.carrier = false;
    assert_eq!(only(&ability, &Use::default()).name, "no-carrier");
    ability.reading.link.up = false;
    let hint = only(&ability, &Use::default());
    assert_eq!((hint.name, hint.remedy.as_str()), ("down", "ip link set dev ens1f0 up"));
}

#[test]
fn another_program_is_named_and_ours_is_not() {
    let mut ability = ability();
    ability.reading.attached = vec![Attached { place: Place::Generic, program: 17 }];
    let hint = only(&ability, &Use::default());
    assert_eq!(hint.name, "other-program");
    assert!(hint.text.contains("17") && hint.remedy.ends_with("ip link set dev ens1f0 xdpgeneric off"), "{hint:?}");
    assert_eq!(hints(&ability, &Use { own_programs: vec![17], ..Use::default() }), []);
}

#[test]
fn an_mtu_is_measured_against_the_frame() {
    assert_eq!((longest_mtu(2048), longest_mtu(4096), longest_mtu(64)), (1766, 3814, 0));
    let mut ability = ability();
    ability.reading.link.mtu = 1766;
    assert_eq!(hints(&ability, &Use::default()), []);
    ability.reading.link.mtu = 1767;
    let hint = only(&ability, &Use::default());
    assert_eq!(hint.remedy, "set lanes.frame_size = 4096, or: ip link set dev ens1f0 mtu 1766");
    assert_eq!(hints(&ability, &Use { frame_size: 4096, ..Use::default() }), []);
    ability.reading.link.mtu = 9000;
    assert_eq!(only(&ability, &Use::default()).remedy, "ip link set dev ens1f0 mtu 1766");
}

#[test]
fn merged_frames_are_turned_off_by_their_short_names() {
    let hint = only(&with_features(&[("rx-lro", true, false), ("rx-gro-hw", true, false)]), &Use::default());
    assert_eq!((hint.name, hint.remedy.as_str()), ("merged-frames", "ethtool -K ens1f0 lro off rx-gro-hw off"));
    let hint = only(&with_features(&[("rx-lro", false, false), ("rx-gro-hw", true, true)]), &Use::default());
    assert!(hint.remedy.contains("does not let rx-gro-hw be turned off"), "{hint:?}");
}

#[test]
fn vlan_offload_hurts_where_it_cannot_be_turned_off() {
    let ability = with_features(&[("rx-vlan-hw-parse", true, false)]);
    assert_eq!(hints(&ability, &Use { vlans: true, ..Use::default() }), [], "mcr turns it off while it relays");
    let hint = only(&with_features(&[("rx-vlan-hw-parse", true, true)]), &Use::default());
    assert_eq!(hint.name, "vlan-offload");
    assert!(hint.remedy.contains("does not let rx-vlan-hw-parse be turned off"), "{hint:?}");
    assert_eq!(hints(&with_features(&[("rx-vlan-hw-parse", false, true)]), &Use::default()), []);
}

#[test]
fn tags_beside_frames_hurt_where_nobody_can_be_asked_for_them() {
    let named = |ability: &Ability, usage: &Use| {
        hints(ability, usage).into_iter().find(|hint| hint.name == "vlan-beside").map(|hint| (hint.text, hint.remedy))
    };
    let mut ability = ability();
    assert_eq!(
        named(&ability, &Use { vlans: true, ..Use::default() }),
        None,
        "a NIC has tags in frames or takes them out"
    );
    ability.reading.kind = "veth".to_owned();
    let (text, remedy) = named(&ability, &Use::default()).unwrap();
    assert!(text.ends_with("untagged relays would take in the frames of every VLAN"), "{text}");
    assert_eq!(remedy, "on the peer of ens1f0: ethtool -K PEER txvlan off");
    ability.xdp = Some(Support::of(1, 1).telling_tags());
    assert_eq!(named(&ability, &Use::default()), None, "the program asks the driver");
    assert!(named(&ability, &Use { native: false, ..Use::default() }).is_some(), "there is no driver to ask");
    let (text, _) = named(&ability, &Use { vlans: true, ..Use::default() }).unwrap();
    assert!(text.ends_with("does not see them: relays with a VLAN get nothing"), "{text}");
}

#[test]
fn every_lane_needs_a_transmit_queue() {
    let mut ability = ability();
    assert_eq!(hints(&ability, &Use { lanes: 4, ..Use::default() }), []);
    let hint = only(&ability, &Use { lanes: 6, ..Use::default() });
    assert_eq!((hint.name, hint.remedy.as_str()), ("too-few-queues", "ethtool -L ens1f0 combined 6"));
    let hint = only(&ability, &Use { lanes: 9, ..Use::default() });
    assert!(hint.remedy.starts_with("run at most 4 lanes"), "{hint:?}");
    ability.channels = Some(Channels { rx: 4, tx: 4, max_rx: 8, max_tx: 8, combined: false });
    assert_eq!(only(&ability, &Use { lanes: 6, ..Use::default() }).remedy, "ethtool -L ens1f0 tx 6");
}

#[test]
fn the_rings_of_a_zero_copy_card_want_as_many_frames_as_they_hold() {
    let mut ability = ability();
    ability.rings = Some(Rings { rx: 4078, tx: 512, max_rx: 8192, max_tx: 8192 });
    assert_eq!(hints(&ability, &Use::default()), [], "in copy mode the card has buffers of its own");
    ability.xdp = Some(Support::of(0b1011, 1));
    let hint = only(&ability, &Use::default());
    assert_eq!(hint.remedy, "set lanes.ring_size = 4096, or: ethtool -G ens1f0 rx 2048");
    assert_eq!(hints(&ability, &Use { ring_size: 4096, ..Use::default() }), []);
    assert_eq!(hints(&ability, &Use { zero_copy: false, ..Use::default() }), []);
}

#[test]
fn a_bond_is_relayed_from_by_its_members() {
    let mut ability = ability();
    ability.reading.kind = "bond".to_owned();
    ability.members = vec!["ens1f0".to_owned(), "ens1f1".to_owned()];
    ability.xdp = Some(Support::of(0b11, 1));
    let hint = hints(&ability, &Use::default()).into_iter().find(|hint| hint.name == "members").unwrap();
    assert!(hint.text.contains("is made of ens1f0 and ens1f1"), "{hint:?}");
    assert!(hint.remedy.starts_with("relay from ens1f0 and ens1f1"), "{hint:?}");
    assert_eq!(ability.outlook().0, "generic, copy", "whatever its driver advertises");
}

#[test]
fn lanes_run_on_the_node_of_the_link() {
    let mut ability = ability();
    let near = Cores(String::from("8-15"));
    ability.hardware = Some(Hardware { numa_node: Some(1), near, interrupts: Vec::new() });
    assert_eq!(hints(&ability, &Use { cores: vec![8, 15], ..Use::default() }), []);
    let hint = only(&ability, &Use { cores: vec![8, 2, 3], ..Use::default() });
    assert_eq!(hint.text, "ens1f0 is on NUMA node 1, and lanes run elsewhere, on core 2, core 3");
    assert_eq!(hint.remedy, "choose lanes.cores among 8-15");
    ability.hardware.as_mut().unwrap().numa_node = None;
    assert_eq!(hints(&ability, &Use { cores: vec![2], ..Use::default() }), [], "a machine with one node");
}

#[test]
fn a_driver_that_would_cut_packets_copies_and_says_so() {
    let driver = crate::link::ethtool::Driver { name: "igb".to_owned(), ..Default::default() };
    let igb = Ability { driver: Some(driver), xdp: Some(Support::of(0b1111, 1)), ..ability() };
    let hint = only(&igb, &Use::default());
    assert_eq!(hint.name, "cut-packets");
    assert_eq!(hint.remedy, "set lanes.frame_size = 4096, or: ip link set dev ens1f0 mtu 998");
    assert_eq!(hints(&igb, &Use { frame_size: 4096, ..Use::default() }), []);
    assert_eq!(hints(&igb, &Use { zero_copy: false, ..Use::default() }), []);
}

#[test]
fn a_fault_of_the_kernel_is_told_where_it_would_be_woken() {
    let igb = |xdp| {
        let driver = crate::link::ethtool::Driver { name: String::from("igb"), ..Default::default() };
        Ability { driver: Some(driver), xdp, ..ability() }
    };
    let on = |name: &str| Use { frame_size: 4096, release: Release::parse(name, "", ""), ..Use::default() };
    let native = Some(Support::of(3, 0));
    let zero_copy = Some(Support::of(0b1011, 1));
    let hint = only(&igb(zero_copy), &on("6.18.22"));
    assert_eq!(hint.name, KERNEL_FAULT);
    assert!(hint.text.starts_with("Linux 6.18.22 has CVE-2026-31691: "), "{hint:?}");
    assert!(hint.text.ends_with("; so ens1f0 copies"), "{hint:?}");
    let demanded = only(&igb(zero_copy), &Use { zero_copy_demanded: true, ..on("6.18.22") });
    assert!(!demanded.text.contains("copies") && demanded.remedy.contains("zero_copy = \"auto\""), "{demanded:?}");
    for (xdp, usage) in [
        (zero_copy, on("6.18.23")),
        (zero_copy, Use { zero_copy: false, ..on("6.18.22") }),
        (native, on("6.18.22")),
        (zero_copy, on("headend")),
    ] {
        assert_eq!(hints(&igb(xdp), &usage), [], "{usage:?}");
    }
    // Where the kernel does not tell what the driver can do, zero-copy is tried.
    assert_eq!(only(&igb(None), &on("6.18.22")).name, KERNEL_FAULT);
}

#[test]
fn a_fault_without_a_fix_names_what_the_configuration_can_do() {
    let driver = crate::link::ethtool::Driver { name: String::from("virtio_net"), ..Default::default() };
    let virtio = Ability { driver: Some(driver), xdp: Some(Support::of(0b1011, 1)), ..ability() };
    let on = |name: &str| Use { release: Release::parse(name, "", ""), ..Use::default() };
    let hint = only(&virtio, &on("7.3.4+deb13-amd64"));
    assert_eq!(hint.name, KERNEL_FAULT);
    assert!(hint.text.ends_with("; so ens1f0 copies"), "{hint:?}");
    assert!(hint.remedy.ends_with(", then zero_copy = \"always\" for ens1f0"), "{hint:?}");
    let demanded = only(&virtio, &Use { zero_copy_demanded: true, ..on("7.3.4+deb13-amd64") });
    assert!(demanded.remedy.contains("zero_copy = \"auto\""), "{demanded:?}");
    // Its number does not tell: zero-copy is tried, and who does not want that says so.
    let perhaps = only(&virtio, &on("6.12.0-55.9.1.el10_0.x86_64"));
    assert!(!perhaps.text.contains("copies") && perhaps.remedy.contains("zero_copy = \"never\""), "{perhaps:?}");
    assert_eq!(hints(&Ability { is_module: false, ..virtio }, &on("7.3.4+deb13-amd64")), []);
}

/// The names in the first column of the table of hints in docs/links.md.
fn documented() -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/links.md");
    let text = std::fs::read_to_string(page).unwrap();
    let (_, table) = text.split_once("## Hints").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn every_hint_that_is_documented_is_given_and_no_other() {
    let mut bad = with_features(&[("rx-lro", true, false), ("rx-vlan-hw-parse", true, true)]);
    bad.reading.link = Link { mtu: 9000, n_tx_queues: 1, up: false, ..bad.reading.link };
    bad.reading.kind = "veth".to_owned();
    bad.reading.attached = vec![Attached { place: Place::Native, program: 1 }];
    bad.rings = Some(Rings { rx: 4096, tx: 512, max_rx: 8192, max_tx: 8192 });
    bad.hardware = Some(Hardware { numa_node: Some(1), near: Cores("4-7".to_owned()), interrupts: Vec::new() });
    bad.xdp = Some(Support::of(0b1011, 1));
    let mut unplugged = ability();
    unplugged.reading.link = Link { carrier: false, mtu: 1500, ..unplugged.reading.link };
    unplugged.driver = Some(Driver { name: "igb".to_owned(), ..Driver::default() });
    let mut bond = ability();
    bond.reading.kind = "bond".to_owned();
    let usage = Use { lanes: 4, cores: vec![0], ..Use::default() };
    let given = [bad, unplugged, bond].into_iter().flat_map(|ability| hints(&ability, &usage));
    // Those of kernels have tests of their own.
    let names = given.map(|hint| hint.name).chain([KERNEL_FAULT]);
    assert_eq!(names.map(str::to_owned).collect::<BTreeSet<_>>(), documented());
}
