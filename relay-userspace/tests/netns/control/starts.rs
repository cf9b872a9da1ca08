//! A start that goes wrong takes nothing away that was there.

use super::desk::Desk;
use crate::rig::Rig;
use bench::Tmpfs;
use std::fs;
use std::path::Path;

fn relay(name: &str, group: u8) -> String {
    format!(
        "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{group}\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.2.1.{group}\", port = 5001 }}]\n"
    )
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
