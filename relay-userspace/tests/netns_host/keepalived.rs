//! keepalived, the real one, chooses between nodes by the examples of docs/operating.md.

use crate::line::{Folder, Line, ONE};
use bench::clock::Deadline;
use bench::links::ip;
use bench::{Process, Relay};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// keepalived runs a script once a second and believes it the second time; a busy machine gets ten times that.
const SOON: Duration = Duration::from_secs(30);
const MASTER: &str = "(relays) Entering MASTER STATE";
const FAULT: &str = "(relays) Entering FAULT STATE";

/// The examples of the page's section on keepalived.
fn examples() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let page = fs::read_to_string(page).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("With keepalived\n")).unwrap();
    let mut examples = vec![String::new()];
    for line in section.lines() {
        match (line.strip_prefix("    "), examples.last_mut().unwrap()) {
            (Some(line), example) => *example += &format!("{line}\n"),
            (None, example) if example.is_empty() => {}
            (None, _) => examples.push(String::new()),
        }
    }
    examples.retain(|example| !example.is_empty());
    examples
}

/// A node with its keepalived.
struct Watched {
    line: Line,
    relay: Relay,
    folder: Folder,
}

impl Watched {
    fn new(name: &str) -> Self {
        let line = Line::new();
        let relay = line.start(&ONE.replace("\"one\"", "\"sport-1\""));
        let folder = Folder::new(name);
        // In the place of mcr: counts how often it is asked.
        let counting = "#!/bin/sh\necho asked >> \"${0%/*}/asked\"\nexec MCR \"$@\" --socket SOCKET\n";
        let (mcr, socket) = (bench::relay::binary(), relay.folder().join("mcr.sock"));
        let counting =
            counting.replace("MCR", &mcr.display().to_string()).replace("SOCKET", &socket.display().to_string());
        fs::write(folder.file("mcr"), counting).unwrap();
        fs::write(folder.file("asked"), "").unwrap();
        fs::set_permissions(folder.file("mcr"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { line, relay, folder }
    }

    /// What stands on the page, as it is called here. A folder for temporary files is not safe enough for keepalived.
    fn here(&self, example: &str) -> String {
        let folder = self.folder.path().display().to_string();
        let here = example.replace("/usr/local/bin/mcr", &format!("{folder}/mcr")).replace("/run/mcr", &folder);
        here.replace("ens1f1", "out0").replace("user mcr", "user root").replace("enable_script_security", "")
    }

    fn keepalived(&self, config: &str) -> Process {
        let at = |name: &str| self.folder.file(name);
        fs::write(at("keepalived.conf"), config).unwrap();
        let mut command = self.line.relay.command("keepalived");
        command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]).arg("-f").arg(at("keepalived.conf"));
        command.arg("-p").arg(at("pid")).arg("-r").arg(at("vrrp.pid")).arg("-c").arg(at("checkers.pid"));
        Process::start("keepalived", command).unwrap()
    }

    /// Waits until keepalived has asked so much more that it would have believed whatever it was told.
    fn wait_until_asked(&self) {
        let asked = || fs::read_to_string(self.folder.file("asked")).unwrap().lines().count();
        let (until, deadline) = (asked() + 4, Deadline::after(SOON));
        while asked() < until {
            assert!(!deadline.passed(), "keepalived does not ask any more");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn mcr(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(bench::relay::binary());
        let said = command.env("MCR_SOCKET", self.relay.folder().join("mcr.sock")).args(arguments).output().unwrap();
        String::from_utf8(said.stdout).unwrap()
    }

    fn wait_until_health_says(&self, words: &str) {
        let deadline = Deadline::after(SOON);
        while !self.mcr(&["health", "--timeout", "5s"]).contains(words) {
            assert!(!deadline.passed(), "health does not say {words}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill_control(&mut self) {
        self.relay.process.signal(Signal::SIGKILL).unwrap();
        self.relay.process.wait(SOON).unwrap();
    }

    fn kill_lanes(&self) {
        for pid in self.relay.lanes() {
            kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        }
    }
}

fn stays_master(keepalived: &Process, mark: usize) {
    let lines = keepalived.lines();
    let left = lines.iter().skip(mark).find(|line| line.contains("STATE") && !line.contains(MASTER));
    assert_eq!(left, None, "{}", keepalived.last_words());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_script_fails_over_for_what_cannot_be_carried_and_for_nothing_else() {
    let mut node = Watched::new("script");
    let keepalived = node.keepalived(&node.here(&examples()[0]));
    keepalived.wait_for(MASTER, SOON).unwrap();
    let mark = keepalived.mark();

    let whole = fs::read_to_string(node.relay.config()).unwrap();
    fs::write(node.relay.config(), "broken = [").unwrap();
    node.wait_until_health_says("drift");
    node.wait_until_asked();
    fs::write(node.relay.config(), whole).unwrap();
    stays_master(&keepalived, mark);

    node.kill_control();
    node.wait_until_asked();
    node.relay.process = node.relay.another(&bench::relay::binary(), &node.line.relay).unwrap();
    node.relay.wait_until_ready().unwrap();
    stays_master(&keepalived, mark);

    // Control stands still, and packets flow.
    node.relay.process.signal(Signal::SIGSTOP).unwrap();
    node.wait_until_asked();
    node.relay.process.signal(Signal::SIGCONT).unwrap();
    stays_master(&keepalived, mark);

    // Too few of the relays work.
    let set = |state: &str| ip(&["-n", node.line.relay.name(), "link", "set", "in0", state]).unwrap();
    set("down");
    keepalived.wait_for_after(mark, FAULT, SOON).unwrap();
    let mark = keepalived.mark();
    set("up");
    keepalived.wait_for_after(mark, MASTER, SOON).unwrap();

    node.kill_control();
    let mark = keepalived.mark();
    node.kill_lanes();
    keepalived.wait_for_after(mark, FAULT, SOON).unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_weight_lowers_the_priority_by_what_does_not_work() {
    let mut node = Watched::new("weight");
    let [script, loops, weight] = <[String; 3]>::try_from(examples()).unwrap().map(|example| node.here(&example));
    let mut writer = node.line.relay.command("sh");
    writer.arg("-c").arg(&loops);
    let _writer = Process::start("writer", writer).unwrap();
    let file: PathBuf = node.folder.file("weight");
    let deadline = Deadline::after(SOON);
    while fs::read_to_string(&file).ok().as_deref() != Some("0\n") {
        assert!(!deadline.passed(), "nothing is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    let globals = script.split_inclusive('}').next().unwrap();
    let keepalived = node.keepalived(&format!("{globals}\n{weight}"));
    keepalived.wait_for(MASTER, SOON).unwrap();
    node.mcr(&["relay", "add", "sport-2", "--in", "in0/239.1.1.2:5000", "--out", "gone0/239.2.1.2:5001"]);
    keepalived.wait_for("Changing effective priority from 200 to 150", SOON).unwrap();
    node.mcr(&["relay", "rm", "sport-2"]);
    keepalived.wait_for("Changing effective priority from 150 to 200", SOON).unwrap();
    node.kill_control();
    node.kill_lanes();
    keepalived.wait_for(FAULT, SOON).unwrap();
}
