//! Every wrong file with the words it is refused with.

use super::parse;

/// The errors of a text, as a person reads them.
fn errors(text: &str) -> String {
    match parse("relay.toml", text) {
        Ok(plan) => panic!("was taken: {plan:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// The errors of one relay; its input is in line 3, its output in line 4.
fn relay(input: &str, output: &str) -> String {
    errors(&format!("[[relay]]\nname = \"a\"\ninput = {{ {input} }}\noutputs = [{{ {output} }}]\n"))
}

const INPUT: &str = super::INPUT;
const OUTPUT: &str = super::OUTPUT;

/// The errors of the relay with one thing in its input changed.
fn input(from: &str, to: &str) -> String {
    relay(&INPUT.replace(from, to), OUTPUT)
}

/// The errors of the relay with one thing in its output changed.
fn output(from: &str, to: &str) -> String {
    relay(INPUT, &OUTPUT.replace(from, to))
}

/// The errors of the relay with another key, in line 3.
fn of_relay(key: &str) -> String {
    errors(&format!("[[relay]]\nname = \"a\"\n{key}\ninput = {{ {INPUT} }}\noutputs = [{{ {OUTPUT} }}]\n"))
}

/// A group of wrong files, each under its name.
macro_rules! refused {
    ($group:ident: $($name:ident: $errors:expr;)*) => {
        #[test]
        fn $group() {
            let cases = [$((stringify!($name), $errors)),*];
            let texts = cases.map(|(name, errors)| format!("[{}]\n{errors}\n", name.replace('_', " ")));
            insta::assert_snapshot!(texts.join("\n"));
        }
    };
}

refused! {
    values:
    port_0: input("5000", "0");
    port_65536: output("5001", "65536");
    port_word: output("5001", "\"http\"");
    sources_no_list: input("port", "sources = \"10.0.0.1\", port");
    unknown_source_word: output("port", "source = \"own\", port");
    ttl_0: output("port", "ttl = 0, port");
    ttl_word: output("port", "ttl = 'keep', port");
    dscp_64: output("port", "dscp = 64, port");
    dscp_word: output("port", "dscp = \"af41\", port");
    source_port_0: output("port", "source_port = 0, port");
    vlan_0: input("port", "vlan = 0, port");
    vlan_4095: output("port", "vlan = [100, 4095], port");
    vlan_of_three_tags: output("port", "vlan = [1, 2, 3], port");
    vlan_word: output("port", "vlan = \"all\", port");
    muted_word: of_relay("muted = \"yes\"");
    unknown_meters: of_relay("meters = \"ts\"");
    silence_without_unit: of_relay("silence_after = 5");
    silence_unknown_unit: of_relay("silence_after = \"5 seconds\"");
    silence_too_short: of_relay("silence_after = \"5ms\"");
    silence_too_long: of_relay("silence_after = \"2h\"");
    silence_no_text: of_relay("silence_after = true");
}

refused! {
    addresses:
    unicast_for_group: input("239.1.1.1", "10.1.1.1");
    group_for_unicast: output(r#"group = "239.2.1.1""#, r#"address = "239.2.1.1""#);
    group_and_address: output("group", "address = \"10.1.1.9\", group");
    neither_group_nor_address: output("group = \"239.2.1.1\",", "");
    no_address: input("239.1.1.1", "239.1.1");
    no_host: output(r#"group = "239.2.1.1""#, r#"address = "127.0.0.1""#);
    broadcast: output(r#"group = "239.2.1.1""#, r#"address = "255.255.255.255""#);
    mapped: input("239.1.1.1", "::ffff:239.1.1.1");
    link_local: input("239.1.1.1", "224.0.0.5");
    link_local_v6: relay(&INPUT.replace("239.1.1.1", "ff02::5"), &OUTPUT.replace("239.2.1.1", "ff3e::5"));
    interface_local_v6: relay(&INPUT.replace("239.1.1.1", "ff01::5"), &OUTPUT.replace("239.2.1.1", "ff3e::5"));
    source_not_unicast: input("port", "sources = [\"239.1.1.1\", \"10.0.0.1-9\"], port");
}

refused! {
    ranges:
    range_backwards: input("239.1.1.1", "239.1.1.9-3");
    range_too_long: input("239.1.1.1", "239.1.1.0-239.3.1.1");
    range_of_two_families: input("239.1.1.1", "239.1.1.0-ff3e::1");
    ranges_of_different_length: relay(&INPUT.replace("239.1.1.1", "239.1.1.0-63"), &OUTPUT.replace("5001", "\"5000-5031\""));
    range_in_the_output_only: output("239.2.1.1", "239.2.1.0-63");
}

refused! {
    sections:
    syntax: errors("[[relay]\nname = 'a'\n[lanes]\npoll = = 'busy'\nspin_us = 'x'");
    unknown_key: errors("[lane]\n[lanes]\npol = 'busy'\nbandwidth = 3");
    unknown_key_in_input: input("group", "gruop");
    wrong_types: errors("relay = 3\n[lanes]\ncores = 2\npoll = true\nspin_us = '50'\nring_size = 1.5");
    a_section_that_is_no_list: errors("[interface]\nname = 'e0'");
    a_relay_that_is_no_table: errors("relay = ['a']");
    name_missing: errors("[[relay]]\ninput = 3\noutputs = []");
    name_not_allowed: errors("[[relay]]\nname = 'Das Erste'\ninput = {}\noutputs = [{}]");
    name_too_long: errors(&format!("[[interface]]\nname = 'e0'\nmode = 'a'\n[[relay]]\nname = '{}'", "x".repeat(65)));
    interface_name: input("ens1f0", "a-very-long-interface-name");
    interface_section_of_a_vlan: errors("[[interface]]\nname = 'e0.100'");
    interface_words: errors("[[interface]]\nname = 'e0'\nmode = 'skb'\nzero_copy = true\nqueues = 'some'");
    interface_queues: errors("[[interface]]\nname = 'e0'\nqueues = [0, 0]\n[[interface]]\nname = 'e1'\nqueues = [64]");
    lanes: errors("[lanes]\nring_size = 1000\nframe_size = 3000\nframes = 3\nmax_relays = 0\npoll = 'lazy'");
    ring_out_of_bounds: errors("[lanes]\nring_size = 65536");
    core_twice: errors("[lanes]\ncores = [2, 3, 2]");
    too_many_cores: errors(&format!("[lanes]\ncores = {:?}", (0..65).collect::<Vec<_>>()));
}

/// The errors of a token with this.
fn token(more: &str) -> String {
    errors(&format!("[http]\ntokens = [\n{{ name = 'a', sha256 = '{}', {more} }}]", "0".repeat(64)))
}

refused! {
    http:
    reachable_without_a_token: errors("[http]\nlisten = '0.0.0.0:9280'");
    reachable_without_a_token_v6: errors("[http]\nsocket = '/run/x'\nlisten = '[::]:9280'\ninsecure = false\ntokens = []");
    no_address_to_listen_on: errors("[http]\nlisten = 'localhost:9280'");
    no_port_to_listen_on: errors("[http]\nlisten = '127.0.0.1'");
    listen_is_a_port: errors("[http]\nlisten = 9280");
    socket_is_no_whole_path: errors("[http]\nsocket = 'mcr.sock'");
    socket_is_too_long: errors(&format!("[http]\nsocket = '/{}'", "x".repeat(120)));
    group_is_a_number: errors("[http]\nsocket_group = 107");
    group_is_empty: errors("[http]\nsocket_group = ''");
    token_is_no_hash: errors("[http]\nlisten = '0.0.0.0:1'\ntokens = [{ name = 'ops', sha256 = 'open sesame' }]");
    token_without_a_name: errors(&format!("[http]\ntokens = [{{ sha256 = '{}', nmae = 'ops' }}]", "0".repeat(64)));
    token_twice: errors(&format!("[http]\ntokens = [{{ name = 'a', sha256 = '{}' }}, {{ name = 'a', sha256 = '{}' }}]", "0".repeat(64), "1".repeat(64)));
    hash_twice: errors(&format!("[http]\ntokens = [{{ name = 'a', sha256 = '{0}' }},\n{{ name = 'b', sha256 = '{0}' }}]", "0".repeat(64)));
    token_with_an_unknown_scope: token("access = 'admin'");
    token_for_no_relay: token("relays = []");
    token_for_no_name: token("relays = ['sport *', 7, '']");
    token_that_looks_at_some_relays: token("access = 'read', relays = ['sport-*']");
    token_that_ends_in_a_text: token("expires = '2027-01-01T00:00:00Z'");
    token_that_ends_nowhere: token("expires = 2027-01-01T00:00:00");
    token_that_ends_on_a_day: token("expires = 2027-01-01");
    token_is_a_text: errors("[http]\ntokens = ['open sesame']");
    unknown_keys: errors("[http]\nlisen = 'off'\n[state]\npath = '/x'");
    state_is_a_folder: errors("[state]\nfile = '/var/lib/mcr/'");
}

refused! {
    together:
    families_mixed: output("239.2.1.1", "ff3e::1");
    source_of_other_family: input("port", "sources = [\"fd00::1\"], port");
    output_source_of_other_family: output("port", "source = \"fd00::1\", port");
    source_twice: input("port", "sources = [\"10.0.0.1\", \"10.0.0.1\"], port");
    too_many_sources: input("port", &format!("sources = [{}], port", (1..12).map(|i| format!("\"10.0.0.{i}\"")).collect::<Vec<_>>().join(", ")));
    vlan_said_twice: input("ens1f0\"", "ens1f0.100\", vlan = 200");
    interface_twice: errors("[[interface]]\nname = 'e0'\n[[interface]]\nname = 'e0'\nmode = 'native'");
    outputs_empty: errors(&format!("[[relay]]\nname = 'a'\ninput = {{ {INPUT} }}\noutputs = []\n[[relay]]\nname = 'b'\ninput = {{ {INPUT} }}"));
    too_many_outputs_of_a_relay: errors(&format!("[[relay]]\nname = 'a'\ninput = {{ {INPUT} }}\noutputs = [{}]",
        (1..=65).map(|i| format!("{{ {} }}", OUTPUT.replace("5001", &i.to_string()))).collect::<Vec<_>>().join(", ")));
    output_twice: relay(INPUT, &format!("{OUTPUT} }}, {{ {OUTPUT}, ttl = 3"));
    names_twice: errors(&format!("{}{}", two("a", "239.1.1.0-9"), two("a", "239.1.2.0-9")));
    input_twice: errors(&format!("{}{}", two("a", "239.1.1.0-9"), two("b", "239.1.1.4-13")));
    input_twice_in_spite_of_sources: errors(&format!("{}{}", two("a", "239.1.1.1"), two("b", "239.1.1.1").replacen("port", "sources = ['10.0.0.1'], port", 1)));
    source_in_two_relays: errors(&format!("{}{}", named("a", "'10.0.0.1', '10.0.0.2'"), named("b", "'10.0.0.3', '10.0.0.2'")));
    own_circle: output("ens1f1\", group = \"239.2.1.1\", port = 5001", "ens1f0\", group = \"239.1.1.1\", port = 5000");
    circle_of_three: errors(&["12", "23", "31"].map(|way| step(&way[..1], &way[1..])).concat());
    circle_of_kept_tags: relay(&INPUT.replace("port", "vlan = 7, port"), "interface = 'ens1f0', group = '239.1.1.1', port = 5000, vlan = 'keep'");
    too_many_relays: errors(&format!("[lanes]\nmax_outputs = 8\nmax_relays = 9\n{}", two("a", "239.1.1.0-9")));
    too_many_relays_by_default: errors(&two("a", "239.1.0.0-239.1.255.255"));
    too_many_relays_for_any_node: errors(&format!("{}{}", two("a", "239.1.0.0-239.1.255.255"), two("b", "239.2.0.0-1")));
    everything_at_once: errors("[lanes]\npol = 'busy'\nring_size = 100\n[[relay]]\nname = 'a b'\ninput = { interface = 'e0', group = '10.0.0.1', port = 0 }\noutputs = [{ interface = 'e1', group = 'x', port = 1, ttl = 256 }]");
}

fn two(name: &str, group: &str) -> String {
    let output = "{ interface = 'e1', group = '239.9.9.9', port = 9 }";
    format!(
        "[[relay]]\nname = '{name}'\ninput = {{ interface = 'e0', group = '{group}', port = 1 }}\noutputs = [{output}]\n"
    )
}

fn named(name: &str, sources: &str) -> String {
    two(name, "239.1.1.1").replacen("port", &format!("sources = [{sources}], port"), 1)
}

fn step(from: &str, to: &str) -> String {
    let end = |group: &str| format!("{{ interface = 'e0', group = '239.0.0.{group}', port = 1 }}");
    format!("[[relay]]\nname = 'r{from}'\ninput = {}\noutputs = [{}]\n", end(from), end(to))
}

#[test]
fn errors_are_json_for_programs() {
    let errors = parse("relay.toml", "[lanes]\npoll = 'lazy'").unwrap_err();
    let expected = serde_json::json!({
        "file": "relay.toml",
        "errors": [{
            "line": 2,
            "key": "lanes.poll",
            "problem": "\"lazy\" is not known here",
            "remedy": "use one of \"busy\", \"adaptive\", \"wait\"",
        }],
    });
    assert_eq!(serde_json::to_value(errors).unwrap(), expected);
}
