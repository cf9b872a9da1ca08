//! Labels and descriptions: what people sort relays by is nothing that lanes or packets notice.

use super::desk::Desk;
use super::kept::kill_and_start;
use crate::rig::Rig;
use std::fs;
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
