//! Right files and what becomes of them; every wrong file with the words it is refused with.

mod refused;

use super::parse;
use proptest::prelude::*;
use relay_common::entry::Vlans;
use relay_common::plan::{Interface, Meters, Mode, Plan, Poll, Queues, Relay, Source, ZeroCopy};
use std::num::NonZeroU8;

fn good(text: &str) -> Plan {
    parse("relay.toml", text).unwrap_or_else(|errors| panic!("{errors}")).plan
}

fn one_relay(input: &str, output: &str) -> Relay {
    let text = format!("[[relay]]\nname = \"a\"\ninput = {{ {input} }}\noutputs = [{{ {output} }}]\n");
    let mut relays = good(&text).relays;
    assert_eq!(relays.len(), 1);
    relays.remove(0)
}

const INPUT: &str = r#"interface = "ens1f0", group = "239.1.1.1", port = 5000"#;
const OUTPUT: &str = r#"interface = "ens1f1", group = "239.2.1.1", port = 5001"#;

#[test]
fn an_empty_file_is_all_defaults() {
    let plan = good("");
    assert_eq!((plan.interfaces.len(), plan.relays.len()), (0, 0));
    assert_eq!(plan.lanes, relay_common::plan::Lanes::default());
    assert_eq!((plan.lanes.poll, plan.lanes.max_relays), (Poll::Adaptive, 4096));
}

#[test]
fn a_relay_has_defaults() {
    let relay = one_relay(INPUT, OUTPUT);
    assert!(relay.enabled && !relay.muted);
    assert_eq!((relay.silence_after_ms, relay.meters), (Some(1000), Meters::Full));
    assert_eq!((relay.input.vlans, relay.input.sources.len()), ([0, 0], 0));
    let output = &relay.outputs[0];
    assert_eq!(output.vlans, Vlans::Set { n: 0, ids: [0, 0] });
    assert_eq!((output.ttl.map(NonZeroU8::get), output.dscp, output.source_port), (Some(16), None, None));
    assert_eq!(output.source, Source::Link);
}

#[test]
fn a_ttl_is_a_number_or_counts_down() {
    let ttl = |ttl: &str| one_relay(INPUT, &format!("{OUTPUT}, ttl = {ttl}")).outputs[0].ttl;
    assert_eq!(ttl("255"), Some(NonZeroU8::MAX));
    assert_eq!(ttl("\"decrement\""), None);
}

#[test]
fn every_key_is_heard() {
    let input = r#"interface = "ens1f0", group = "239.1.1.1", port = 5000, sources = ["10.0.0.5"], vlan = [100, 7]"#;
    let output = r#"interface = "ens1f1", address = "10.1.1.9", port = 5001, ttl = 3, dscp = 34, source = "10.1.1.1",
        source_port = 5002, vlan = "keep""#;
    let relay = one_relay(input, &output.replace('\n', " "));
    assert_eq!((relay.input.vlans, relay.input.sources.len()), ([100, 7], 1));
    let output = &relay.outputs[0];
    assert_eq!((output.vlans, output.ttl.map(NonZeroU8::get), output.dscp), (Vlans::Keep, Some(3), Some(34)));
    assert_eq!(output.source, Source::Address("10.1.1.1".parse().unwrap()));
    assert_eq!(output.source_port.map(std::num::NonZeroU16::get), Some(5002));

    let plan = good(
        "[[interface]]\nname = 'e0'\nmode = 'native'\nzero_copy = 'never'\nqueues = [1, 0]\n\
         [lanes]\ncores = [2, 3]\npoll = 'busy'\nspin_us = 1\nbusy_poll_us = 2\nframe_size = 4096\nring_size = 64\n\
         frames = 1000\nmax_relays = 5\nmax_outputs = 6\n",
    );
    let queues = Queues::Some(vec![1, 0]);
    let interface = Interface { name: "e0".into(), mode: Mode::Native, zero_copy: ZeroCopy::Never, queues };
    assert_eq!(plan.interfaces, [interface]);
    let lanes = plan.lanes;
    assert_eq!(
        (lanes.cores.as_slice(), lanes.poll, lanes.spin_us, lanes.busy_poll_us),
        (&[2, 3][..], Poll::Busy, 1, 2)
    );
    assert_eq!((lanes.frame_size, lanes.ring_size, lanes.frames), (4096, 64, Some(1000)));
    assert_eq!((lanes.max_relays, lanes.max_outputs), (5, 6));
}

#[test]
fn a_relay_can_be_muted_and_measured_otherwise() {
    let text = format!(
        "[[relay]]\nname = 'a'\nmuted = true\nsilence_after = '250ms'\nmeters = 'rtp'\n\
         input = {{ {INPUT} }}\noutputs = [{{ {OUTPUT} }}]"
    );
    let relay = &good(&text).relays[0];
    assert_eq!((relay.muted, relay.silence_after_ms, relay.meters), (true, Some(250), Meters::Rtp));
    let never = &good(&text.replace("250ms", "off")).relays[0];
    assert_eq!(never.silence_after_ms, None);
}

#[test]
fn a_vlan_can_be_part_of_the_interface() {
    let relay = one_relay(&INPUT.replace("ens1f0", "ens1f0.100"), &OUTPUT.replace("ens1f1", "br.lan.100.7"));
    assert_eq!((relay.input.interface.as_str(), relay.input.vlans), ("ens1f0", [100, 0]));
    let output = &relay.outputs[0];
    assert_eq!((output.interface.as_str(), output.vlans), ("br.lan", Vlans::Set { n: 2, ids: [100, 7] }));
}

#[test]
fn ranges_run_side_by_side() {
    let text = r#"
        [[relay]]
        name = "all"
        input = { interface = "e0", group = "239.1.1.254-239.1.2.1", port = 5000 }
        outputs = [
            { interface = "e1", group = "239.2.1.0-3", port = "6000-6003" },
            { interface = "e1", address = "10.1.1.9", port = "7000-7003" },
        ]"#;
    let relays = good(text).relays;
    let lines: Vec<String> = relays
        .iter()
        .map(|r| {
            let outputs = r.outputs.iter().map(|o| format!("{} {}", o.destination, o.port)).collect::<Vec<_>>();
            format!("{}: {} {} -> {}", r.name, r.input.destination, r.input.port, outputs.join(", "))
        })
        .collect();
    let expected = [
        "all/0: 239.1.1.254 5000 -> 239.2.1.0 6000, 10.1.1.9 7000",
        "all/1: 239.1.1.255 5000 -> 239.2.1.1 6001, 10.1.1.9 7001",
        "all/2: 239.1.2.0 5000 -> 239.2.1.2 6002, 10.1.1.9 7002",
        "all/3: 239.1.2.1 5000 -> 239.2.1.3 6003, 10.1.1.9 7003",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn ipv6_ranges_end_in_hexadecimal() {
    let input = INPUT.replace("239.1.1.1", "ff3e::8-11");
    let text = format!(
        "[[relay]]\nname = \"v6\"\ninput = {{ {input} }}\noutputs = [{{ {} }}]",
        OUTPUT.replace("239.2.1.1", "ff3e::1:8-ff3e::1:11")
    );
    let relays = good(&text).relays;
    assert_eq!(relays.len(), 10);
    let last = &relays[9];
    assert_eq!(last.input.destination.to_string(), "ff3e::11");
    assert_eq!(last.outputs[0].destination.to_string(), "ff3e::1:11");
}

#[test]
fn a_chain_is_allowed_and_so_is_a_disabled_circle() {
    let chain = |last: &str, enabled: bool| {
        format!(
            "[[relay]]\nname = 'a'\ninput = {{ interface = 'e0', group = '239.0.0.1', port = 1 }}\n\
             outputs = [{{ interface = 'e0', group = '239.0.0.2', port = 1 }}]\n\
             [[relay]]\nname = 'b'\nenabled = {enabled}\n\
             input = {{ interface = 'e0', group = '239.0.0.2', port = 1 }}\n\
             outputs = [{{ interface = 'e0', group = '{last}', port = 1 }}]\n"
        )
    };
    good(&chain("239.0.0.3", true));
    good(&chain("239.0.0.1", false));
    assert!(parse("x", &chain("239.0.0.1", true)).is_err());
}

#[test]
fn relays_with_different_sources_may_share_a_group() {
    let relay = |name: &str, sources: &str| {
        let input = INPUT.replace("port", &format!("sources = [{sources}], port"));
        format!("[[relay]]\nname = \"{name}\"\ninput = {{ {input} }}\noutputs = [{{ {OUTPUT} }}]\n")
    };
    let plan = good(&[relay("a", "\"10.0.0.1\""), relay("b", "\"10.0.0.2\", \"10.0.0.3\"")].concat());
    assert_eq!(plan.relays.len(), 2);
}

#[test]
fn link_local_groups_can_be_allowed() {
    let text = format!(
        "[[relay]]\nname = 'ptp'\nallow_link_local = true\ninput = {{ {} }}\noutputs = [{{ {OUTPUT} }}]",
        INPUT.replace("239.1.1.1", "224.0.0.107")
    );
    assert_eq!(good(&text).relays[0].input.destination.to_string(), "224.0.0.107");
}

#[test]
fn json_is_read_like_toml() {
    let relay = serde_json::json!({
        "name": "a",
        "input": { "interface": "ens1f0", "group": "239.1.1.1", "port": 5000 },
        "outputs": [{ "interface": "ens1f1", "group": "239.2.1.1", "port": 5001 }],
    });
    assert_eq!(super::parse_relay(&relay).unwrap(), [one_relay(INPUT, OUTPUT)]);
    let wrong = serde_json::json!({ "name": "a", "inptu": 1, "outputs": [{ "port": 1.5 }] });
    let errors = super::parse_relay(&wrong).unwrap_err();
    let lines: Vec<String> = errors.errors.iter().map(|error| format!("{}: {}", error.key, error.problem)).collect();
    let expected = [
        "relay \"a\" inptu: unknown key",
        "relay \"a\" input: is missing",
        "relay \"a\" outputs[0].interface: is missing",
        "relay \"a\" outputs[0].group: is missing",
        "relay \"a\" outputs[0].port: is not a whole number, not a port",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_plan_from_several_places_is_checked_as_a_whole() {
    let mut plan = good("");
    plan.relays = vec![one_relay(INPUT, OUTPUT), one_relay(INPUT, OUTPUT)];
    let errors = super::check(&plan).unwrap_err();
    let keys: Vec<&str> = errors.errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["relay \"a\" name", "relay \"a\" input"]);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let errors = super::load(std::path::Path::new("/nowhere/relay.toml")).unwrap_err();
    let expected = "/nowhere/relay.toml: cannot be read: No such file or directory (os error 2): \
                    create it, or name another file";
    assert_eq!(errors.to_string(), expected);

    let file = std::env::temp_dir().join(format!("mcr-latin1-{}.toml", std::process::id()));
    std::fs::write(&file, b"# fine\n# Fern\xe9\n").unwrap();
    let errors = super::load(&file).unwrap_err();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(errors.to_string(), format!("{}:2: is not UTF-8 text: save the file as UTF-8", file.display()));
}

/// Values of which each is right for some key, and all are wrong for most.
const VALUES: &[&str] = &[
    "0",
    "-1",
    "1",
    "64",
    "65535",
    "99999999999999999999",
    "1.5",
    "true",
    "1979-05-27",
    "[]",
    "[1]",
    "[4094, 1]",
    "{}",
    "\"\"",
    "\"-\"",
    "\"x\"",
    "\"e0\"",
    "\"e0.1\"",
    "\".1.2.3\"",
    "\"keep\"",
    "\"auto\"",
    "\"239.1.1.1\"",
    "\"239.1.1.0-63\"",
    "\"239.1.1.255-255\"",
    "\"224.0.0.0-239.255.255.255\"",
    "\"ff3e::ffff-ff3e::1:3e\"",
    "\"ff02::-ffff\"",
    "\"10.0.0.1\"",
    "\"255.255.255.250-255\"",
    "\"5000-5063\"",
    "\"65535-65535\"",
    "[\"10.0.0.1\"]",
    "[\"e0\", 3]",
];

fn any_section(section: &'static str) -> impl Strategy<Value = Vec<String>> {
    let (_, keys) = super::SCHEMA.iter().find(|(name, _)| *name == section).unwrap();
    let keys = keys.iter().copied().filter(|key| !matches!(*key, "input" | "outputs")).collect::<Vec<_>>();
    let values = prop::collection::vec(prop::option::weighted(0.8, prop::sample::select(VALUES)), keys.len());
    let line = |(key, value): (&&str, Option<&str>)| value.map(|value| format!("{key} = {value}"));
    values.prop_map(move |values| keys.iter().zip(values).filter_map(line).collect())
}

fn any_relay() -> impl Strategy<Value = String> {
    let outputs = prop::collection::vec(any_section("relay.outputs"), 0..3);
    (any_section("relay"), any_section("relay.input"), outputs).prop_map(|(relay, input, outputs)| {
        let outputs: Vec<String> = outputs.iter().map(|output| format!("{{ {} }}", output.join(", "))).collect();
        let (input, outputs) = (input.join(", "), outputs.join(", "));
        format!("[[relay]]\n{}\ninput = {{ {input} }}\noutputs = [{outputs}]\n", relay.join("\n"))
    })
}

proptest! {
    #[test]
    fn no_file_is_too_wrong_to_be_refused(
        lanes in any_section("lanes"),
        interface in any_section("interface"),
        relays in prop::collection::vec(any_relay(), 0..3),
    ) {
        let (lanes, interface) = (lanes.join("\n"), interface.join("\n"));
        let text = format!("[lanes]\n{lanes}\n[[interface]]\n{interface}\n{}", relays.concat());
        if let Err(errors) = parse("relay.toml", &text) {
            prop_assert!(errors.errors.iter().all(|error| error.line.is_some() || error.key.starts_with("lanes.")));
            prop_assert!(errors.errors.iter().all(|error| !error.problem.is_empty() && !error.remedy.is_empty()));
        }
    }
}
