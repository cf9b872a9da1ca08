//! Relays are added, changed, removed, switched and applied.

use crate::stage::Stage;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::Duration;

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
    let some: Value = serde_json::from_str(&stage.out("relay ls --state silent --json")).unwrap();
    assert_eq!(some["relays"], json!([]));
}

#[test]
fn relays_are_chosen_by_labels_and_change_in_one_request() {
    let stage = Stage::new();
    for (name, label) in [("n1", "group=news"), ("n2", "group=news"), ("s1", "group=sport")] {
        let group = 1 + name.bytes().map(usize::from).sum::<usize>() % 200;
        stage.out(&format!("relay add {name} --in in0/239.1.1.{group}:5000 --out out0/239.2.1.1:5001 --label {label}"));
    }
    stage.out("relay set n1 --label site=a --description News");
    let names = |line: &str| -> Vec<String> {
        let list: Value = serde_json::from_str(&stage.out(line)).unwrap();
        list["relays"].as_array().unwrap().iter().map(|relay| relay["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("relay ls -l group=news --json"), ["n1", "n2"]);
    assert_eq!(names("relay ls n* -l group=news -l site!=a --json"), ["n2"]);
    assert_eq!(names("relay show -l !site --json"), ["n2", "s1"]);
    let page = stage.out("relay show n1 s1");
    assert!(
        page.starts_with("n1: running, from the API\ndescription   News\nlabels        group=news,site=a\n"),
        "{page}"
    );
    assert!(page.contains("\n\ns1: running, from the API\nlabels        group=sport\n"), "{page}");
    assert!(stage.out("relay ls --labels").contains("group=news,site=a"));

    let before = stage.play.asked().len();
    let generation = stage.play.with(|state| state.generation);
    assert_eq!(stage.out("relay mute -l group=news --dry-run").lines().last().unwrap(), "dry run: nothing was changed");
    let told = stage.out("relay mute -l group=news");
    let next = generation + 1;
    assert_eq!(
        told,
        format!(
            "n1: muted (generation {next})\nn2: muted (generation {next})\napplied: generation {next} is in force on every lane\n"
        )
    );
    let asked = stage.play.asked().split_off(before);
    let one = "PATCH /api/v1/relays?selector=group%3Dnews";
    assert_eq!(asked, [format!("{one}&dry_run=true"), one.to_owned()]);
    assert_eq!(names("relay ls --state muted --json"), ["n1", "n2"]);
    assert!(stage.out("relay rm ?1 -l group=sport").starts_with("s1: removed (generation "));

    for (line, said) in [
        ("relay ls -l group=nwes", "no relay is meant by group=nwes"),
        ("relay ls x*", "no relay is meant by \"x*\""),
        ("relay show x* n1", "no relay is meant by \"x*\""),
        ("relay mute -l group=nwes", "no relay is meant by group=nwes"),
        ("relay rm n1,n9", "no relay is meant by \"n9\""),
        ("relay adopt -l group=nwes", "no relay is meant by group=nwes"),
    ] {
        let ran = stage.run(line);
        let said = format!("mcr: {said}: see mcr relay ls --labels\n");
        assert_eq!((ran.code, ran.out.as_str(), ran.side.as_str()), (1, "", said.as_str()), "{line}");
    }
    let ran = stage.run("relay mute -l group==news");
    assert_eq!(ran.code, 2);
    assert!(ran.side.contains("is no condition: write group=news, group!=news, group or !group"), "{ran:?}");
    assert_eq!(stage.run("relay mute").code, 2);
}

#[test]
fn what_labels_mean_is_set_and_explained_and_only_one_is_captured() {
    let stage = Stage::new();
    for (name, label) in [("n1", "group=news"), ("n2", "group=news"), ("s1", "group=sport")] {
        let group = 1 + name.bytes().map(usize::from).sum::<usize>() % 200;
        stage.out(&format!("relay add {name} --in in0/239.1.1.{group}:5000 --out out0/239.2.1.1:5001 --label {label}"));
    }
    let before = stage.play.asked().len();
    assert!(stage.out("relay set -l group=news --muted").ends_with("is in force on every lane\n"));
    let asked = stage.play.asked().split_off(before);
    assert_eq!(asked[1..], ["PATCH /api/v1/relays?selector=group%3Dnews"]);
    // What means one is as good as its name.
    stage.out("relay set -l group=sport --add-out out1/239.2.1.2:5001");
    assert_eq!(stage.play.asked().last().unwrap(), "GET /api/v1/relays/s1");
    for line in [
        "relay set -l group=news --add-out out1/239.2.1.2:5001",
        "relay set n* --description News",
        "capture -l group=news -w -",
        "capture n* -w -",
    ] {
        let ran = stage.run(line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}: {ran:?}");
        assert!(ran.side.starts_with("mcr: 2 relays are meant (n1, n2): "), "{line}: {ran:?}");
    }
    let ran = stage.run("why -l group=news");
    assert!(ran.out.starts_with("n1: ") && ran.out.contains("\nn2: "), "{ran:?}");
    assert_eq!(stage.run("why -l group=nwes").code, 1);
    assert_eq!(stage.run("why").code, 2);
}

#[test]
fn who_waits_is_told_what_is_missing_and_goes_on_when_it_is_there() {
    let stage = Stage::new();
    stage.play.relay("ch1", "api", "239.1.1.1");
    assert_eq!(stage.out("wait --healthy --ready --relay ch* --flowing"), "");
    stage.play.with(|state| state.healthy = false);
    let ran = stage.run("wait --healthy --timeout 300ms");
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.side,
        "mcr: waiting: lanes: lane 0 has not come round for 2100 ms\n\
         mcr: not within 300ms: lanes: lane 0 has not come round for 2100 ms\n"
    );
    assert_eq!(stage.run("wait --healthy --timeout 300ms --quiet").side, "");
    stage.out("relay disable ch1");
    let ran = stage.run("wait --relay ch1 --flowing --timeout 300ms");
    assert_eq!((ran.code, ran.side.lines().next().unwrap()), (1, "mcr: waiting: ch1 is disabled"));
    let ran = stage.run("wait --relay ch9 --flowing --timeout 300ms");
    assert!(ran.code == 1 && ran.side.starts_with("mcr: waiting: no relay is meant by \"ch9\""), "{ran:?}");
    // A control that is not there, and then is, and then is well.
    let elsewhere = Stage::new();
    let socket = elsewhere.path("later.sock");
    let ran = crate::stage::run(crate::stage::command("wait --healthy --timeout 300ms", &socket), "");
    assert_eq!(ran.code, 3, "{ran:?}");
    let waiting = crate::stage::command("wait --healthy --relay new --flowing --timeout 2m", &socket)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let later = crate::play::Play::at(&socket);
    later.relay("new", "api", "239.1.1.1");
    let ended = crate::stage::ran(waiting.wait_with_output().unwrap());
    assert_eq!(ended.code, 0, "{ended:?}");
    for wrong in ["wait", "wait --flowing", "wait --relay ch1", "wait --healthy --timeout 5"] {
        assert_eq!(stage.run(wrong).code, 2, "{wrong}");
    }
}

#[test]
fn who_waits_waits_for_a_control_that_answers_nobody_too() {
    let stage = Stage::new();
    stage.play.with(|state| state.delay = Duration::from_secs(3600));
    assert_eq!(stage.run("wait --healthy --timeout 300ms").code, 3);
    let mut waits = stage.command("wait --healthy --timeout 2m").stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(waits.stderr.take().unwrap());
    let mut first = String::new();
    told.read_line(&mut first).unwrap();
    assert!(first.starts_with("mcr: waiting: "), "{first}");
    stage.play.with(|state| state.delay = Duration::ZERO);
    let ended = waits.wait().unwrap();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(ended.success(), "{ended:?}: {rest}");
}
