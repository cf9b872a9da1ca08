//! A booted systemd in a network namespace, with mcr installed in it as docs/operating.md says.

use crate::stage::wait_until;
use bench::clock::Deadline;
use bench::{Namespace, Process};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A container boots in a second; with slack for a busy machine.
const BOOTS_WITHIN: Duration = Duration::from_secs(60);
/// A container that is switched off by force is gone at once.
const GOES_WITHIN: Duration = Duration::from_secs(20);
/// What a container may do beyond the usual: as much as the unit asks for.
const RIGHTS: &str = "CAP_NET_ADMIN,CAP_NET_RAW,CAP_BPF,CAP_PERFMON,CAP_IPC_LOCK";
const CALLS: &str = "bpf perf_event_open";
/// nspawn ends so when the container asks to be booted again and nobody else keeps its unit.
const BOOT_AGAIN: i32 = 133;

/// Starts nspawn in a cgroup of its own, where it sees cgroups as systemd has them on Debian 12 and 13. Without, two
/// containers would take each other's units for their own.
const IN_OWN_CGROUP: &str = r#"
umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$1" && echo $$ > "/sys/fs/cgroup/$1/cgroup.procs" && shift && exec "$@"
"#;
/// Where this machine has systemd's older hierarchy too, nspawn makes the same there.
const REMOVE_CGROUP: &str = r#"
remove() { [ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} +; }
remove "/sys/fs/cgroup/systemd/$1"
umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
remove "/sys/fs/cgroup/$1"
"#;

/// A container and its files. Everything of it goes when this is dropped.
pub(crate) struct Container {
    /// Its name among cgroups, and of its folder.
    name: String,
    root: PathBuf,
    network: String,
    running: Option<Running>,
}

struct Running {
    nspawn: Process,
    /// systemd in the container.
    leader: i32,
}

/// What a command in the container said.
pub(crate) struct Said {
    pub(crate) succeeded: bool,
    pub(crate) text: String,
}

impl Container {
    /// Installs mcr with this configuration, and boots.
    pub(crate) fn boot(network: &Namespace, config: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("mcr-systemd-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(&name);
        let mut container = Self { name, root, network: network.name().to_owned(), running: None };
        container.furnish();
        container.install(config);
        container.start();
        container
    }

    /// Boots what was switched off, with the files as they were left.
    pub(crate) fn start(&mut self) {
        let usr = usr();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c", IN_OWN_CGROUP, "sh", &self.name]);
        command.args(["systemd-nspawn", "--register=no", "--keep-unit", "--link-journal=no", "--boot"]);
        command.arg(format!("--network-namespace-path=/run/netns/{}", self.network));
        command.arg(format!("--capability={RIGHTS}")).arg(format!("--system-call-filter={CALLS}"));
        command.arg(format!("--bind-ro={}:/usr", usr.display()));
        command.arg(format!("--bind={}:/usr/local", self.root.join("local").display()));
        command.arg(format!("--directory={}", self.root.display()));
        let mut nspawn = Process::start("systemd-nspawn", command).unwrap();
        let deadline = Deadline::after(BOOTS_WITHIN);
        loop {
            // nspawn has another child for a moment, in our own namespace.
            if let Some(leader) = first_child_elsewhere(nspawn.pid()) {
                self.running = Some(Running { nspawn, leader });
                break;
            }
            let is_running = nspawn.is_running().unwrap();
            assert!(is_running && !deadline.passed(), "no container: {}", nspawn.last_words());
            std::thread::sleep(Duration::from_millis(5));
        }
        while !self.run("systemctl", &["is-active", "--quiet", "multi-user.target"]).succeeded {
            assert!(!deadline.passed(), "the container does not boot: {}", self.console());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a container that was asked to boot again has gone down, and boots it.
    pub(crate) fn comes_back(&mut self) {
        let Some(mut running) = self.running.take() else { panic!("it does not run") };
        let status = running.nspawn.wait(BOOTS_WITHIN).unwrap();
        assert_eq!(
            status.code(),
            Some(BOOT_AGAIN),
            "it does not go down to boot again: {}",
            running.nspawn.last_words()
        );
        self.remove_cgroup();
        self.start();
    }

    /// Runs a command in the container.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Said {
        let Output { status, stdout, stderr } = self.command(program, arguments).output().unwrap();
        let text = [stdout, stderr].concat();
        Said { succeeded: status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    /// Runs a command in the container that must succeed, and says what it printed.
    pub(crate) fn done(&self, program: &str, arguments: &[&str]) -> String {
        let Said { succeeded, text } = self.run(program, arguments);
        assert!(succeeded, "{program} {arguments:?} failed: {text}\n{}", self.journal());
        text
    }

    /// Runs a command of systemctl for the unit.
    pub(crate) fn systemctl(&self, verb: &str) -> Said {
        self.run("systemctl", &[verb, "mcr"])
    }

    /// What systemd says of a property of the unit.
    pub(crate) fn show(&self, property: &str) -> String {
        self.done("systemctl", &["show", "--value", "--property", property, "mcr"]).trim().to_owned()
    }

    /// Waits until the unit's finer state is this one.
    pub(crate) fn wait_for_state(&self, state: &str) {
        let failure = || format!("the unit is {} and not {state}: {}", self.show("SubState"), self.journal());
        wait_until(failure, || self.show("SubState") == state);
    }

    /// Waits until systemd has started control again so often, and it is ready.
    pub(crate) fn wait_for_restarts(&self, restarts: u32) {
        let state = || (self.show("NRestarts"), self.show("SubState"));
        let wanted = (restarts.to_string(), "running".to_owned());
        wait_until(|| format!("{:?} and not {wanted:?}: {}", state(), self.journal()), || state() == wanted);
    }

    /// Has systemd send control a signal. It must not have ended.
    pub(crate) fn signal_control(&self, signal: &str) {
        self.done("systemctl", &["kill", "--kill-whom=main", "--signal", signal, "mcr"]);
    }

    /// What the unit and its processes wrote.
    pub(crate) fn journal(&self) -> String {
        self.run("journalctl", &["--no-pager", "--output=short-precise", "--lines=200", "--unit=mcr"]).text
    }

    /// The processes of the container whose names begin so.
    pub(crate) fn processes(&self, name: &str) -> Vec<i32> {
        let pids = bench::links::ip(&["netns", "pids", &self.network]).unwrap();
        let is_it = |pid: &i32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.starts_with(name)
        };
        let mut found: Vec<i32> = pids.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(is_it).collect();
        found.sort_unstable();
        found
    }

    /// The lanes, by their processes.
    pub(crate) fn lanes(&self) -> Vec<i32> {
        self.processes("mcr-lane-")
    }

    /// A file of the container while it runs, wherever it lies.
    pub(crate) fn inside(&self, path: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.running.as_ref().unwrap().leader);
        Path::new(&root).join(path.trim_start_matches('/'))
    }

    /// The numbers of a user and of its group in the container.
    pub(crate) fn ids(&self, user: &str) -> (u32, u32) {
        let users = fs::read_to_string(self.file("/etc/passwd")).unwrap();
        let line = users.lines().find(|line| line.split(':').next() == Some(user)).unwrap();
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    /// A file of the container as it is seen from here; nothing of /run, /proc, /tmp or /usr but /usr/local.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        let path = path.trim_start_matches('/');
        self.root.join(path.strip_prefix("usr/").unwrap_or(path))
    }

    /// Puts settings over those of the unit, as an administrator does.
    pub(crate) fn override_unit(&self, settings: &str) {
        let folder = self.file("/etc/systemd/system/mcr.service.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("test.conf"), settings).unwrap();
        self.done("systemctl", &["daemon-reload"]);
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let leader = self.running.as_ref().unwrap().leader.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &leader, "--", program]).args(arguments);
        command
    }

    fn console(&self) -> String {
        self.running.as_ref().map_or_else(String::new, |running| running.nspawn.last_words())
    }

    /// The folders of a system whose /usr comes from elsewhere. systemd fills the others when it boots.
    fn furnish(&self) {
        for folder in ["etc", "var", "usr", "run", "proc", "sys", "dev", "tmp", "root", "local/bin"] {
            fs::create_dir_all(self.root.join(folder)).unwrap();
        }
        for name in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), self.root.join(name)).unwrap();
        }
        fs::copy(usr().join("lib/os-release"), self.root.join("etc/os-release")).unwrap();
        // With one, this is no first boot, on which systemd would start everything that this machine has installed.
        fs::write(self.root.join("etc/machine-id"), format!("{:032x}\n", std::process::id())).unwrap();
    }

    /// What docs/operating.md says, but for the places that belong to packages: /usr is not ours.
    fn install(&self, config: &str) {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
        let files = [
            ("mcr.service", "etc/systemd/system/mcr.service"),
            ("sysusers.conf", "etc/sysusers.d/mcr.conf"),
            ("tmpfiles.conf", "etc/tmpfiles.d/mcr.conf"),
        ];
        for (from, to) in files {
            let to = self.root.join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(deploy.join(from), to).unwrap();
        }
        fs::copy(bench::relay::binary(), self.file("/usr/local/bin/mcr")).unwrap();
        fs::create_dir_all(self.root.join("etc/mcr")).unwrap();
        fs::write(self.file("/etc/mcr/relay.toml"), config).unwrap();
    }

    fn remove_cgroup(&self) {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-c", REMOVE_CGROUP, "sh", &self.name]);
        match command.output() {
            Ok(output) if output.status.success() => {}
            left => eprintln!("the cgroup {} is left over: {left:?}", self.name),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(Running { mut nspawn, leader }) = self.running.take() {
            // Everything in the container dies with its first process.
            let _ = kill(Pid::from_raw(leader), Signal::SIGKILL);
            if let Err(error) = nspawn.wait(GOES_WITHIN) {
                eprintln!("a container does not end: {error:#}");
            }
        }
        self.remove_cgroup();
        if let Err(error) = fs::remove_dir_all(&self.root) {
            eprintln!("{} is left over: {error}", self.root.display());
        }
    }
}

/// Whose systemd it is: this machine's, or that of the release named by the variable `MCR_SYSTEMD_USR`.
fn usr() -> PathBuf {
    std::env::var_os("MCR_SYSTEMD_USR").map_or_else(|| PathBuf::from("/usr"), PathBuf::from)
}

/// The child of a process that lives in another PID namespace than we do.
fn first_child_elsewhere(parent: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let own = fs::read_link("/proc/self/ns/pid").ok()?;
    let mut children = children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
    children.find(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|namespace| namespace != own))
}
