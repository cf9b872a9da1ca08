//! `systemctl reload` takes a file, or fails with the reason.

use crate::stage::{ONE, Stage};
use std::fs;

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn a_good_file_is_in_force_when_reload_returns_and_a_bad_one_fails_it() {
    let stage = Stage::started();
    let container = &stage.container;
    let file = container.file("/etc/mcr/relay.toml");
    let traffic = stage.stream();
    traffic.flows();
    let two = ONE.replace("\"one\"", "\"two\"").replace("239.1.1.1", "239.1.1.2").replace("239.2.1.1", "239.2.1.2");
    fs::write(&file, format!("{ONE}{two}")).unwrap();
    let said = container.systemctl("reload");
    assert!(said.succeeded, "{}", said.text);
    assert!(stage.mcr(&["relay", "ls"]).contains("two"));

    fs::write(&file, format!("{ONE}{two}\n[[relay]]\nname = 7\n")).unwrap();
    let said = container.systemctl("reload");
    assert!(!said.succeeded, "systemd takes the reload of a broken file for done: {}", said.text);
    let journal = container.journal();
    assert!(journal.contains("relay.toml:13"), "{journal}");
    assert_eq!(container.show("ActiveState"), "active");
    assert!(stage.mcr(&["relay", "ls"]).contains("two"));
    assert_eq!((container.show("NRestarts").as_str(), container.lanes().len()), ("0", 1));
    traffic.pass(200);
    traffic.arrives_whole();
}
