//! A newer binary proves itself beside the control that runs, takes its place in the process (as where that is a container's
//! first), and fails there: the binary before it comes back.

use crate::moments::asks;
use crate::points::{Point, build};
use crate::refused::status;
use crate::stage::{RATE, SOON, Stage, wait_until};
use bench::Relay;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A newer binary that fails from when it is run for the second time: beside the old one it is well.
fn fails_in_its_place(folder: &Path, point: &Point) -> PathBuf {
    let (newer, count) = (folder.join("mcr-newer"), folder.join("runs"));
    let (name, file) = point.env();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = run ] && echo >> {0}\n[ \"$1\" = run ] && [ $(wc -l < {0}) = 2 ] && export {name}={file}\n\
         exec {1} \"$@\"\n",
        count.display(),
        build().display()
    );
    fs::write(&newer, script).unwrap();
    fs::set_permissions(&newer, PermissionsExt::from_mode(0o755)).unwrap();
    newer
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_binary_that_fails_in_the_place_of_another_gives_it_back() {
    let stage = Stage::new(1);
    let point = Point::new(3);
    let relay = Relay::launch(build(), &stage.relay, &stage.config(), &[]).unwrap();
    relay.wait_until_ready().unwrap();
    let newer = fails_in_its_place(relay.folder(), &point);
    let traffic = stage.stream_at(RATE / 10);
    traffic.wait_until_it_arrives();
    let (before, mark) = (status(&relay), relay.process.mark());
    point.is("fail takeover.found");
    let asked = asks(&relay).arg("upgrade").arg(&newer).output().unwrap();
    assert!(point.was_come_to(), "{asked:?}: {}", relay.process.last_words());
    relay.process.wait_for_after(mark, "mcr goes back to the binary before this one", SOON).unwrap();
    wait_until("control does not answer", || asks(&relay).arg("status").output().unwrap().status.success());
    let after = status(&relay);
    assert_eq!(after["pid"], before["pid"], "it is another process");
    assert_eq!(asked.status.code(), Some(1), "it says that it took over: {asked:?}");
    assert!(after["went_back"].is_string(), "{after}");
    relay.process.wait_for_after(mark, "node.went_back", SOON).unwrap();
    let runs = fs::read_link(format!("/proc/{}/exe", relay.process.pid())).unwrap();
    assert_eq!(runs, fs::canonicalize(build()).unwrap());
    // It can be asked for more, and what it is asked for works.
    assert!(
        asks(&relay).arg("upgrade").arg(build()).output().unwrap().status.success(),
        "{}",
        relay.process.last_words()
    );
    assert!(status(&relay)["went_back"].is_null(), "what is over is told");
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!(account.lost_since_the_first(), account.lost_on_links, "{account:?}");
    eprintln!("    {}", String::from_utf8_lossy(&asked.stderr).trim());
}
