//! A start that goes wrong takes nothing away that was there.

use super::desk::Desk;
use crate::rig::Rig;
use bench::clock::Deadline;
use bench::links::ip;
use bench::{Relay, Tmpfs};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn relay(name: &str, group: u8) -> String {
    format!(
        "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{group}\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.2.1.{group}\", port = 5001 }}]\n"
    )
}

/// Whoever stops a node that has just been started means it, at whatever moment.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_start_that_is_stopped_at_any_moment_is_stopped() {
    let rig = Rig::new(1);
    let soon = Duration::from_secs(60);
    for ms in [0, 1, 5, 10, 20, 40, 60, 100] {
        let mut mcr = Relay::launch(&bench::relay::binary(), &rig.relay, &relay("one", 1), &[]).unwrap();
        let comm = format!("/proc/{}/comm", mcr.process.pid());
        let deadline = Deadline::after(soon);
        while fs::read_to_string(&comm).unwrap().trim_end() != "mcr" {
            assert!(!deadline.passed(), "it does not begin");
        }
        std::thread::sleep(Duration::from_millis(ms));
        let mut stop = rig.relay.command(bench::relay::binary());
        let said = stop.args(["stop", "--run-dir"]).arg(mcr.folder()).output().unwrap();
        assert!(said.status.success(), "after {ms} ms: {said:?}");
        assert!(!mcr.process.is_running().unwrap(), "after {ms} ms: {said:?}");
        let attached = ip(&["-n", rig.relay.name(), "-d", "link", "show", "in0"]).unwrap();
        assert!(mcr.lanes().is_empty() && !attached.contains("prog/xdp"), "after {ms} ms: {attached}");
    }
}

/// The folder of the lock and of the doors takes nothing: where, and what to do.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_run_folder_that_is_full_is_named_with_the_remedy() {
    let rig = Rig::new(1);
    let file = Tmpfs::new().unwrap();
    let config = file.path().join("relay.toml");
    fs::write(&config, relay("one", 1)).unwrap();
    let start = |folder: &Path| {
        let mut mcr = rig.relay.command(bench::relay::binary());
        mcr.args(["run", "--config"]).arg(&config).arg("--run-dir").arg(folder).arg("--state-dir").arg(file.path());
        let said = mcr.output().unwrap();
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        String::from_utf8(said.stderr).unwrap()
    };
    let full = Tmpfs::new().unwrap();
    full.fill().unwrap();
    let told = start(full.path());
    let folder = full.path().display().to_string();
    assert!(told.contains(&folder) && told.contains("make room") && told.contains("--run-dir"), "{told}");
    full.remount("ro").unwrap();
    let told = start(full.path());
    assert!(told.contains(&folder) && told.contains("name another with --run-dir"), "{told}");
}

/// A name came into the file that the API's relays have: a node that starts runs the file's, and the other waits.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_kept_relay_that_clashes_with_the_file_waits_until_the_file_gives_way() {
    let disk = Tmpfs::new().unwrap();
    let state = disk.path().join("relays.toml");
    let config = |state: &Path, relays: &str| format!("[state]\nfile = \"{}\"\n{relays}", state.display());
    let rig = Rig::new(1);
    let show = rig.start(&config(&state, ""));
    let desk = Desk::of(&show.mcr);
    desk.done(&["relay", "add", "both", "--in", "in0/239.1.1.7:5000", "--out", "out0/239.2.1.7:5001"]);
    show.mcr.stop().unwrap();

    let show = rig.start(&config(&state, &relay("both", 1)));
    let desk = Desk::of(&show.mcr);
    let all = desk.done(&["relay", "ls"]);
    assert!(all.contains("in0/239.1.1.1:5000") && all.contains("shadowed"), "{all}");
    // All else goes on, and what waits is kept.
    desk.done(&["relay", "add", "other", "--in", "in0/239.1.1.8:5000", "--out", "out0/239.2.1.8:5001"]);
    let kept = fs::read_to_string(&state).unwrap();
    assert!(kept.contains("239.1.1.7") && kept.contains("239.1.1.8"), "{kept}");
    // The file gives way.
    fs::write(show.mcr.config(), config(&state, &relay("of-the-file", 1))).unwrap();
    desk.done(&["reload"]);
    desk.wait_until_well();
    let all = desk.done(&["relay", "ls"]);
    assert!(all.contains("in0/239.1.1.7:5000") && !all.contains("shadowed"), "{all}");
    show.mcr.stop().unwrap();
}
