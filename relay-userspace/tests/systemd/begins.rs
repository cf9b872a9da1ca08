//! systemd starts the unit, and knows when packets can flow.

use crate::stage::Stage;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn when_start_returns_packets_flow() {
    let stage = Stage::boot();
    let container = &stage.container;
    container.done("systemctl", &["start", "mcr"]);
    let traffic = stage.stream();
    assert_eq!((container.show("ActiveState").as_str(), container.show("SubState").as_str()), ("active", "running"));
    assert!(stage.mcr(&["health"]).contains("ok"));
    // What the files of deploy/ promise: a user of its own, folders that are its, no right but those it needs.
    let status = stage.mcr(&["status"]);
    let rights = "rights  bpf, ipc_lock, kill, net_admin, net_raw, perfmon, setgid, setuid\n";
    assert!(status.contains(rights), "{status}");
    assert!(status.contains("users   control mcr, lanes mcr-lane\n"), "{status}");
    // As systemd has understood them.
    let understood =
        [("RestartUSec", "100ms"), ("OOMPolicy", "continue"), ("LimitNOFILE", "65536"), ("LimitCORE", "0")];
    for (property, wanted) in understood {
        assert_eq!(container.show(property), wanted, "{property}");
    }
    let (user, group) = container.ids("mcr");
    for (folder, owner) in [("/run/mcr", user), ("/var/lib/mcr", user), ("/etc/mcr", 0)] {
        let folder = fs::metadata(container.inside(folder)).unwrap();
        assert_eq!((folder.uid(), folder.gid(), folder.mode() & 0o777), (owner, group, 0o750));
    }
    traffic.pass(500);
    assert!(traffic.arrives_whole() >= 500);
}

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn a_file_that_is_refused_fails_the_start_with_the_reason() {
    let stage = Stage::boot();
    let container = &stage.container;
    let file = container.file("/etc/mcr/relay.toml");
    fs::write(&file, "[[relay]]\nname = 7\n").unwrap();
    let said = container.systemctl("start");
    assert!(!said.succeeded, "{}", said.text);
    let journal = container.journal();
    assert!(journal.contains("relay.toml:2"), "{journal}");
    // It is tried again until the file is right.
    fs::write(&file, crate::stage::ONE).unwrap();
    container.wait_for_state("running");
    let traffic = stage.stream();
    traffic.pass(500);
    assert!(traffic.arrives_whole() >= 500);
}
