//! A step in the words of the command line and of the configuration file, and a relay as the API shows it.

use crate::model::{Asked, Listed};
use crate::step::{Spec, Step, Text};
use bench::Tmpfs;
use bench::relay::binary;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The group of the first relay.
pub(crate) const FIRST: u8 = 10;

fn name(relay: u8) -> String {
    format!("r{relay}")
}

fn input(relay: u8) -> String {
    format!("in0/239.1.1.{}:5000", FIRST + relay)
}

fn output(relay: u8, link: u8, ttl: u8) -> String {
    format!("out{link}/239.2.{link}.{}:5001,ttl={ttl}", FIRST + relay)
}

/// The command that asks for a change.
pub(crate) fn words(change: &Step) -> Vec<String> {
    let outputs = |relay: u8, spec: Spec| {
        spec.links().flat_map(move |link| ["--out".to_owned(), output(relay, link, spec.ttl)]).collect::<Vec<_>>()
    };
    let relay = |word: &str, relay: u8| vec!["relay".to_owned(), word.to_owned(), name(relay)];
    match change {
        Step::Add(n, spec) => [relay("add", *n), vec!["--in".to_owned(), input(*n)], outputs(*n, *spec)].concat(),
        Step::Set(n, spec) => [relay("set", *n), outputs(*n, *spec)].concat(),
        Step::Remove(n) => relay("rm", *n),
        Step::Switch(n, switch) => relay(switch.word(), *n),
        Step::Adopt(n) => relay("adopt", *n),
        Step::Volatile(change) => [words(change), vec!["--volatile".to_owned()]].concat(),
        Step::Try(_) => vec!["reload".to_owned(), "--confirm".to_owned(), "1h".to_owned()],
        Step::Expire(_) => vec!["reload".to_owned(), "--confirm".to_owned(), "1s".to_owned()],
        Step::Confirm => vec!["confirm".to_owned()],
        Step::Rollback => vec!["rollback".to_owned()],
        Step::RestartControl => vec!["restart".to_owned()],
        Step::Upgrade => vec!["upgrade".to_owned(), binary().display().to_string()],
        _ => vec!["reload".to_owned()],
    }
}

/// The configuration file.
pub(crate) fn config(disk: &Tmpfs, text: &Text) -> String {
    let mut config = format!("[state]\nfile = \"{}\"\n", disk.path().join("relays.toml").display());
    match text {
        Text::Broken => config.push_str("[[relay]\n"),
        Text::Relays(relays) => {
            for (relay, spec) in relays {
                let (group, ttl) = (FIRST + relay, spec.ttl);
                let outputs: Vec<String> = spec
                    .links()
                    .map(|link| {
                        format!(
                            "{{ interface = \"out{link}\", group = \"239.2.{link}.{group}\", port = 5001, ttl = {ttl} }}"
                        )
                    })
                    .collect();
                // Writing to a string cannot fail.
                let _ = write!(
                    config,
                    "[[relay]]\nname = \"{}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{group}\", port = 5000 }}\n\
                     outputs = [{}]\n",
                    name(*relay),
                    outputs.join(", ")
                );
            }
        }
    }
    config
}

/// A relay of the list, or of the state file.
pub(crate) fn listed(relay: &Value) -> Listed {
    let outputs = relay["outputs"].as_array().unwrap();
    let link = |output: &Value| output["interface"].as_str().unwrap()[3..].parse::<u8>().unwrap();
    Listed {
        relay: relay["name"].as_str().unwrap()[1..].parse().unwrap(),
        is_of_file: relay["origin"] == "file",
        shadowed: relay["status"]["state"] == "shadowed",
        enabled: relay["enabled"] == true,
        muted: relay["muted"] == true,
        outputs: outputs.iter().map(|output| 1 << link(output)).sum(),
        ttl: u8::try_from(outputs[0]["ttl"].as_u64().unwrap()).unwrap(),
    }
}

/// The relays that a state file has.
pub(crate) fn kept(text: &str) -> BTreeMap<u8, Asked> {
    let file: Value = toml::from_str(text).unwrap();
    let relays = file["relay"].as_array().into_iter().flatten().map(listed);
    let asked = |Listed { relay, enabled, muted, outputs, ttl, .. }| {
        (relay, Asked { spec: Spec { outputs, ttl }, enabled, muted })
    };
    relays.map(asked).collect()
}
