//! A start that goes wrong takes nothing away that was there.

use super::desk::Desk;
use crate::rig::Rig;
use bench::Tmpfs;
use nix::sys::signal::Signal;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(20);
/// Not the default, which is done without where it cannot be had.
const PORT: u16 = 9281;

fn relay(name: &str, group: u8) -> String {
    format!(
        "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{group}\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.2.1.{group}\", port = 5001 }}]\n"
    )
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_cannot_answer_leaves_the_lanes_of_the_one_before() {
    let rig = Rig::new(1);
    let mut show = rig.start(&format!("[http]\nlisten = \"127.0.0.1:{PORT}\"\n{}", relay("one", 1)));
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(5_000).duration(AT_MOST));
    let lanes = show.mcr.lanes();
    show.mcr.process.signal(Signal::SIGKILL).unwrap();
    show.mcr.process.wait(SOON).unwrap();
    let taken = rig.relay.run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))).unwrap();
    let mut failing = show.mcr.another(&bench::relay::binary(), &rig.relay).unwrap();
    failing.wait_for("http.listen: cannot listen", SOON).unwrap();
    failing.wait_for("the lanes relay on as they did", SOON).unwrap();
    failing.wait(SOON).unwrap();
    assert_eq!(show.mcr.lanes(), lanes);
    drop(taken);
    show.mcr.process = show.mcr.another(&bench::relay::binary(), &rig.relay).unwrap();
    show.mcr.wait_until_ready().unwrap();
    Desk::of(&show.mcr).wait_until_well();
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!(report.received("one"), report.sent("one", 0));
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
