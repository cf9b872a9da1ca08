//! The files in `config/` are the manual: they say what is true, all of it, and they work. The unit in `deploy/` says what
//! systemd is to do with it.

use relay_common::facts::{Facts, Link, Neighbour, VlanDevice};
use relay_common::plan::Plan;
use relay_common::table::{Placement, compile};
use relay_config::{SCHEMA, load, parse};
use relay_userspace::check::{Found, Options, Seen, as_text};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

fn manual() -> String {
    std::fs::read_to_string(file("relay.toml")).expect("config/relay.toml is there")
}

/// The manual with the settings in force that are commented out in it.
fn manual_in_force() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        // Text has a space behind the '#'; inside the list of outputs it has two, and a brace.
        Some(setting) if !setting.starts_with(' ') || setting.starts_with("  {") => setting.to_owned(),
        Some(_) => String::new(),
        None => line.to_owned(),
    };
    manual().lines().map(|text| line(text) + "\n").collect()
}

fn plan(text: &str) -> Plan {
    parse("relay.toml", text).unwrap_or_else(|errors| panic!("{errors}")).plan
}

#[test]
fn the_manual_is_the_defaults() {
    assert_eq!(plan(&manual()), plan(""));
    let settings = |text: &str| parse("relay.toml", text).unwrap().settings;
    assert_eq!(settings(&manual()).http, settings("").http);
}

#[test]
fn the_manual_has_every_key() {
    let root: toml::Table = manual_in_force().parse().unwrap();
    let mut documented = BTreeSet::new();
    collect_keys("", &root, &mut documented);
    let path = |section: &str, key: &str| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    let known: BTreeSet<String> =
        SCHEMA.iter().flat_map(|(section, keys)| keys.iter().map(|key| path(section, key))).collect();
    // An input takes `address` where the manual shows `group`, which its text says.
    let missing: Vec<&String> = known.difference(&documented).filter(|key| *key != "relay.input.address").collect();
    assert!(missing.is_empty(), "config/relay.toml does not show {missing:?}");
}

fn collect_keys(path: &str, table: &toml::Table, keys: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            toml::Value::Table(table) => collect_keys(&path, table, keys),
            toml::Value::Array(list) => {
                list.iter().filter_map(toml::Value::as_table).for_each(|table| collect_keys(&path, table, keys));
            }
            _ => {}
        }
        keys.insert(path);
    }
}

#[test]
fn what_the_manual_shows_is_default_too() {
    let all = plan(&manual_in_force());
    let short = plan(
        "[lanes]\nuser = 'mcr-lane'\n[[interface]]\nname = 'ens1f0'\n[[relay]]\nname = 'channel-1'\n\
         input = { interface = 'ens1f0', group = '239.1.1.1', port = 5000 }\n\
         outputs = [{ interface = 'ens1f1', group = '239.2.1.1', port = 5000 },\n\
                    { interface = 'ens1f1', address = '10.1.1.9', port = 6000 }]",
    );
    assert_eq!(all, short);
}

/// A node with three links and some VLAN devices, its addresses made of the links' numbers.
fn node() -> Facts {
    let names = ["ens1f0", "ens1f1", "ens2f0", "ens1f0.100", "ens1f0.300", "ens1f1.200", "ens1f1.201"];
    let links = (1u8..).zip(names).map(|(ifindex, name)| Link {
        name: name.to_owned(),
        ifindex: u32::from(ifindex),
        mac: [2, 0, 0, 0, 0, ifindex],
        mtu: 1500,
        up: true,
        carrier: true,
        v4: vec![(Ipv4Addr::new(10, 0, ifindex, 1), 24)],
        v6: vec![(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from(ifindex)), 64)],
        n_rx_queues: 4,
        n_tx_queues: 4,
    });
    let destination = IpAddr::from([10, 1, 1, 9]);
    let next_hop = IpAddr::from([10, 0, 2, 254]);
    let neighbour = Neighbour { ifindex: 2, destination, next_hop, mac: Some([2, 0, 0, 0, 0xfe, 2]) };
    let vlan =
        |parent_ifindex, vlan, ifindex, name: &str| VlanDevice { parent_ifindex, vlan, ifindex, name: name.to_owned() };
    let vlan_devices = vec![
        vlan(1, 100, 4, "ens1f0.100"),
        vlan(1, 300, 5, "ens1f0.300"),
        vlan(2, 200, 6, "ens1f1.200"),
        vlan(2, 201, 7, "ens1f1.201"),
    ];
    Facts { links: links.collect(), neighbours: vec![neighbour], vlan_devices, ..Facts::default() }
}

fn golden(name: &str) -> String {
    let plan = load(&file(&format!("examples/{name}.toml"))).unwrap_or_else(|errors| panic!("{errors}")).plan;
    let facts = node();
    let compiled = compile(&plan, &facts, &Placement::new(&plan, &facts, None), None);
    assert_eq!((compiled.pending.as_slice(), compiled.refused.as_slice()), (&[][..], &[][..]));
    as_text(name, &plan, &Found { compiled, seen: Seen::default() }, Options { strict: true, ..Options::default() })
}

#[test]
fn every_example_compiles() {
    let mut names: Vec<String> = std::fs::read_dir(file("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["fan-out", "one-stream", "ranges", "ssm-and-vlan"], "a new example needs a golden table");
    for name in names {
        insta::assert_snapshot!(name.as_str(), golden(&name));
    }
}

/// Each of these has cost streams, or health, where it was systemd's default.
#[test]
fn the_unit_keeps_streams_alive_where_systemd_would_not() {
    let unit = std::fs::read_to_string(file("../deploy/mcr.service")).unwrap();
    let value = |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).next_back();
    for (key, wanted) in [
        // It comes back however it ended, however often, and before a probe of keepalived's misses it.
        ("Restart", "always"),
        ("StartLimitIntervalSec", "0"),
        ("RestartSec", "100ms"),
        // A death of control is no death of lanes, nor is that of a lane that of the unit.
        ("KillMode", "process"),
        ("OOMPolicy", "continue"),
        // A node with all the groups that it may have; the soft limit is 1024 otherwise.
        ("LimitNOFILE", "65536"),
        // Frames are pinned.
        ("LimitMEMLOCK", "infinity"),
        // What lies in memory is other people's streams.
        ("LimitCORE", "0"),
        ("NotifyAccess", "main"),
        ("ExecReload", "/usr/local/bin/mcr reload"),
        ("ExecStop", "/usr/local/bin/mcr stop"),
    ] {
        assert_eq!(value(key), Some(wanted), "{key}");
    }
    let first_to_be_killed: i32 = value("OOMScoreAdjust").unwrap().parse().unwrap();
    assert!(first_to_be_killed <= -500, "{first_to_be_killed}: streams go when the machine runs out of memory");
}
