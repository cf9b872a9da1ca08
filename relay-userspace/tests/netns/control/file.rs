//! The configuration file as a way to change a node: it is taken when somebody asks for it, and what came of that is in the
//! audit, as for every other change.

use super::desk::Desk;
use crate::rig::{Rig, Show};
use bench::clock::Deadline;
use bench::sys::rtnl::Lock;
use nix::sys::signal::Signal;
use std::fs;
use std::time::Duration;

/// Longer than any of these tests; the source is stopped.
const AT_MOST: Duration = Duration::from_secs(120);

fn relay(name: &str, last: u8, more: &str) -> String {
    format!(
        "[[relay]]\nname = \"{name}\"\n{more}\n\
         input = {{ interface = \"in0\", group = \"239.1.1.{last}\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.2.1.{last}\", port = 5001 }}]\n"
    )
}

/// The names of the relays that run and are enabled.
fn runs(desk: &Desk) -> Vec<String> {
    let all = desk.json(&["relay", "ls"]);
    let enabled = all["relays"].as_array().unwrap().iter().filter(|relay| relay["enabled"] == true);
    enabled.map(|relay| relay["name"].as_str().unwrap().to_owned()).collect()
}

/// Writes the file, and waits for what is told of it.
fn write(show: &Show<'_>, text: &str, told: &str) {
    let mark = show.mcr.process.mark();
    fs::write(show.mcr.config(), text).unwrap();
    show.wait_for(mark, told);
}

/// An editor that has failed, a disk that is full, a tool that stopped half-way: the streams go on.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_file_that_has_changed_is_told_and_waits_until_it_is_asked_for() {
    let rig = Rig::new(1);
    let good = relay("one", 1, "");
    let mut show = rig.start(&good);
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(2_000).duration(AT_MOST));
    write(&show, "", "to take it would remove relay \"one\"");
    let text = desk.wait_until_failing("config");
    assert!(text.contains("is not in force: to take it would remove relay \"one\""), "{text}");
    let config = desk.json(&["status"])["config"].clone();
    assert_eq!((&config["in_force"], &config["error"]), (&false.into(), &().into()), "{config}");
    let compared = desk.ask(&["diff"]);
    let said = String::from_utf8_lossy(&compared.stdout);
    assert_eq!(compared.status.code(), Some(1), "{compared:?}");
    assert_eq!(said, "- relay one  in0/239.1.1.1:5000 -> out0/239.2.1.1:5001\n1 difference: mcr reload takes it\n");
    assert!(desk.done(&["status"]).contains("mcr reload would remove relay \"one\""));
    assert!(desk.get("/metrics").contains("mcr_config_in_force 0"));
    assert!(desk.done(&["health"]).contains("ok"), "drift is no fault");
    // What is wrong is told, too.
    write(&show, &format!("{good}[[relay]\n"), "would be refused: ");
    assert!(desk.refused(&["reload"]).contains("relay.toml:6"));
    let compared = desk.ask(&["diff"]);
    assert_eq!(compared.status.code(), Some(2), "{compared:?}");
    assert!(String::from_utf8_lossy(&compared.stderr).contains("relay.toml:6"), "{compared:?}");
    // Nothing is said of what is put back but that.
    write(&show, &good, "says what is in force again");
    desk.wait_until_well();
    assert!(desk.done(&["diff"]).contains("is what runs"));
    // A file that is gone would keep the next start from what runs.
    let mark = show.mcr.process.mark();
    fs::remove_file(show.mcr.config()).unwrap();
    show.wait_for(mark, "relay.toml: cannot be read: No such file or directory");
    assert!(desk.wait_until_failing("config").contains("No such file or directory"));
    let config = desk.json(&["status"])["config"].clone();
    assert!(config["in_force"] == false && config["error"].as_str().unwrap().contains("cannot be read"), "{config}");
    assert_eq!(desk.ask(&["diff"]).status.code(), Some(2));
    write(&show, &good, "says what is in force again");
    desk.wait_until_well();
    write(&show, &(relay("two", 2, "") + &good), "to take it would add 1 relay");
    assert_eq!(runs(&desk), ["one"]);
    let mark = show.mcr.process.mark();
    show.mcr.process.signal(Signal::SIGHUP).unwrap();
    show.wait_for(mark, "the configuration file: reload all relays: applied");
    assert_eq!(runs(&desk), ["one", "two"]);
    assert_eq!(desk.json(&["status"])["config"]["in_force"], true);
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!(report.received("one"), report.sent("one", 0));
}

/// Somebody saves twice: what is written while the first is carried out is another edit, and waits to be asked for.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_edit_that_comes_while_another_is_carried_out_is_told_and_not_lost() {
    let rig = Rig::new(1);
    let (one, two, three) = (relay("one", 1, ""), relay("two", 2, ""), relay("three", 3, ""));
    let show = rig.start(&one);
    let desk = Desk::of(&show.mcr);
    // As a driver holds it that resets its card: the change waits for it, and has read its file by then.
    let lock = Lock::new().unwrap();
    let doing = || desk.json(&["status"])["doing"]["what"].as_str().unwrap_or_default().to_owned();
    let deadline = Deadline::after(AT_MOST);
    let held = loop {
        let (held, mark) = (lock.take().unwrap(), show.mcr.process.mark());
        fs::write(show.mcr.config(), format!("{one}{two}")).unwrap();
        show.mcr.process.signal(Signal::SIGHUP).unwrap();
        while doing().is_empty() {
            assert!(!deadline.passed(), "no reload is carried out");
        }
        if doing().contains("reload") {
            break held;
        }
        // Links are read every few seconds, and that has come between: once more.
        drop(held);
        show.wait_for(mark, "the configuration file: reload all relays: applied");
        fs::write(show.mcr.config(), &one).unwrap();
        desk.done(&["reload"]);
    };
    let mark = show.mcr.process.mark();
    fs::write(show.mcr.config(), format!("{one}{two}{three}")).unwrap();
    assert!(doing().contains("reload"), "it came too late to show anything");
    drop(held);
    show.wait_for(mark, "the configuration file: reload all relays: applied");
    assert_eq!(runs(&desk), ["one", "two"]);
    show.wait_for(mark, "to take it would add 1 relay");
    let config = desk.json(&["status"])["config"].clone();
    assert_eq!((&config["in_force"], &config["differs"]["text"]), (&false.into(), &"add 1 relay".into()), "{config}");
    desk.done(&["reload"]);
    assert_eq!(runs(&desk), ["one", "three", "two"]);
    desk.wait_until_well();
    show.mcr.stop().unwrap();
}

/// A file that says nothing else of relays is no file that says nothing else.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn every_key_that_a_reload_changes_is_named() {
    let rig = Rig::new(1);
    let one = relay("one", 1, "");
    let show = rig.start(&one);
    let desk = Desk::of(&show.mcr);
    let other = "[config]\nwatch = \"changes\"\n[health]\nhold_down = \"1s\"\n";
    write(&show, &format!("{other}{one}"), "to take it would set config.watch, health.hold_down");
    let lines =
        ["set config.watch to \"changes\" (was \"off\")", "set health.hold_down to \"1000ms\" (was \"10000ms\")"];
    let dry = desk.done(&["reload", "--dry-run"]);
    assert_eq!(dry, format!("would {}\nwould {}\ndry run: nothing was changed\n", lines[0], lines[1]));
    let told = desk.json(&["reload"]);
    assert_eq!(told["changes"], serde_json::json!(lines), "{told}");
    let keys = serde_json::json!([
        { "key": "config.watch", "running": "off", "file": "changes" },
        { "key": "health.hold_down", "running": "10000ms", "file": "1000ms" },
    ]);
    assert_eq!((&told["keys"], &told["not_in_effect"]), (&keys, &serde_json::json!([])));
    assert!(desk.done(&["reload"]).starts_with("nothing to change: "));
    // It can be taken back, too.
    assert!(desk.done(&["rollback", "--dry-run"]).contains("would set config.watch to \"off\" (was \"changes\")"));
    // What waits for a start is said once, and what waits no more as well.
    fs::write(show.mcr.config(), format!("{other}[http]\nsocket = \"/run/mcr-else.sock\"\n{one}")).unwrap();
    let told = desk.done(&["reload"]);
    assert!(told.starts_with("http.socket is \"/run/mcr-else.sock\" in the file and not in effect, "), "{told}");
    assert!(told.ends_with("is in force on every lane\n"), "{told}");
    fs::write(show.mcr.config(), format!("{other}{one}")).unwrap();
    let told = desk.done(&["reload"]);
    assert!(told.starts_with("set http.socket to ") && told.contains("(was \"/run/mcr-else.sock\")"), "{told}");
    show.mcr.stop().unwrap();
}

/// What may come by itself is the operator's choice; to take something away never is.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_comes_by_itself_takes_nothing_away() {
    let rig = Rig::new(1);
    let watch = |watch: &str, relays: &[String]| format!("[config]\nwatch = \"{watch}\"\n{}", relays.concat());
    let (one, two) = (relay("one", 1, ""), relay("two", 2, ""));
    let both = [one.clone(), two.clone()];
    let show = rig.start(&watch("additions", &both[..1]));
    let desk = Desk::of(&show.mcr);
    let mark = show.mcr.process.mark();
    write(&show, &watch("additions", &both), "the configuration file: reload all relays: applied");
    let lines = show.mcr.process.lines();
    let audits = lines.iter().skip(mark).filter(|line| line.contains("the configuration file: reload"));
    assert_eq!(audits.count(), 1, "{lines:?}");
    let other = relay("two", 2, "silence_after = \"2s\"");
    write(&show, &watch("additions", &[one.clone(), other.clone()]), "to take it would change 1 relay");

    write(&show, &watch("changes", &both), "to take it would set config.watch");
    desk.done(&["reload"]);
    write(&show, &watch("changes", &[one.clone(), other]), "reload all relays: applied");
    let disabled = relay("two", 2, "enabled = false");
    write(&show, &watch("changes", &[one.clone(), disabled]), "change 1 relay, disable relay \"two\"");
    // Nor does it have sent what somebody keeps silent, for lack of a line.
    let [muted, silent] = ["muted = true", "enabled = false"].map(|line| relay("two", 2, line));
    for (silent, told) in [(muted, "unmute"), (silent, "enable")] {
        fs::write(show.mcr.config(), watch("changes", &[one.clone(), silent])).unwrap();
        desk.done(&["reload"]);
        let plain = watch("changes", &[one.clone(), relay("two", 2, "silence_after = \"3s\"")]);
        write(&show, &plain, &format!("change 1 relay, {told} relay \"two\""));
        assert!(desk.done(&["status"]).contains(&format!("{told} relay \"two\"")));
    }
    desk.done(&["reload"]);
    // Cut off between two relays, it is a whole file.
    write(&show, &watch("changes", &both[..1]), "to take it would remove relay \"two\"");
    write(&show, "", "to take it would remove relay \"one\", \"two\", set config.watch");
    assert_eq!(runs(&desk), ["one", "two"]);
    show.mcr.stop().unwrap();
}

/// Whoever has locked himself out, or everybody else, need do nothing.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_nobody_confirms_is_given_up_and_what_ran_before_runs_again() {
    let rig = Rig::new(1);
    let (one, two) = (relay("one", 1, ""), relay("two", 2, ""));
    let both = format!("{one}{two}");
    let mut show = rig.start(&one);
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(2_000).duration(AT_MOST));
    assert!(desk.refused(&["rollback"]).contains("no configuration is known that ran before"));
    assert!(desk.refused(&["confirm"]).contains("nothing is on trial"));
    fs::write(show.mcr.config(), &both).unwrap();
    let mark = show.mcr.process.mark();
    desk.done(&["reload", "--confirm", "2s"]);
    show.wait_for(mark, "config.on_trial");
    show.wait_for(mark, "runs again: nobody has confirmed it in time");
    show.wait_for(mark, "to take it would add 1 relay");
    assert_eq!(runs(&desk), ["one"]);
    assert_eq!(fs::read_to_string(show.mcr.config()).unwrap(), both, "the file is its owner's");
    let config = desk.json(&["status"])["config"].clone();
    assert_eq!((&config["in_force"], &config["on_trial"]), (&false.into(), &().into()), "{config}");

    desk.done(&["reload", "--confirm", "1h"]);
    assert_eq!(runs(&desk), ["one", "two"]);
    let left = desk.json(&["status"])["config"]["on_trial"]["seconds_left"].as_u64().unwrap();
    assert!(left > 3000 && left <= 3600, "{left}");
    let metric = |name: &str| -> f64 {
        let page = desk.get("/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    };
    assert!(metric("mcr_config_on_trial") == 1.0 && metric("mcr_config_trial_left_seconds") > 3000.0);
    assert!(desk.done(&["status"]).contains("mcr confirm keeps it"));
    assert!(desk.refused(&["reload"]).contains("what runs is on trial until"));
    desk.done(&["confirm"]);
    // A page of numbers is shared for a second.
    let deadline = Deadline::after(Duration::from_secs(20));
    while (metric("mcr_config_on_trial"), metric("mcr_config_trial_left_seconds")) != (0.0, 0.0) {
        assert!(!deadline.passed(), "a trial is told of that is confirmed");
    }
    assert_eq!(desk.json(&["status"])["config"]["on_trial"], serde_json::Value::Null);
    desk.done(&["rollback"]);
    assert_eq!(runs(&desk), ["one"]);
    // And forth again.
    desk.done(&["rollback"]);
    assert_eq!(runs(&desk), ["one", "two"]);
    assert_eq!(desk.json(&["status"])["config"]["in_force"], true);
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!(report.received("one"), report.sent("one", 0));
}
