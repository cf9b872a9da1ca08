//! A control that starts over lanes and finds a disk that does not answer.

use crate::control::kill_control;
use crate::refused::{done, mcr, next, relays, wait_until_kept};
use crate::stage::{SOON, Stage, is_alive, wait_until};
use crate::way_back::state;
use bench::Relay;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs;
use std::path::PathBuf;

/// Pipes that nobody writes to, in the place of what the state folder holds: to open them waits, as on a disk that hangs.
struct HungDisk(Vec<PathBuf>);

impl HungDisk {
    fn of(relay: &Relay) -> Self {
        let files = ["relays.toml", "relays.toml.last-good"].map(|name| relay.folder().join(name));
        for file in &files {
            fs::rename(file, file.with_extension("whole")).unwrap();
            mkfifo(file, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        }
        Self(files.into())
    }

    /// Whoever waits for it reads nothing, and the files are there as they were.
    fn answers_again(self) {
        for file in self.0 {
            let aside = file.with_extension("aside");
            fs::rename(&file, &aside).unwrap();
            fs::rename(file.with_extension("whole"), &file).unwrap();
            // For both directions it is open at once.
            drop(fs::OpenOptions::new().read(true).write(true).open(&aside).unwrap());
        }
    }
}

/// Whether a thread of control waits for the disk.
fn waits_for_the_disk(relay: &Relay) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", relay.process.pid())).unwrap();
    let wchan = |thread: PathBuf| fs::read_to_string(thread.join("wchan")).unwrap_or_default();
    threads.filter_map(|thread| Some(thread.ok()?.path())).any(|thread| wchan(thread) == "wait_for_partner")
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_finds_a_disk_that_hangs_takes_the_lanes_over_and_ends_when_it_is_asked_to() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let add = |name, group| ["relay", "add", name, "--in", group, "--out", "out0/239.9.1.1:5001"];
    done(&relay, &add("two", "in0/239.1.1.2:5000"));
    wait_until_kept(&relay);
    let lanes = relay.lanes();
    kill_control(&mut relay);
    let disk = HungDisk::of(&relay);
    next(&stage, &mut relay);
    assert_eq!(relay.lanes(), lanes);
    let found = relays(&relay);
    let origins: Vec<_> = found.iter().map(|(name, origin, _)| (name.as_str(), origin.as_str())).collect();
    assert_eq!(origins, [("one", "file"), ("two", "api")]);
    // Nothing can be kept until it answers; then all is as ever, and nothing that came before is forgotten.
    let three = add("three", "in0/239.1.1.3:5000");
    let refused = mcr(&relay, &three);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("the disk has not answered"), "{refused:?}");
    disk.answers_again();
    wait_until("it cannot be changed", || mcr(&relay, &three).status.success());
    let kept = fs::read_to_string(relay.folder().join("relays.toml")).unwrap();
    assert!(kept.contains("\"two\"") && kept.contains("\"three\""), "{kept}");
    // Asked to end while it waits, it ends, and everything with it.
    wait_until_kept(&relay);
    kill_control(&mut relay);
    let disk = HungDisk::of(&relay);
    relay.process = stage.another(&relay);
    wait_until("it does not wait for the disk", || waits_for_the_disk(&relay));
    relay.process.signal(Signal::SIGTERM).unwrap();
    let ended = relay.process.wait(SOON);
    disk.answers_again();
    assert!(ended.is_ok(), "{}", relay.process.last_words());
    wait_until("a lane is left", || lanes.iter().all(|lane| !is_alive(*lane)));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_disk_that_hangs_while_control_is_replaced_costs_no_relay_that_the_lanes_do_not_know() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let add = |name, group| ["relay", "add", name, "--in", group, "--out", "out0/239.9.1.1:5001"];
    for (name, group) in [("two", "in0/239.1.1.2:5000"), ("four", "in0/239.1.1.4:5000")] {
        done(&relay, &add(name, group));
    }
    done(&relay, &["relay", "mute", "four"]);
    let good = fs::read_to_string(relay.config()).unwrap();
    let both = format!(
        "{good}\n[[relay]]\nname = \"two\"\ninput = {{ interface = \"in0\", group = \"239.1.1.2\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.9.1.9\", port = 5001 }}]\n"
    );
    for takes in [&add("three", "in0/239.1.1.3:5000")[..], &["reload"], &["relay", "unmute", "four"]] {
        fs::write(relay.config(), &both).unwrap();
        done(&relay, &["reload"]);
        wait_until_kept(&relay);
        kill_control(&mut relay);
        let disk = HungDisk::of(&relay);
        next(&stage, &mut relay);
        disk.answers_again();
        wait_until("it cannot be changed", || mcr(&relay, takes).status.success());
        let kept = fs::read_to_string(relay.folder().join("relays.toml")).unwrap();
        assert!(kept.contains("\"two\"") && kept.contains("\"four\""), "{takes:?}: {kept}");
        // They run again when the file gives way.
        fs::write(relay.config(), &good).unwrap();
        done(&relay, &["reload"]);
        let found = relays(&relay);
        let is_there = |name: &str| found.iter().any(|(of, origin, _)| of == name && origin == "api");
        assert!(is_there("two") && is_there("four"), "{takes:?}: {found:?}");
        assert_eq!(state(&relay), None, "{takes:?}");
    }
    relay.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_reload_that_cannot_read_the_file_takes_it_as_soon_as_the_disk_answers() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    done(&relay, &["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.9.1.1:5001"]);
    wait_until_kept(&relay);
    kill_control(&mut relay);
    let disk = HungDisk::of(&relay);
    next(&stage, &mut relay);
    let good = fs::read_to_string(relay.config()).unwrap();
    fs::write(relay.config(), good.replace("239.2.0.1", "239.2.0.7")).unwrap();
    assert!(!mcr(&relay, &["reload"]).status.success());
    disk.answers_again();
    wait_until("it is not tried again", || done(&relay, &["relay", "show", "one"]).contains("239.2.0.7"));
    relay.stop().unwrap();
}
