//! Relays are added, changed, removed, switched and applied.

use crate::stage::Stage;
use serde_json::{Value, json};

const ADD: &str = "relay add ch1 --in in0/239.1.1.1:5000,sources=10.0.0.5 --out out0/239.2.1.1:5001,ttl=8";

#[test]
fn a_relay_lives() {
    let stage = Stage::new();
    let dry = stage.out(&format!("{ADD} --dry-run"));
    assert_eq!(dry, "would add relay \"ch1\"\ndry run: nothing was changed\n");
    assert!(stage.play.with(|state| state.relays.is_empty()));
    let added = stage.out(ADD);
    assert_eq!(added, "add relay \"ch1\"\napplied: generation 1 is in force on every lane\n");
    let relay = stage.play.with(|state| state.relays["ch1"].1.clone());
    assert_eq!(relay["input"]["sources"], json!(["10.0.0.5"]));
    assert_eq!(relay["outputs"][0]["ttl"], 8);

    stage.out("relay set ch1 --add-out out1/239.2.1.2:5001");
    let relay = stage.play.with(|state| state.relays["ch1"].1.clone());
    assert_eq!((relay["outputs"].as_array().unwrap().len(), &relay["input"]["sources"]), (2, &json!(["10.0.0.5"])));
    let seen = stage.play.with(|state| state.asked.iter().rev().find(|asked| asked.0 != "GET").cloned()).unwrap();
    assert_eq!((seen.0.as_str(), seen.2.is_some()), ("PUT", true), "only what was seen is changed");

    assert_eq!(stage.out("relay disable ch1"), "ch1: disabled (generation 3)\n");
    assert_eq!(stage.out("relay disable ch1"), "ch1: is disabled already\n");
    assert_eq!(stage.out("relay enable ch1 --dry-run"), "ch1: would be enabled\n");
    assert_eq!(stage.out("relay mute ch1"), "ch1: muted (generation 4)\n");
    assert_eq!(stage.out("relay rm ch1"), "ch1: removed (generation 5)\n");
    assert!(stage.play.with(|state| state.relays.is_empty()));
}

#[test]
fn every_error_of_a_definition_has_its_line() {
    let stage = Stage::new();
    let ran = stage.run("relay add ch1 --in in0/10.0.0.300:5000 --out out0/239.2.1.1:5001");
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.side.starts_with("mcr: --in in0/10.0.0.300:5000: \"10.0.0.300\" is not an IP address: "), "{ran:?}");
    let ran = stage.run("relay add ch1 --in in0/239.1.1.1:0 --out out0/239.2.1.1:5001,ttl=300");
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let lines: Vec<&str> = ran.side.lines().collect();
    assert_eq!(lines[0], "mcr: what was asked for is wrong:");
    assert!(lines[1].starts_with("  relay \"ch1\" input.port: 0 is not a port: "), "{ran:?}");
    assert!(lines[2].starts_with("  relay \"ch1\" outputs[0].ttl: 300 is out of bounds: use 1 to 255"), "{ran:?}");
}

#[test]
fn a_lost_race_is_run_once_more() {
    let stage = Stage::new();
    stage.play.relay("ch1", "api", "239.1.1.1");
    stage.play.with(|state| state.races = 1);
    stage.out("relay set ch1 --in in0/239.1.1.9:5000");
    assert_eq!(stage.play.asked().len(), 5, "read, lost, read again, changed, asked what is pending");
    assert_eq!(stage.play.with(|state| state.relays["ch1"].1["input"]["group"].clone()), json!("239.1.1.9"));
    stage.play.with(|state| state.races = 2);
    let ran = stage.run("relay set ch1 --in in0/239.1.1.8:5000");
    assert_eq!(ran.code, 1);
    assert!(ran.side.contains("what is in force is not what you have seen"), "{ran:?}");
}

#[test]
fn what_is_refused_keeps_nothing_else_from_being_done() {
    let stage = Stage::new();
    stage.play.relay("ch1", "api", "239.1.1.1");
    stage.play.relay("ch2", "file", "239.1.1.2");
    let ran = stage.run("relay rm none ch1");
    assert_eq!((ran.code, ran.out.as_str()), (1, "ch1: removed (generation 1)\n"));
    assert_eq!(ran.side, "mcr: none: there is no relay \"none\": see mcr relay ls\n");
    let ran = stage.run("relay set ch2 --muted");
    assert_eq!(ran.code, 1);
    let ran = stage.run("relay set ch2 --out out0/239.9.9.9:1");
    assert_eq!(
        (ran.code, ran.side.as_str()),
        (1, "mcr: relay \"ch2\" stands in /etc/mcr/relay.toml: change it there\n")
    );
    let ran = stage.run("relay set ch2");
    assert_eq!((ran.code, ran.side.starts_with("mcr: nothing to change: give --in")), (2, true));
}

const FILE: &str = "[[relay]]\nname = 'a'\ninput = { interface = 'in0', group = '239.1.1.1', port = 5000 }\n\
                    outputs = [{ interface = 'out0', group = '239.2.1.1', port = 5001 }]\n";

#[test]
fn definitions_come_from_files_too() {
    let stage = Stage::new();
    let file = stage.write("one.toml", FILE);
    stage.out(&format!("relay add --file {file}"));
    let other = stage.run_with("relay add b --disabled --file -", &stage.out("relay show a --json"));
    assert_eq!(other.code, 0, "{other:?}");
    let (a, b) = stage.play.with(|state| (state.relays["a"].1.clone(), state.relays["b"].1.clone()));
    assert_eq!((&a["input"], &b["enabled"]), (&b["input"], &json!(false)));
    let file = stage.write("wrong.toml", "[[relay]]\nname = 'a'\n");
    let ran = stage.run(&format!("relay set a --file {file}"));
    assert_eq!(ran.code, 1);
    assert!(ran.side.contains(&format!("{file}:1: relay \"a\" input: is missing")), "{ran:?}");
    let file = stage.write("two.toml", &format!("{FILE}{}", FILE.replace("'a'", "'c'").replace("1.1.1'", "1.1.2'")));
    assert!(stage.run(&format!("relay add --file {file}")).side.contains("has 2 relays"));
}

#[test]
fn a_file_becomes_all_relays_of_the_api() {
    let stage = Stage::new();
    stage.play.relay("a", "api", "239.1.1.7");
    stage.play.relay("old", "api", "239.1.1.3");
    stage.play.relay("fixed", "file", "239.1.1.4");
    let text = format!("[lanes]\npoll = 'wait'\n{FILE}{}", FILE.replace("'a'", "'new'").replace("1.1.1'", "1.1.2'"));
    let file = stage.write("relays.toml", &text);
    let changes = "+ new  in0/239.1.1.2:5000 -> out0/239.2.1.1:5001\n~ a  input.group 239.1.1.7 -> 239.1.1.1\n\
                   - old  in0/239.1.1.3:5000 -> out0/239.2.1.1:5001\n2 relays: 1 new, 1 changed, 1 removed\n";
    let ran = stage.run(&format!("apply {file} --dry-run"));
    assert_eq!((ran.code, ran.out), (0, format!("{changes}dry run: nothing was changed\n")));
    assert_eq!(ran.side, "mcr: left out: lanes, which only the node's own configuration file can say\n");
    stage.play.with(|state| state.races = 1);
    let done = stage.out(&format!("apply {file} --exit-code"));
    assert_eq!(done, format!("{changes}applied: generation 1 is in force on every lane\n"));
    let names: Vec<String> = stage.play.with(|state| state.relays.keys().cloned().collect());
    assert_eq!(names, ["a", "fixed", "new"]);
    assert_eq!(stage.out(&format!("apply {file}")), "nothing to change: generation 1 is in force\n");
    assert_eq!(stage.run(&format!("apply {file} --exit-code")).code, 4);

    let kept = stage.write("kept.toml", &FILE.replace("'a'", "'more'").replace("1.1.1'", "1.1.5'"));
    assert!(stage.out(&format!("apply --keep {kept}")).starts_with("+ more  "));
    assert_eq!(stage.play.with(|state| state.relays.len()), 4);

    let backup = stage.out("relay ls --json");
    stage.out("relay rm a more new");
    let ran = stage.run_with("apply -", &backup);
    assert_eq!((ran.code, stage.play.with(|state| state.relays.len())), (0, 4), "{ran:?}");
    assert!(ran.side.contains("left out: relay fixed, which stands in the node's configuration file"));
}

#[test]
fn ranges_are_refused_with_what_to_do() {
    let stage = Stage::new();
    let file = stage.write("range.toml", &FILE.replace("239.1.1.1", "239.1.1.0-3"));
    let ran = stage.run(&format!("apply {file}"));
    assert_eq!(ran.code, 2);
    assert!(
        ran.side
            .starts_with("mcr: relay \"a\" is a range of 4, and relays of the API are single ones: write a [[relay]]")
    );
    assert!(stage.play.asked().is_empty());
}

#[test]
fn json_is_what_the_api_says() {
    let stage = Stage::new();
    let applied: Value = serde_json::from_str(&stage.out(&format!("{ADD} --json"))).unwrap();
    assert_eq!(applied["created"], json!(["ch1"]));
    for line in [
        "relay ls --json",
        "relay show ch1 --json",
        "status --json",
        "why ch1 --json",
        "health --json",
        "reload --json",
    ] {
        let out = stage.out(line);
        assert!(serde_json::from_str::<Value>(&out).is_ok(), "{line}: {out}");
    }
    let some: Value = serde_json::from_str(&stage.out("relay ls none* --json")).unwrap();
    assert_eq!(some["relays"], json!([]));
}
