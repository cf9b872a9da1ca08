//! The steps of deploy/mcr.service, by its user and with its rights, as far as they go without systemd.

use crate::line::{Folder, Line, ONE, printed};
use bench::Process;
use bench::clock::{Deadline, monotonic_ns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// This machine need not have a user for mcr. Lanes are nobody here, which each machine has.
const USER: u32 = 64_001;
/// A group that the user is in besides its own.
const GROUP: u32 = 64_002;
const NOBODY: u32 = 65_534;
const SOON: Duration = Duration::from_secs(20);
/// Where the unit finds mcr.
const INSTALLED: &str = "/usr/local/bin/mcr";

fn unit() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mcr.service")).unwrap()
}

/// What the unit says of a key, line by line.
fn values<'a>(unit: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    unit.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix('='))
}

/// A node that the unit would run.
struct Installed {
    line: Line,
    folder: Folder,
    systemd: UnixDatagram,
    /// What is done to /proc before anything is started.
    proc: String,
}

impl Installed {
    fn new(name: &str) -> Self {
        let (line, folder) = (Line::new(), Folder::new(name));
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        fs::copy(bench::relay::binary(), folder.file("mcr")).unwrap();
        for own in ["run", "state"] {
            fs::create_dir(folder.file(own)).unwrap();
            chown(folder.file(own), Some(USER), Some(USER)).unwrap();
        }
        fs::write(folder.file("relay.toml"), ONE).unwrap();
        let systemd = UnixDatagram::bind(folder.file("notify")).unwrap();
        fs::set_permissions(folder.file("notify"), PermissionsExt::from_mode(0o777)).unwrap();
        systemd.set_read_timeout(Some(SOON)).unwrap();
        // What systemd makes of the word that the unit has.
        let proc = match values(&unit(), "ProtectProc").next() {
            Some(hidden) if hidden != "default" => proc_that_is(hidden),
            _ => String::new(),
        };
        Self { line, folder, systemd, proc }
    }

    /// A command as the unit would start it: its user, its rights, nothing more to be gained.
    fn command(&self, before: &[&str], arguments: &[&str]) -> Command {
        let unit = unit();
        let rights = values(&unit, "AmbientCapabilities").next().unwrap();
        let only = |sign: &str| -> String {
            rights
                .split(' ')
                .map(|right| format!(",{sign}{}", right.trim_start_matches("CAP_").to_lowercase()))
                .collect()
        };
        let [ambient, bounding] = [only("+"), only("+")];
        let mut command = self.line.relay.command("unshare");
        command.args(["--mount", "sh", "-c", &format!("{}exec \"$@\"", self.proc), "sh", "setpriv"]);
        command.args([format!("--reuid={USER}"), format!("--regid={USER}"), format!("--groups={GROUP}")]);
        command.arg("--no-new-privs");
        command.arg(format!("--inh-caps=-all{ambient}")).arg(format!("--ambient-caps=-all{ambient}"));
        command.arg(format!("--bounding-set=-all{bounding}")).args(before).arg(self.folder.file("mcr")).args(arguments);
        command.env("NOTIFY_SOCKET", self.folder.file("notify")).env("WATCHDOG_USEC", "15000000");
        // Standard error leads elsewhere than to the journal that started it: lines are written there, as everywhere else.
        command.env("JOURNAL_STREAM", "9:1");
        command
    }

    fn start(&self, before: &[&str]) -> Process {
        let [run, state, file] =
            ["run", "state", "relay.toml"].map(|name| self.folder.file(name).display().to_string());
        let run = ["run", "--run-dir", &run, "--state-dir", &state, "--config", &file];
        Process::start("mcr", self.command(before, &run)).unwrap()
    }

    /// Runs a command of the unit to its end.
    fn done(&self, arguments: &[&str]) -> String {
        let socket = self.folder.file("run").join("mcr.sock");
        printed(self.command(&[], arguments).env("MCR_SOCKET", socket))
    }

    /// The last command that the unit has for this, with its binary here in the place of the installed one.
    fn of_unit(&self, key: &str) -> Command {
        let unit = unit();
        let line = values(&unit, key).last().unwrap();
        let arguments: Vec<&str> =
            line.strip_prefix(INSTALLED).unwrap_or_else(|| panic!("{line}")).split_whitespace().collect();
        let mut command = self.command(&[], &arguments);
        command.env("MCR_SOCKET", self.folder.file("run").join("mcr.sock"));
        command
    }

    /// Waits until systemd is told that.
    fn wait_for(&self, state: &str) {
        self.wait_until(state, |said| said == state);
    }

    fn wait_until(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let mut said = [0; 1024];
        loop {
            let length = self.systemd.recv(&mut said).unwrap_or_else(|error| panic!("{what} is not told: {error}"));
            if is_it(std::str::from_utf8(&said[..length]).unwrap()) {
                return;
            }
        }
    }

    /// Holds the only lane still. It hangs, and is ended.
    fn hang_the_lane(&self, control: &Process) {
        let (lane, mark) = (self.lane(), control.mark());
        kill(Pid::from_raw(lane.cast_signed()), Signal::SIGSTOP).unwrap();
        control.wait_for_after(mark, "lane 0 hangs: it is ended", SOON).unwrap();
        control.wait_for_after(mark, "lane died: it is started again (lane 0, signal 9", SOON).unwrap();
        assert_ne!(self.lane(), lane);
    }

    /// The process of the only lane, as status has it.
    fn lane(&self) -> u32 {
        let status: serde_json::Value = serde_json::from_str(&self.done(&["status", "--json"])).unwrap();
        status["lanes"][0]["pid"].as_u64().unwrap().try_into().unwrap()
    }

    fn lanes(&self) -> Vec<PathBuf> {
        let doors = fs::read_dir(self.folder.file("run")).unwrap().map(|entry| entry.unwrap().path());
        doors.filter(|path| path.extension().is_some_and(|extension| extension == "door")).collect()
    }
}

fn proc_that_is(hidden: &str) -> String {
    format!("mount -t proc -o hidepid={hidden} proc /proc && ")
}

/// Users, groups, and groups besides of a process.
fn ids(pid: u32) -> [String; 3] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let words = |key| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().split_whitespace();
    ["Uid:", "Gid:", "Groups:"].map(|key| words(key).collect::<Vec<_>>().join(" "))
}

/// Where processes are hidden from control, a lane that hangs is found all the same.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_hangs_is_ended_where_processes_are_hidden() {
    let node = Installed { proc: proc_that_is("invisible"), ..Installed::new("hidden") };
    let mut control = node.start(&[]);
    node.wait_for("READY=1");
    node.hang_the_lane(&control);
    let run = node.folder.file("run").display().to_string();
    printed(&mut node.command(&[], &["stop", "--run-dir", &run]));
    assert!(control.wait(SOON).unwrap().success());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_steps_of_the_unit_work_with_its_user_and_its_rights() {
    let node = Installed::new("unit");
    let mut control = node.start(&[]);
    node.wait_for("READY=1");
    node.wait_for("STATUS=0 of 1 relays flow (1 silent); 1 lane");
    node.wait_for("WATCHDOG=1");
    let status = node.done(&["status"]);
    assert!(status.contains("users   control 64001, lanes nobody\n"), "{status}");
    let rights = "rights  bpf, ipc_lock, kill, net_admin, net_raw, perfmon, setgid, setuid\n";
    assert!(status.contains(rights), "{status}");
    let four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
    assert_eq!(ids(control.pid()), [four(USER), four(USER), GROUP.to_string()]);
    assert_eq!(ids(node.lane()), [four(NOBODY), four(NOBODY), String::new()]);
    // Before a lane hangs: a fault is held down for a while.
    assert!(node.done(&["health"]).contains("ok"));
    node.hang_the_lane(&control);
    assert_eq!(ids(node.lane()), [four(NOBODY), four(NOBODY), String::new()]);
    node.done(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);

    // ExecReload. What it says on standard error is what `systemctl reload` fails with.
    let reload = |text: &str| {
        fs::write(node.folder.file("relay.toml"), text).unwrap();
        let output = node.of_unit("ExecReload").output().unwrap();
        node.wait_until("RELOADING=1", |said| {
            let since = said.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|since| since.parse::<u64>().ok());
            since.is_some_and(|since| since > 0 && since <= monotonic_ns() / 1000)
        });
        node.wait_for("READY=1");
        output
    };
    let mark = control.mark();
    let reloaded = reload(&ONE.replace("port = 5001", "port = 5009"));
    assert!(reloaded.status.success(), "{reloaded:?}");
    control.wait_for_after(mark, "relay \"one\" has changed", SOON).unwrap();
    let refused = reload(&ONE.replace("port = 5001", "port = 500x"));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("relay.toml"), "{refused:?}");
    assert!(reload(ONE).status.success());

    // A crash: KillMode=process leaves lanes alone, Restart=always starts the next control.
    control.signal(Signal::SIGKILL).unwrap();
    control.wait(SOON).unwrap();
    assert_eq!(node.lanes().len(), 1);
    let mut next = node.start(&[]);
    node.wait_for("READY=1");
    // systemd is told through another socket than the log: the line may still be on its way.
    next.wait_for("took over the lanes", SOON).unwrap();
    assert!(node.done(&["relay", "ls"]).contains("two"));

    // The drop-in's ExecReload: the binary that lies there.
    let binary = node.folder.file("mcr").display().to_string();
    node.done(&["upgrade", &binary]);
    node.wait_for("READY=1");
    node.wait_for("WATCHDOG=1");
    assert_eq!(ids(node.lane()), [four(NOBODY), four(NOBODY), String::new()], "after the upgrade");

    // ExecStop.
    let run = node.folder.file("run").display().to_string();
    printed(&mut node.command(&[], &["stop", "--run-dir", &run]));
    assert!(next.wait(SOON).unwrap().success());
    let deadline = Deadline::after(SOON);
    while !node.lanes().is_empty() {
        assert!(!deadline.passed(), "{:?} stay behind", node.lanes());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The system calls of a group of systemd's, those of its own groups too.
fn group(name: &str, calls: &mut BTreeSet<String>) {
    let listed = printed(Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", name]));
    for word in listed.lines().filter_map(|line| line.strip_prefix("    ")).filter(|word| !word.starts_with('#')) {
        match word.starts_with('@') {
            true => group(word, calls),
            false => _ = calls.insert(word.to_owned()),
        }
    }
}

/// What the unit's filter lets through.
fn let_through(unit: &str) -> BTreeSet<String> {
    let mut through = BTreeSet::new();
    for line in values(unit, "SystemCallFilter") {
        let mut named = BTreeSet::new();
        for word in line.trim_start_matches('~').split(' ') {
            match word.starts_with('@') {
                true => group(word, &mut named),
                false => _ = named.insert(word.to_owned()),
            }
        }
        match line.starts_with('~') {
            true => through.retain(|call| !named.contains(call)),
            false => through.extend(named),
        }
    }
    through
}

/// Everything that control and lane ask of the kernel, from the start over a change and an upgrade to the end, passes the
/// unit's filter.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_unit_lets_every_system_call_through_that_is_made() -> io::Result<()> {
    let node = Installed::new("calls");
    let trace = node.folder.file("trace");
    fs::write(&trace, "")?;
    chown(&trace, Some(USER), Some(USER))?;
    let mut traced = node.start(&["strace", "-f", "-qq", "-o", trace.to_str().unwrap()]);
    node.wait_for("READY=1");
    node.done(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/10.2.0.9:5001"]);
    node.done(&["relay", "rm", "two"]);
    let _dark =
        node.command(&[], &["why", "one"]).env("MCR_SOCKET", node.folder.file("run").join("mcr.sock")).output()?;
    let run = node.folder.file("run").display().to_string();
    printed(&mut node.command(&[], &["stop", "--run-dir", &run]));
    traced.wait(SOON).unwrap();

    let name = |line: &str| -> Option<String> {
        let call = line.split_whitespace().nth(1)?.split('(').next()?;
        call.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_').then(|| call.to_owned())
    };
    let trace = fs::read_to_string(trace)?;
    let made: BTreeSet<String> = trace.lines().filter(|line| line.contains('(')).filter_map(name).collect();
    assert!(made.contains("bpf") && made.contains("recvmsg") && made.len() > 40, "{made:?}");
    let through = let_through(&unit());
    let stopped: Vec<&String> = made.difference(&through).collect();
    assert!(stopped.is_empty(), "the unit's filter stops {stopped:?}");
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_unit_is_locked_up_as_far_as_it_can_be() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/mcr.service");
    let security = ["security", "--offline=true", "--no-pager", "--threshold=28"];
    let said = printed(Command::new("systemd-analyze").args(security).arg(unit));
    assert!(said.contains("Overall exposure level"), "{said}");
}

/// A key that systemd does not know is passed over with a warning that nobody reads.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn systemd_knows_every_key_of_the_unit() {
    let folder = Folder::new("verify");
    // It wants to see what is to be started; that is not installed here.
    let mcr = bench::relay::binary().display().to_string();
    for (name, text) in [("mcr.service", unit()), ("wrong.service", unit().replace("LimitCORE=", "LimitCor="))] {
        fs::write(folder.file(name), text.replace(INSTALLED, &mcr)).unwrap();
        let said =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(folder.file(name)).output().unwrap();
        let warnings = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{said:?}");
        assert_eq!(warnings.contains("LimitCor"), name == "wrong.service", "{warnings}");
        assert_eq!(warnings.is_empty(), name == "mcr.service", "{warnings}");
    }
}
