//! Another binary takes over, by hand and by `systemctl reload` with the drop-in.

use crate::stage::Stage;
use std::fs;
use std::path::Path;

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn a_binary_takes_over_under_traffic_and_systemd_goes_on_watching() {
    let stage = Stage::started();
    let container = &stage.container;
    let drop_in = container.file("/etc/systemd/system/mcr.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mcr.service.d/upgrade.conf");
    fs::copy(deploy, drop_in.join("upgrade.conf")).unwrap();
    container.done("systemctl", &["daemon-reload"]);
    let traffic = stage.stream();
    traffic.flows();
    let before = container.lanes();
    // A package puts a new file in the place of the old one.
    let binary = container.file("/usr/local/bin/mcr");
    fs::rename(&binary, binary.with_extension("old")).unwrap();
    fs::copy(binary.with_extension("old"), &binary).unwrap();
    let said = container.systemctl("reload");
    assert!(said.succeeded, "{}\n{}", said.text, container.journal());
    container.wait_for_state("running");
    let lanes = container.lanes();
    assert!(lanes.len() == 1 && lanes != before, "{lanes:?}, {before:?}: {}", container.journal());
    assert!(stage.mcr(&["health"]).contains("ok"));

    // What systemd watches is the one that took over.
    container.signal_control("KILL");
    container.wait_for_restarts(1);
    assert_eq!(container.lanes(), lanes);
    traffic.pass(200);
    traffic.arrives_whole();
}
