//! Another binary takes over, by hand and by `systemctl reload` with the drop-in.

use crate::stage::{Stage, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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
    let (before, old) = (container.lanes(), container.show("MainPID"));
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
    assert_ne!(container.show("MainPID"), old, "{}", container.journal());
    assert_eq!((container.show("NRestarts"), container.show("ActiveState")), ("0".into(), "active".into()));

    // What systemd watches is the one that took over.
    container.signal_control("KILL");
    container.wait_for_restarts(1);
    assert_eq!(container.lanes(), lanes);
    traffic.pass(200);
    traffic.arrives_whole();
}

/// The main process of the unit is the one that leads, whatever is asked of it: it is watched, stopped and followed.
#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn what_goes_wrong_leaves_the_main_process_and_what_goes_well_is_it() {
    let stage = Stage::started();
    let container = &stage.container;
    let main = || (container.show("MainPID"), container.show("ActiveState"), container.show("NRestarts"));
    let traffic = stage.stream();
    traffic.flows();
    let (before, lanes) = (main(), container.lanes());

    // It is taken for mcr, and ends.
    let bad = container.file("/usr/local/bin/mcr-bad");
    fs::write(&bad, "#!/bin/sh\n[ $1 = layouts ] && exec /usr/local/bin/mcr layouts\nexit 1\n").unwrap();
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o755)).unwrap();
    let said = container.run("/usr/local/bin/mcr", &["upgrade", "/usr/local/bin/mcr-bad"]);
    assert!(!said.succeeded && said.text.contains("it ended: exit code 1"), "{}", said.text);
    assert_eq!((main(), container.lanes()), (before.clone(), lanes.clone()), "{}", container.journal());

    let said = stage.mcr(&["restart"]);
    assert!(said.contains("its lane relayed on"), "{said}");
    assert_eq!((main(), container.lanes()), (before.clone(), lanes), "{}", container.journal());

    let other = container.file("/usr/local/bin/mcr-other");
    fs::copy(container.file("/usr/local/bin/mcr"), &other).unwrap();
    let said = stage.mcr(&["upgrade", "/usr/local/bin/mcr-other"]);
    let after = main();
    assert!(after.0 != before.0 && after.1 == "active" && after.2 == "0", "{after:?}: {}", container.journal());
    assert!(said.contains(&format!("(pid {}) took over", after.0)), "{said}");
    assert!(container.systemctl("reload").succeeded, "{}", container.journal());
    // It keeps what it is told.
    stage.mcr(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);
    stage.mcr(&["relay", "rm", "two"]);
    traffic.pass(200);
    traffic.arrives_whole();

    // Also lanes know the unit: it is stopped while control is away.
    container.override_unit("[Service]\nRestartSec=60s\n");
    wait_until(
        || format!("lanes do not hold what systemd keeps: {}", container.journal()),
        || !stage.mcr(&["status"]).contains("FileDescriptorStoreMax"),
    );
    container.signal_control("KILL");
    container.wait_for_state("auto-restart");
    container.done("systemctl", &["stop", "mcr"]);
    wait_until(|| format!("something is left: {}", container.journal()), || stage.is_bare());
}
