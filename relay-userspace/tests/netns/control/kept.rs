//! What was acknowledged is kept: on a full disk nothing is acknowledged, and a damaged file is nobody's to overwrite.

use super::desk::Desk;
use crate::rig::{Rig, Show};
use bench::Tmpfs;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What is done to a state file.
type Damage = fn(&Path);

const AT_MOST: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(20);

fn config(state: &Path) -> String {
    format!(
        "[state]\nfile = \"{}\"\n[[relay]]\nname = \"steady\"\n\
         input = {{ interface = \"in0\", group = \"239.1.1.1\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.2.1.1\", port = 5001 }}]\n",
        state.display()
    )
}

fn add(name: &str) -> [&str; 7] {
    ["relay", "add", name, "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Control is killed and started again; the lanes go on.
pub(super) fn kill_and_start(show: &mut Show<'_>) {
    show.mcr.process.signal(Signal::SIGKILL).unwrap();
    show.mcr.process.wait(SOON).unwrap();
    show.mcr.process = show.mcr.another(&bench::relay::binary(), &show.rig.relay).unwrap();
    show.mcr.wait_until_ready().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn on_a_full_disk_a_change_is_refused_and_undone() {
    let disk = Tmpfs::new().unwrap();
    let state = disk.path().join("relays.toml");
    let rig = Rig::new(1);
    let mut show = rig.start(&config(&state));
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(2_000).duration(AT_MOST));
    desk.done(&add("before"));
    let kept = fs::read(&state).unwrap();
    disk.fill().unwrap();
    let other = ["relay", "add", "late", "--in", "in0/239.1.1.3:5000", "--out", "out0/239.2.1.3:5001"];
    for refused in [&other[..], &["relay", "rm", "before"], &["relay", "mute", "before"]] {
        let why = desk.refused(refused);
        assert!(why.contains("make room on that disk") && why.contains(&state.display().to_string()), "{why}");
    }
    assert_eq!(desk.names(), set(&["before"]));
    assert_eq!(fs::read(&state).unwrap(), kept, "the file is as it was");
    let left: Vec<_> = fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == "relays.toml.new"), "{left:?}");

    disk.make_room().unwrap();
    desk.done(&other);
    kill_and_start(&mut show);
    assert_eq!(desk.names(), set(&["before", "late"]));
    let sent = source.stop().unwrap();
    show.balance(&[sent]);
}

/// A disk that takes nothing any more, or never did, is told of before somebody's change is refused for it.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_disk_that_takes_nothing_is_told_of_before_anything_is_to_be_kept() {
    let disk = Tmpfs::new().unwrap();
    let state = disk.path().join("relays.toml");
    let rig = Rig::new(1);
    let show = rig.start(&config(&state));
    let desk = Desk::of(&show.mcr);
    desk.wait_until_well();
    let within = Duration::from_secs(100);
    let mark = show.mcr.process.mark();
    disk.fill().unwrap();
    show.mcr.process.wait_for_after(mark, "state.unwritable", within).unwrap();
    let text = desk.wait_until_failing("state");
    assert!(text.contains("cannot be written: No space left on device"), "{text}");
    assert!(desk.get("/metrics").contains("\nmcr_state_writable 0\n"));
    assert!(desk.done(&["health"]).contains("ok"), "drift is no fault");
    assert!(desk.done(&["status"]).contains("the state file cannot be written: No space left"));
    disk.make_room().unwrap();
    show.mcr.process.wait_for_after(mark, "state.writable", within).unwrap();
    desk.wait_until_well();
    show.mcr.stop().unwrap();
    // And by a start.
    disk.remount("ro").unwrap();
    let show = rig.start(&config(&state));
    assert!(
        show.mcr.process.lines().iter().any(|line| line.contains("state.unwritable")),
        "{}",
        show.mcr.process.last_words()
    );
    let desk = Desk::of(&show.mcr);
    assert!(desk.wait_until_failing("state").contains("Read-only file system"));
    desk.refused(&add("late"));
    show.mcr.stop().unwrap();
    // A process has its own mounts there (ip netns exec), so only the next one sees that it can be written again.
    disk.remount("rw").unwrap();
    let show = rig.start(&config(&state));
    let desk = Desk::of(&show.mcr);
    desk.wait_until_well();
    desk.done(&add("late"));
    show.mcr.stop().unwrap();
}

/// Whoever must silence a relay does not wait for somebody to tidy a disk.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_full_disk_hinders_no_change_that_need_not_be_kept() {
    let disk = Tmpfs::new().unwrap();
    let state = disk.path().join("relays.toml");
    let rig = Rig::new(1);
    let mut show = rig.start(&config(&state));
    let desk = Desk::of(&show.mcr);
    let gone = ["relay", "add", "gone", "--in", "in0/239.1.1.3:5000", "--out", "out0/239.2.1.3:5001"];
    let rests = ["relay", "add", "rests", "--in", "in0/239.1.1.4:5000", "--out", "out0/239.2.1.4:5001"];
    for relay in [&add("loud")[..], &gone, &rests] {
        desk.done(relay);
    }
    disk.fill().unwrap();
    let why = desk.refused(&["relay", "mute", "loud"]);
    assert!(why.contains("make room on that disk, or take it unkept: --volatile"), "{why}");
    let said = desk.done(&["relay", "mute", "loud", "--volatile"]);
    assert!(said.contains("loud: muted (generation") && said.contains("NOT kept yet: No space left"), "{said}");
    let last = |desk: &Desk| desk.json(&["changes"])[0].clone();
    let (change, why) = (last(&desk), "No space left on device");
    assert!(change["state"] == "done" && change["applied"]["not_kept"].as_str().unwrap().contains(why), "{change}");
    assert!(desk.done(&["change", &change["id"].to_string()]).contains("NOT yet, it is written as soon as that works"));
    disk.make_room().unwrap();
    show.mcr.process.wait_for_after(0, "state.kept", Duration::from_secs(120)).unwrap();
    let change = last(&desk);
    assert!(change["state"] == "done" && change["applied"]["not_kept"].is_null(), "{change}");
    disk.fill().unwrap();
    desk.done(&["relay", "unmute", "loud", "--volatile"]);
    let changes = desk.json(&["changes"]);
    assert!(changes[1]["applied"]["not_kept"].is_null() && changes[0]["applied"]["not_kept"].is_string(), "{changes}");
    desk.done(&["relay", "mute", "loud", "--volatile"]);
    let kept = fs::read(&state).unwrap();
    desk.done(&["relay", "rm", "gone", "--volatile"]);
    desk.done(&["relay", "disable", "--volatile", "re*"]);
    let is_so = |desk: &Desk| {
        let shown = |name: &str, switch: &str| desk.json(&["relay", "show", name])[switch].clone();
        assert_eq!(desk.names(), set(&["loud", "rests"]));
        assert_eq!((shown("loud", "muted"), shown("rests", "enabled")), (true.into(), false.into()));
    };
    is_so(&desk);
    let text = desk.wait_until_failing("state");
    assert!(text.contains("has not what is in force: No space left"), "{text}");
    assert!(desk.done(&["status"]).contains("relays.toml has NOT what is in force since"));
    assert!(desk.get("/metrics").contains("\nmcr_state_kept 0\n"));
    assert!(desk.done(&["health"]).contains("ok"), "drift is no fault");
    assert_eq!(fs::read(&state).unwrap(), kept);
    // A control that follows does not undo it, and knows what is still to be done.
    kill_and_start(&mut show);
    is_so(&desk);
    assert_eq!(desk.json(&["status"])["not_kept"]["file"], state.display().to_string());
    let mark = show.mcr.process.mark();
    disk.make_room().unwrap();
    show.mcr.process.wait_for_after(mark, "state.kept", Duration::from_secs(120)).unwrap();
    assert_eq!(desk.json(&["status"])["not_kept"], serde_json::Value::Null);
    desk.wait_until_well();
    let page = desk.get("/metrics");
    assert!(page.contains("\nmcr_state_kept 1\n") && page.contains("\nmcr_state_writable 1\n"));
    // And it is there after a start of everything.
    show.mcr.stop().unwrap();
    let show = rig.start(&config(&state));
    is_so(&Desk::of(&show.mcr));
    show.mcr.stop().unwrap();
}

/// The file is damaged while the node runs, and control dies: the lanes know the relays, and the file is written anew.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_the_lanes_know_mends_a_damaged_file() {
    let disk = Tmpfs::new().unwrap();
    let state = disk.path().join("relays.toml");
    let rig = Rig::new(1);
    let mut show = rig.start(&config(&state));
    let desk = Desk::of(&show.mcr);
    desk.done(&add("ours"));
    let whole = fs::read(&state).unwrap();
    fs::write(&state, "broken = [").unwrap();
    kill_and_start(&mut show);
    let text = desk.wait_until_failing("state");
    assert!(text.contains(&state.display().to_string()), "{text}");
    assert_eq!(desk.names(), set(&["ours"]));
    desk.done(&["reload"]);
    desk.wait_until_well();
    assert_eq!(fs::read(&state).unwrap(), whole);
    // The same by any change.
    fs::write(&state, "broken = [").unwrap();
    kill_and_start(&mut show);
    desk.wait_until_failing("state");
    let other = ["relay", "add", "late", "--in", "in0/239.1.1.3:5000", "--out", "out0/239.2.1.3:5001"];
    desk.done(&other);
    desk.wait_until_well();
    kill_and_start(&mut show);
    assert_eq!(desk.names(), set(&["late", "ours"]));
    show.mcr.stop().unwrap();
}

/// What changes no lane is written down for a successor too, which must not write where lanes read.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_change_that_no_lane_sees_disturbs_no_successor() {
    let folder = Tmpfs::new().unwrap();
    let rig = Rig::new(1);
    let mut show = rig.start(&config(&folder.path().join("relays.toml")));
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(20_000).duration(AT_MOST));
    desk.done(&[&add("off")[..], &["--disabled"]].concat());
    for port in ["5003", "5004", "5005"] {
        // An odd and an even number of changes: the table's halves take turns.
        desk.done(&["relay", "set", "off", "--in", &format!("in0/239.1.1.2:{port}")]);
        kill_and_start(&mut show);
        assert_eq!(desk.names(), set(&["off"]));
    }
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!(report.all_dropped(1).values().sum::<u64>(), 0, "{:#}", report.0);
}

/// Each damage: what is done to the file. The node starts with the relays of its own file, says what is wrong, leaves the
/// damaged file alone, and takes its relays when it is mended.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_damaged_state_file_is_told_and_left_alone() {
    let damages: [(&str, Damage); 3] = [
        ("cut off", |state| {
            let whole = fs::read(state).unwrap();
            fs::write(state, &whole[..whole.len() - 25]).unwrap();
        }),
        ("no text", |state| fs::write(state, [0xff, 0xfe, 0, 0x80]).unwrap()),
        ("no file", |state| {
            fs::remove_file(state).unwrap();
            fs::create_dir(state).unwrap();
        }),
    ];
    let disk = Tmpfs::new().unwrap();
    let state = disk.path().join("relays.toml");
    let rig = Rig::new(1);
    for (what, damage) in damages {
        let show = rig.start(&config(&state));
        let desk = Desk::of(&show.mcr);
        desk.done(&add("ours"));
        show.mcr.stop().unwrap();
        let whole = fs::read(&state).unwrap();
        damage(&state);
        let damaged = fs::read(&state).ok();

        let mut show = rig.start(&config(&state));
        let flow = show.expect(1, 0, "239.2.1.1:5001");
        show.listen(0, vec![flow]);
        let desk = Desk::of(&show.mcr);
        let text = desk.wait_until_failing("state");
        assert!(text.contains(&state.display().to_string()), "{what}: {text}");
        let why = desk.refused(&add("another"));
        assert!(why.contains("mend it or move it away"), "{what}: {why}");
        assert_eq!((desk.names(), fs::read(&state).ok()), (BTreeSet::new(), damaged), "{what}");
        let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(2_000).duration(AT_MOST));

        if state.is_dir() {
            fs::remove_dir(&state).unwrap();
        }
        fs::write(&state, whole).unwrap();
        // Looking at it is not taking it: what is in it is still nobody's to overwrite.
        desk.done(&["reload", "--dry-run"]);
        desk.refused(&add("another"));
        desk.done(&["reload"]);
        assert_eq!(desk.names(), set(&["ours"]), "{what}");
        desk.wait_until_well();
        desk.done(&["relay", "rm", "ours"]);
        let sent = source.stop().unwrap();
        show.balance(&[sent]);
    }
}
