//! Network namespaces that vanish with their maker.
//!
//! A namespace is named `PREFIX-PID-N` and is visible to `ip netns`. It is removed on drop, and so after a panic too.
//! After `kill -9` of the maker either its [`Reaper`] removes it, or the next [`sweep`] does.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::links::ip;

const NAMED_NAMESPACES: &str = "/run/netns";

/// Settings each namespace starts with: no reverse-path check in the sockets' way, no address that is tentative for a
/// second, and room for as many groups as a test wants.
const SYSCTLS: [(&str, &str); 7] = [
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/igmp_max_memberships", "4096"),
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A named network namespace of this process; removed, with all processes in it, on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
}

impl Namespace {
    /// Makes a namespace whose name starts with `prefix`, with `lo` up.
    pub fn new(prefix: &str) -> Result<Self> {
        let name = format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name])?;
        let path = Path::new(NAMED_NAMESPACES).join(&name);
        let handle = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let namespace = Self { name, handle };
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        for (key, value) in SYSCTLS {
            namespace.sysctl(key, value)?;
        }
        Ok(namespace)
    }

    /// The name that `ip netns` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in a thread inside the namespace and waits for it. Sockets made there stay in the namespace
    /// wherever they are used later.
    ///
    /// Do not start a [`Process`](crate::Process) in it: such children die with the thread that started them.
    ///
    /// # Panics
    /// When the namespace cannot be entered (no CAP_SYS_ADMIN), and when `work` panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let result = thread::scope(|scope| {
            let inside = || {
                self.enter();
                work()
            };
            scope.spawn(inside).join()
        });
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Starts a thread called `name` that lives inside the namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let inside = Self { name: String::new(), handle: self.handle.try_clone()? };
        let thread = thread::Builder::new().name(name.to_owned());
        Ok(thread.spawn(move || {
            inside.enter();
            drop(inside);
            work()
        })?)
    }

    /// A command that will run inside the namespace, with a /sys and a mount namespace of its own. Its pid is the
    /// program's own.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Sets a sysctl of the namespace, for example `net/ipv4/igmp_max_memberships`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.run(|| fs::write(&path, value)).with_context(|| format!("write {value} to {}", path.display()))
    }

    /// The index of an interface in the namespace.
    pub fn index(&self, interface: &str) -> Result<u32> {
        let index = self.run(|| nix::net::if_::if_nametoindex(interface));
        index.with_context(|| format!("no interface {interface} in namespace {}", self.name))
    }

    /// Lets the namespace live on after this process, and returns its name: `ip netns del NAME` removes it.
    pub fn keep(mut self) -> String {
        std::mem::take(&mut self.name)
    }

    fn enter(&self) {
        if let Err(error) = setns(&self.handle, CloneFlags::CLONE_NEWNET) {
            panic!("cannot enter namespace {}: {error}; run as root", self.name);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // One that is kept, or only carries the handle into a thread, has no name and owns nothing.
        if !self.name.is_empty()
            && let Err(error) = remove(&self.name)
        {
            eprintln!("namespace {} was left behind: {error:#}", self.name);
        }
    }
}

/// Removes the namespaces named `PREFIX-PID-N` whose maker is dead, and returns their names.
pub fn sweep(prefix: &str) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    let Ok(entries) = fs::read_dir(NAMED_NAMESPACES) else { return Ok(removed) };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(pid) = maker(&name, prefix) else { continue };
        if !Path::new("/proc").join(pid.to_string()).exists() {
            remove(&name)?;
            removed.push(name);
        }
    }
    Ok(removed)
}

/// The pid in a name of the form `PREFIX-PID-N`.
fn maker(name: &str, prefix: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(prefix)?.strip_prefix('-')?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

fn remove(name: &str) -> Result<()> {
    // Whoever still runs inside (a program that its maker did not end) would keep the namespace alive without a name.
    for pid in ip(&["netns", "pids", name])?.split_whitespace() {
        let pid: i32 = pid.parse().context("read `ip netns pids`")?;
        if u32::try_from(pid) != Ok(std::process::id()) {
            // It may be gone by now, which is what we want.
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
    ip(&["netns", "del", name]).map(drop)
}

/// A child that cleans up when this process ends in any way, `kill -9` included: it waits for the end of a pipe.
#[derive(Debug)]
pub struct Reaper {
    child: Child,
    pipe: Option<ChildStdin>,
}

/// Keys on the terminal reach the whole process group; the reaper stays until its pipe ends.
const REAPER: &str = r#"
trap "" INT TERM HUP
while read -r kind name; do
    case $kind in
        netns) namespaces="$namespaces $name" ;;
        directory) directory=$name ;;
        file) content=${name%% *} file=${name#* } ;;
    esac
done
for namespace in $namespaces; do
    [ -e "/run/netns/$namespace" ] || continue
    for pid in $(ip netns pids "$namespace"); do kill -9 "$pid"; done
    ip netns del "$namespace"
done
[ -z "$directory" ] || rm -rf -- "$directory"
[ -z "$file" ] || echo "$content" > "$file"
"#;

impl Reaper {
    /// Starts the child.
    pub fn start() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", REAPER]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn().context("start sh as the reaper")?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Has `namespace` removed when this process is gone.
    pub fn guard(&mut self, namespace: &Namespace) -> Result<()> {
        self.write(&format!("netns {}", namespace.name()))
    }

    /// Has `directory` removed when this process is gone; the last one named counts.
    pub fn guard_directory(&mut self, directory: &Path) -> Result<()> {
        let directory: PathBuf = fs::canonicalize(directory)?;
        self.write(&format!("directory {}", directory.display()))
    }

    /// Has `file` hold this word again when this process, or this value, is gone; the last one named counts.
    pub fn put_back(&mut self, word: &str, file: &str) -> Result<()> {
        self.write(&format!("file {word} {file}"))
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let Some(pipe) = &mut self.pipe else { bail!("the reaper has no pipe") };
        writeln!(pipe, "{line}").context("tell the reaper")
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.pipe.take());
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::maker;

    #[test]
    fn the_maker_is_read_from_names_of_the_prefix_only() {
        assert_eq!(maker("lab-123-4", "lab"), Some(123));
        assert_eq!(maker("lab-relay-123-4", "lab-relay"), Some(123));
        assert_eq!(maker("lab-relay-123-4", "lab"), None);
        assert_eq!(maker("labour-123-4", "lab"), None);
        assert_eq!(maker("lab-123", "lab"), None);
    }
}
