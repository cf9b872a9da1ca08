//! Labels and descriptions: what people sort relays by is nothing that lanes or packets notice.

use super::desk::Desk;
use super::kept::kill_and_start;
use crate::rig::Rig;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(120);

const FILE: &str = r#"
    [[relay]]
    name = "filed"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
    "#;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_change_of_labels_touches_no_lane_and_no_packet() {
    let rig = Rig::new(1);
    let mut show = rig.start(FILE);
    let desk = Desk::of(&show.mcr);
    desk.done(&["relay", "add", "made", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);
    let flows = [show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows.into());
    let source = show.source(rig.streams(&["239.1.1.1:5000", "239.1.1.2:5000"]).rate(2_000).duration(AT_MOST));
    let generations = || {
        let status = desk.json(&["status"]);
        let lanes = status["lanes"].as_array().unwrap().iter().map(|lane| lane["generation"].clone());
        [vec![status["generation"].clone()], lanes.collect()].concat()
    };
    let before = generations();
    // By the API.
    let told = desk.done(&["relay", "set", "made", "--label", "group=news", "--description", "News HD"]);
    assert!(told.contains("change relay \"made\""), "{told}");
    // By the file.
    let path = show.mcr.config();
    let text = fs::read_to_string(&path).unwrap();
    let line = "name = \"filed\"\n";
    fs::write(&path, text.replace(line, &format!("{line}labels = {{ group = \"sport\" }}\n"))).unwrap();
    let told = desk.done(&["reload"]);
    assert!(told.contains("change relay \"filed\""), "{told}");
    assert_eq!(generations(), before, "no lane was told anything");
    let labels = || {
        let all = desk.json(&["relay", "ls"]);
        let relays = all["relays"].as_array().unwrap();
        relays.iter().map(|relay| relay["labels"]["group"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(labels(), ["sport", "news"]);
    let page = desk.done(&["relay", "show", "made"]);
    assert!(page.contains("description   News HD\n") && page.contains("labels        group=news\n"), "{page}");
    let metrics = desk.get("/metrics?family=mcr_relay");
    assert!(metrics.contains("origin=\"api\",label_group=\"news\"}"), "{metrics}");
    kill_and_start(&mut show);
    assert_eq!(labels(), ["sport", "news"], "whoever comes next knows them");
    let refused = desk.refused(&["relay", "set", "made", "--label", "group=a b"]);
    assert!(refused.contains("labels.group: \"a b\" cannot be the value of a label: use"), "{refused}");
    let sent = source.stop().unwrap();
    show.balance(&[sent]);
}

/// Who waits does so over a control that dies meanwhile, and many relays change in one step.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn relays_are_waited_for_and_changed_by_their_labels() {
    let rig = Rig::new(1);
    let mut show = rig.start("");
    let desk = Desk::of(&show.mcr);
    for n in 1..=3 {
        let (name, label) = (format!("r{n}"), if n == 3 { "group=sport" } else { "group=news" });
        let (input, output) = (format!("in0/239.1.1.{n}:5000"), format!("out0/239.2.1.{n}:5001"));
        desk.done(&["relay", "add", &name, "--in", &input, "--out", &output, "--label", label]);
    }
    let mut waiting = desk
        .command(&["wait", "--healthy", "--flowing", "-l", "group=news", "--timeout", "2m"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |text: &str| assert!(told.any(|line| line.contains(text)), "{text} is not told");
    until("waiting: r1 is silent; r2 is silent");
    kill_and_start(&mut show);
    let flows = [show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001")];
    show.listen(0, flows.into());
    let source = show.source(rig.streams(&["239.1.1.1:5000", "239.1.1.2:5000"]).rate(2_000).duration(AT_MOST));
    assert!(waiting.wait().unwrap().success());
    let states = || {
        let all = desk.json(&["relay", "ls"]);
        let relays = all["relays"].as_array().unwrap();
        relays.iter().map(|relay| relay["status"]["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let generation = desk.json(&["status"])["generation"].as_u64().unwrap();
    desk.done(&["relay", "disable", "-l", "group!=news"]);
    assert_eq!(states(), ["running", "running", "disabled"]);
    assert!(desk.refused(&["relay", "mute", "-l", "group=nwes"]).contains("no relay is meant by group=nwes"));
    let told = desk.done(&["relay", "rm", "r*", "-l", "group=sport"]);
    assert!(told.starts_with("r3: removed (generation "), "{told}");
    assert_eq!(desk.json(&["status"])["generation"].as_u64().unwrap(), generation + 2, "each was one step");
    let audit = desk.done(&["events", "--kind", "audit"]);
    assert!(audit.contains(": disable 1 relays (group!=news): applied"), "{audit}");
    let sent = source.stop().unwrap();
    show.balance(&[sent]);
}
