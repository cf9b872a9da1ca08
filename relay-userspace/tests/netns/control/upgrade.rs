//! A newer binary takes the place of the one that runs, and the old one comes back.

use super::desk::Desk;
use super::restart::{Asking, RELAY, control};
use crate::rig::Rig;
use bench::links::ip;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(120);

/// What a process is of.
fn binary_of(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

/// The other build is the one that tests make: not a byte of its code is the same.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn another_build_takes_over_under_traffic_and_the_first_one_comes_back() {
    let first = fs::canonicalize(bench::relay::binary()).unwrap();
    let other = fs::canonicalize(env!("CARGO_BIN_EXE_mcr")).unwrap();
    let rig = Rig::new(2);
    ip(&["-n", rig.relay.name(), "link", "set", "lo", "up"]).unwrap();
    let mut show = rig.start(
        r#"
        [http]
        listen = "127.0.0.1:9280"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [
          { interface = "out0", group = "239.2.1.1", port = 5001 }, { interface = "out1", group = "239.2.1.2", port = 5001 },
        ]
        "#,
    );
    let flows = [show.expect(1, 0, "239.2.1.1:5001"), show.expect(1, 1, "239.2.1.2:5001")];
    for (output, flow) in flows.into_iter().enumerate() {
        show.listen(output, vec![flow]);
    }
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(10_000).duration(AT_MOST));
    let asking = Asking::at(&rig, &show.mcr.folder().join("mcr.sock"));
    let (pid, lanes) = (show.mcr.process.pid(), show.mcr.lanes());
    let mut was = lanes;
    for next in [&other, &first, &other, &first] {
        desk.done(&["upgrade", next.to_str().unwrap()]);
        let now = show.mcr.lanes();
        assert_eq!(now.len(), was.len());
        assert!(now.iter().all(|lane| !was.contains(lane)), "a lane of the old binary runs on: {now:?}, {was:?}");
        for process in now.iter().chain([&pid]) {
            assert_eq!(&binary_of(*process), next);
        }
        // It can be asked and changed as before.
        let add = ["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.3:5001"];
        desk.done(&add);
        desk.done(&["relay", "rm", "two"]);
        assert_eq!(desk.failing(), []);
        was = now;
        let until = source.sent(1) + 1_000;
        while source.sent(1) < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let asked = asking.end();
    eprintln!("    {asked:?}");
    assert!(asked.iter().all(|asked| asked.refused == 0 && asked.answered > 20), "{asked:?}");
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!(report.received("one"), report.sent("one", 0));
}

/// It has the right layouts, and then goes wrong.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_binary_that_goes_wrong_leaves_the_old_one_in_charge() {
    let rig = Rig::new(1);
    ip(&["-n", rig.relay.name(), "link", "set", "lo", "up"]).unwrap();
    let mut show = rig.start(RELAY);
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(10_000).duration(AT_MOST));
    let asking = Asking::at(&rig, &show.mcr.folder().join("mcr.sock"));
    let (before, lanes) = (control(&desk), show.mcr.lanes());
    let mcr = fs::canonicalize(bench::relay::binary()).unwrap();
    let bad = show.mcr.folder().join("bad");
    for (runs, why) in [
        ("exit 7", "it ended: exit code 7"),
        ("kill -9 $$", "it ended: signal 9"),
        ("exec sleep 1000", "it was not prepared within 5 s"),
        // It does not know what it was started for.
        ("MCR_GIVEN_BY=0 exec \"$mcr\" \"$@\"", "it ended: exit code 1"),
    ] {
        let text = format!("#!/bin/sh\nmcr={}\n[ $1 = layouts ] && exec $mcr layouts\n{runs}\n", mcr.display());
        fs::write(&bad, text).unwrap();
        fs::set_permissions(&bad, fs::Permissions::from_mode(0o755)).unwrap();
        let said = desk.refused(&["upgrade", bad.to_str().unwrap()]);
        assert!(said.contains(why), "{runs}: {said}");
        // It did not even begin anew.
        assert_eq!((control(&desk), show.mcr.lanes(), desk.failing()), (before, lanes.clone(), vec![]), "{runs}");
    }
    let asked = asking.end();
    assert!(asked.iter().all(|asked| asked.refused + asked.cut == 0 && asked.answered > 20), "{asked:?}");
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!((report.received("one"), report.restarts()), (report.sent("one", 0), 0));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_no_mcr_is_refused_and_the_old_one_goes_on() {
    let rig = Rig::new(1);
    let show = rig.start("");
    let desk = Desk::of(&show.mcr);
    let lanes = show.mcr.lanes();
    for no_mcr in ["/bin/true", "/bin/false", "/nowhere/mcr", "/etc/hostname"] {
        let why = desk.refused(&["upgrade", no_mcr]);
        assert!(why.contains(no_mcr), "{why}");
        assert_eq!(show.mcr.lanes(), lanes);
        assert_eq!(desk.failing(), []);
    }
    // A newer control would not start with this file.
    fs::write(show.mcr.config(), "broken = [").unwrap();
    desk.wait_until_failing("config");
    let mcr = fs::canonicalize(bench::relay::binary()).unwrap();
    let why = desk.refused(&["upgrade", mcr.to_str().unwrap()]);
    assert!(why.contains("relay.toml:1"), "{why}");
    assert_eq!(show.mcr.lanes(), lanes);
    assert!(Path::new("/proc").join(show.mcr.process.pid().to_string()).exists());
    show.mcr.stop().unwrap();
}

/// What runs is not what the file says, and the newer one does not understand it. Whom the API lets in, and where, would be the
/// file's, which nobody has taken.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_binary_that_does_not_understand_what_runs_is_refused() {
    let rig = Rig::new(1);
    let show = rig.start("");
    let desk = Desk::of(&show.mcr);
    let (before, lanes) = (control(&desk), show.mcr.lanes());
    let files = fs::read_dir(show.mcr.folder()).unwrap().map(|file| file.unwrap().path());
    let is_running = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().starts_with("running.");
    let running = files.into_iter().find(is_running).unwrap();
    let text = fs::read_to_string(&running).unwrap();
    fs::write(&running, format!("{text}\n[of_an_older_version]\nkey = 1\n")).unwrap();
    let mcr = fs::canonicalize(bench::relay::binary()).unwrap();
    let upgrade = ["upgrade", mcr.to_str().unwrap()];
    let why = desk.refused(&upgrade);
    assert!(why.contains("of_an_older_version"), "{why}");
    assert_eq!((control(&desk), show.mcr.lanes(), desk.failing()), (before, lanes, vec![]));
    fs::write(&running, text).unwrap();
    desk.done(&upgrade);
    show.mcr.stop().unwrap();
}
