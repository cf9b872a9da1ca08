//! A node at work is watched in a terminal.

use super::desk::Desk;
use crate::rig::{NOTED, Rig};
use bench::Terminal;
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(120);
const CONFIG: &str = r#"
[[relay]]
name = "flows"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
[[relay]]
name = "quiet"
input = { interface = "in0", group = "239.1.1.2", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001 }]
"#;

/// What a relay's row says, word by word.
fn row<'a>(seen: &'a str, relay: &str) -> Vec<&'a str> {
    let row = seen.lines().map(|line| line.trim_start_matches("> ").split_whitespace().collect::<Vec<_>>());
    row.into_iter().find(|words| words.first() == Some(&relay)).unwrap_or_default()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_node_at_work_is_watched() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(200).duration(AT_MOST));
    let desk = Desk::of(&show.mcr);
    let mut command = desk.command(&["top", "--interval", "500ms"]);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("LC_ALL");
    let mut top = Terminal::start(&command, 80, 24).unwrap();
    let rate = |seen: &str| row(seen, "flows").get(2).and_then(|pps| pps.parse::<f64>().ok());
    let is_flowing = |seen: &str| rate(seen).is_some_and(|pps| (100.0..400.0).contains(&pps));
    let seen = top.wait_until("the rate of what flows", NOTED, is_flowing).unwrap();
    assert!(top.is_covered() && row(&seen, "flows")[1] == "running", "{seen}");
    top.wait_until("silence", NOTED, |seen| row(seen, "quiet").get(1) == Some(&"silent")).unwrap();

    top.press("2").unwrap();
    top.wait_until("how busy the lane is", NOTED, |seen| seen.contains('%')).unwrap();
    top.press("3").unwrap();
    top.wait_until("the links", NOTED, |seen| seen.contains("in0") && seen.contains("out0")).unwrap();
    top.press("4").unwrap();
    top.wait_until("the events", NOTED, |seen| seen.contains("node.ready")).unwrap();
    // A node that is replaced is asked again, and what happens there is heard.
    desk.done(&["upgrade"]);
    top.wait_until("the newer node", NOTED, |seen| seen.matches("node.ready").count() == 2).unwrap();
    top.wait_for("healthy, ready", NOTED).unwrap();

    top.press("1\x1b[B").unwrap();
    top.wait_for("> quiet", NOTED).unwrap();
    top.press("\r").unwrap();
    let seen = top.wait_for("BROKEN", NOTED).unwrap();
    assert!(seen.contains("relay quiet") && seen.contains("dark"), "{seen}");
    top.press("q").unwrap();
    assert_eq!(top.wait(NOTED).unwrap().code(), Some(0));
    top.wait_until("the terminal as it was", NOTED, |_| top.is_as_before().unwrap()).unwrap();
    source.stop().unwrap();
    show.mcr.stop().unwrap();
}
