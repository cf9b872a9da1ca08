//! What `set` makes of a definition.

use super::*;
use crate::args::{Cli, Command, Relay};
use clap::Parser as _;

fn relay() -> Definition {
    let relay = json!({
        "name": "a", "enabled": true, "muted": false, "silence_after": "1s",
        "input": { "interface": "in0", "group": "239.1.1.1", "port": 5000, "sources": ["10.0.0.1"], "vlan": "none" },
        "outputs": [
            { "interface": "out0", "group": "239.2.1.1", "port": 5001, "ttl": 16 },
            { "interface": "out1", "group": "239.2.1.1", "port": 5001, "ttl": 16 },
            { "interface": "out0", "group": "239.2.1.2", "port": 5001, "ttl": 16, "vlan": 100 },
        ],
    });
    relay.as_object().unwrap().clone()
}

fn set(options: &[&str]) -> Set {
    let words = ["mcr", "relay", "set", "a"].iter().chain(options);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Relay(Relay::Set(set)) => set,
        other => panic!("{other:?}"),
    }
}

fn changed(options: &[&str]) -> Result<Definition, String> {
    let mut definition = relay();
    change(&mut definition, &set(options)).map(|()| definition).map_err(|failure| failure.to_string())
}

fn outputs(options: &[&str]) -> Vec<String> {
    changed(options).unwrap()["outputs"].as_array().unwrap().iter().map(short::show).collect()
}

#[test]
fn only_what_is_given_changes() {
    let before = relay();
    let after = changed(&["--muted"]).unwrap();
    for (key, value) in &before {
        assert_eq!(after[key], if key == "muted" { json!(true) } else { value.clone() }, "{key}");
    }
    let after = changed(&["--in", "in1/239.9.9.9:9", "--silence-after", "off", "--disabled"]).unwrap();
    assert_eq!(after["input"], json!({ "interface": "in1", "group": "239.9.9.9", "port": 9 }));
    assert_eq!((&after["silence_after"], &after["enabled"]), (&json!("off"), &json!(false)));
    assert_eq!(after["outputs"], before["outputs"]);
    assert!(says_something(&set(&["--muted"])) && says_something(&set(&["--remove-out", "0"])));
    assert!(!says_something(&set(&[])) && !says_something(&set(&["--dry-run", "--json"])));
}

#[test]
fn outputs_come_and_go() {
    let all = ["out0/239.2.1.1:5001", "out1/239.2.1.1:5001", "out0/239.2.1.2:5001,vlan=100"];
    assert_eq!(outputs(&["--out", "x/239.3.3.3:3"]), ["x/239.3.3.3:3"]);
    assert_eq!(outputs(&["--add-out", "x/239.3.3.3:3"]), [all[0], all[1], all[2], "x/239.3.3.3:3"]);
    assert_eq!(outputs(&["--add-out", "out1/239.2.1.1:5001,ttl=3"]), [all[0], "out1/239.2.1.1:5001,ttl=3", all[2]]);
    let tagged = "out0.100/239.2.1.2:5001,ttl=3";
    assert_eq!(outputs(&["--add-out", tagged]), [all[0], all[1], tagged]);
    assert_eq!(outputs(&["--add-out", "out0/239.2.1.2:5001"]).len(), 4, "another VLAN is another output");
    assert_eq!(outputs(&["--remove-out", "0", "--remove-out", "239.2.1.2:5001"]), [all[1]]);
    assert_eq!(outputs(&["--remove-out", "out0/239.2.1.1:5001"]), [all[1], all[2]]);
    assert_eq!(outputs(&["--remove-out", "out0.100/239.2.1.2:5001"]), [all[0], all[1]], "as it can be added");
    assert_eq!(outputs(&["--remove-out", "1", "--add-out", "out1/239.2.1.1:5001,ttl=3"]).len(), 3);
}

#[test]
fn tags_are_the_same_however_they_are_written() {
    let leads = |interface: &str, vlan: Value| {
        leads_to(&json!({ "interface": interface, "group": "239.2.1.1", "port": 5001, "vlan": vlan }))
    };
    assert_eq!(leads("out0.100", json!("none")), leads("out0", json!(100)));
    assert_eq!(leads("out0.100.7", json!("none")), leads("out0", json!([100, 7])));
    assert_eq!(leads("out0.100.7", json!([100, 7])), leads("out0", json!([100, 7])));
    assert_ne!(leads("out0.100", json!("none")), leads("out0", json!("none")));
    assert_ne!(leads("out0", json!("keep")), leads("out0", json!("none")));
    assert_eq!(leads("br.lan", json!("none")), ("br.lan/239.2.1.1:5001".to_owned(), json!([])));
}

#[test]
fn an_output_that_is_not_there_cannot_go() {
    let list = "[0] out0/239.2.1.1:5001, [1] out1/239.2.1.1:5001, [2] out0/239.2.1.2:5001";
    let none = |which: &str| format!("--remove-out {which}: there is no such output, only {list}");
    assert_eq!(changed(&["--remove-out", "3"]).unwrap_err(), none("3"));
    assert_eq!(changed(&["--remove-out", "239.9.9.9:1"]).unwrap_err(), none("239.9.9.9:1"));
    assert_eq!(
        changed(&["--remove-out", "239.2.1.1:5001"]).unwrap_err(),
        format!("--remove-out 239.2.1.1:5001: several outputs lead there; give the number of one: {list}")
    );
    assert!(changed(&["--remove-out", "x"]).unwrap_err().starts_with("--remove-out x: \"x\" names no port: "));
}

#[test]
fn labels_are_set_and_taken_away() {
    let mut definition = relay();
    let mut labels = |options: &[&str]| {
        change(&mut definition, &set(options)).map(|()| definition.get("labels").cloned().unwrap_or_default())
    };
    assert_eq!(labels(&["--muted"]).unwrap(), json!(null), "an older node knows no labels");
    assert_eq!(
        labels(&["--label", "group=news", "--label", "site=a"]).unwrap(),
        json!({ "group": "news", "site": "a" })
    );
    assert_eq!(labels(&["--label", "group=sport", "--label", "site-"]).unwrap(), json!({ "group": "sport" }));
    assert!(labels(&["--label", "group"]).unwrap_err().to_string().starts_with("--label group: is no label: write"));
    assert!(says_something(&set(&["--label", "a-"])) && says_something(&set(&["--description", ""])));
}
