//! The table for people and the JSON for programs.

use super::*;
use relay_control::link::ethtool::{Channels, Driver, Feature, Features};
use relay_control::link::hardware::Hardware;
use relay_control::link::netlink::Reading;

fn ability() -> Ability {
    Ability {
        reading: Reading {
            link: Link {
                name: String::from("ens1f0"),
                ifindex: 3,
                mac: [2, 0, 0, 0, 0, 0x1f],
                mtu: 1500,
                up: true,
                carrier: true,
                v4: vec![([192, 0, 2, 1].into(), 24)],
                v6: Vec::new(),
                n_rx_queues: 2,
                n_tx_queues: 2,
            },
            kind: String::new(),
            vlan: None,
            controller: None,
            attached: Vec::new(),
            carrier_changes: 0,
        },
        driver: Some(Driver {
            name: String::from("ice"),
            version: String::from("6.18"),
            firmware: String::from("4.40"),
            bus: String::from("0000:01:00.0"),
        }),
        is_module: true,
        channels: Some(Channels { rx: 2, tx: 2, max_rx: 16, max_tx: 16, combined: true }),
        rings: None,
        hardware: Some(Hardware {
            numa_node: Some(1),
            near: Cores(String::from("8-15")),
            interrupts: vec![Interrupt {
                number: 31,
                name: String::from("ice-ens1f0-TxRx-0"),
                cores: Cores(String::from("9")),
            }],
        }),
        features: Features(vec![Feature { name: String::from("rx-vlan-hw-parse"), on: true, fixed: false }]),
        xdp: None,
        members: Vec::new(),
    }
}

#[test]
fn the_table_shows_a_row_and_then_the_remedies() {
    let usage = Use { lanes: 4, vlans: true, ..Use::default() };
    let mut out = Vec::new();
    let mut ability = ability();
    ability.features.0[0].fixed = true;
    table(&[View::new(&ability, &usage)], &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
    LINK    STATE  DRIVER  NODE  RX/TX  MTU   MAC                ADDRS  XDP      ZERO-COPY  MCR WOULD USE
    ens1f0  up     ice     1     2/2    1500  02:00:00:00:00:1f  1      unknown  unknown    tried at start (this kernel does not tell what drivers can do)

    ens1f0: vlan-offload: ens1f0 takes VLAN tags out of frames before XDP sees them, and frames of every VLAN look alike: its inputs stay pending
      remedy: the driver does not let rx-vlan-hw-parse be turned off: do it where the device comes from (on a virtual machine: in the hypervisor), or use another link

    ens1f0: too-few-queues: ens1f0 has 2 transmit queues for 4 lanes: the others cannot send on it
      remedy: ethtool -L ens1f0 combined 4
    ");
}

#[test]
fn programs_get_the_same_and_null_where_nothing_is_known() {
    let json = serde_json::to_value(View::new(&ability(), &Use::default())).unwrap();
    assert_eq!(json["name"], "ens1f0");
    assert_eq!(json["addresses"][0], "192.0.2.1/24");
    assert_eq!(json["queues"]["max_tx"], 16);
    assert!(json["xdp"]["zero_copy"].is_null());
    assert_eq!(json["would_use"]["mode"], "tried at start");
    assert_eq!((&json["numa_node"], &json["near_cores"]), (&1.into(), &"8-15".into()));
    assert_eq!((&json["interrupts"][0]["number"], &json["interrupts"][0]["cores"]), (&31.into(), &"9".into()));
    assert_eq!(json["hints"].as_array().unwrap().len(), 0);
}

#[test]
fn zero_copy_that_is_left_alone_is_not_what_mcr_would_use() {
    let mut igb = ability();
    igb.driver.as_mut().unwrap().name = String::from("igb");
    let release = relay_common::release::Release::parse("6.18.2", "", "");
    let used = |zero_copy_demanded| {
        let usage = Use { frame_size: 4096, release, zero_copy_demanded, ..Use::default() };
        let OutlookView { mode, reason } = View::new(&igb, &usage).would_use;
        (mode, reason)
    };
    assert_eq!(used(false), ("native, copy", "this kernel has a fault in zero-copy: see below"));
    assert_eq!(used(true).0, "tried at start");
}
