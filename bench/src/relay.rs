//! The relay under test, with a configuration of its own: started, waited for, ended, and its counters read.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::clock::Deadline;
use crate::{Namespace, Process};

/// The relay is ready so fast, with slack for a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// The line that says so; the links have lines of their own that say "ready".
const READY: &str = " ready relays=";
const STOPS_WITHIN: Duration = Duration::from_secs(10);
/// The network namespace of the thread that looks.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// The relay's binary: the one named by the variable `MCR`, or else the release build.
pub fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/mcr");
    env::var_os("MCR").map_or(built, PathBuf::from)
}

/// A running relay. It ends when this is dropped, its folder with it; lanes that have lost their control too.
#[derive(Debug)]
pub struct Relay {
    /// The control process.
    pub process: Process,
    /// The number of its network namespace.
    namespace: u64,
    folder: Folder,
}

/// A new folder for temporary files; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed lies in the folder for temporary files and hurts nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    /// Makes it.
    pub(crate) fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("mcr-lab-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Relay {
    /// Starts the relay in a namespace with this configuration and waits until it says that it is ready.
    pub fn start(namespace: &Namespace, config: &str) -> Result<Self> {
        let relay = Self::launch(&binary(), namespace, config, &[])?;
        relay.wait_until_ready()?;
        Ok(relay)
    }

    /// Starts this binary of the relay, with these variables in its environment, and does not wait.
    pub fn launch(binary: &Path, namespace: &Namespace, config: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = Folder::new()?;
        let file = folder.0.join("relay.toml");
        fs::write(&file, config).with_context(|| format!("write {}", file.display()))?;
        let process = spawn(binary, namespace, &folder, env)?;
        let own = namespace.run(|| fs::metadata(OWN_NAMESPACE)).context("tell the network namespace")?;
        Ok(Self { process, namespace: own.ino(), folder })
    }

    /// Starts another control with this one's configuration and folder, and does not wait. Put in the place of
    /// `process` it is this relay, started again.
    pub fn another(&self, binary: &Path, namespace: &Namespace) -> Result<Process> {
        self.another_with(binary, namespace, &[])
    }

    /// The same with these variables in its environment.
    pub fn another_with(&self, binary: &Path, namespace: &Namespace, env: &[(&str, &str)]) -> Result<Process> {
        spawn(binary, namespace, &self.folder, env)
    }

    /// Waits until packets flow, and returns the line that says so.
    pub fn wait_until_ready(&self) -> Result<String> {
        self.process.wait_for(READY, READY_WITHIN)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.0.join("relay.toml")
    }

    /// The folder of its lock and its lanes' doors.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The process of each lane, by number, whoever is its parent.
    pub fn lanes(&self) -> Vec<u32> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut lanes: Vec<(u32, u32)> = pids.filter_map(|pid| Some((self.lane(pid)?, pid))).collect();
        lanes.sort_unstable();
        lanes.into_iter().map(|(_, pid)| pid).collect()
    }

    /// The number of the lane that this process is, if it is one of this relay's namespace and no zombie.
    fn lane(&self, pid: u32) -> Option<u32> {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let number = name.strip_prefix("mcr-lane-")?.trim_end().parse().ok()?;
        // That of a zombie cannot be read.
        (fs::metadata(format!("/proc/{pid}/ns/net")).ok()?.ino() == self.namespace).then_some(number)
    }

    /// Ends the relay in order and returns the counters that it prints.
    pub fn stop(mut self) -> Result<Report> {
        self.process.stop(STOPS_WITHIN)?;
        let lines = self.process.lines();
        let json = lines.iter().rev().find(|line| line.starts_with('{')).context("mcr printed no counters")?;
        Ok(Report(serde_json::from_str(json).context("mcr's counters are no JSON")?))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let ended = self.process.is_running().and_then(|running| {
            if running {
                self.process.signal(Signal::SIGTERM)?;
                self.process.wait(STOPS_WITHIN)?;
            }
            Ok(())
        });
        if let Err(error) = ended {
            eprintln!("a relay did not end in order: {error:#}");
            // Before its lanes: it would start others.
            self.process.signal(Signal::SIGKILL).and_then(|()| self.process.wait(STOPS_WITHIN).map(drop)).ok();
        }
        for pid in self.lanes() {
            let pid = i32::try_from(pid).map(Pid::from_raw);
            // It may have ended by now.
            let _ = pid.map(|pid| kill(pid, Signal::SIGKILL));
        }
        let deadline = Deadline::after(STOPS_WITHIN);
        while !self.lanes().is_empty() && !deadline.passed() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn spawn(binary: &Path, namespace: &Namespace, folder: &Folder, env: &[(&str, &str)]) -> Result<Process> {
    let mut command = namespace.command(binary);
    command.arg("run").arg("--json").arg("--run-dir").arg(&folder.0).arg("--config").arg(folder.0.join("relay.toml"));
    command.arg("--state-dir").arg(&folder.0);
    command.envs(env.iter().copied());
    Process::start("mcr", command)
}

/// What the relay counted, as it prints it.
#[derive(Clone, Debug)]
pub struct Report(pub Value);

impl Report {
    fn relay(&self, name: &str) -> Option<&Value> {
        self.0["relays"].as_array()?.iter().find(|relay| relay["name"] == name)
    }

    /// Packets that came in for a relay.
    pub fn received(&self, relay: &str) -> u64 {
        self.relay(relay).map_or(0, |relay| number(&relay["packets"]))
    }

    /// Packets that one of its outputs sent.
    pub fn sent(&self, relay: &str, output: usize) -> u64 {
        self.relay(relay).map_or(0, |relay| number(&relay["outputs"][output]["packets"]))
    }

    /// Packets that one of its outputs did not send, for that reason.
    pub fn output_dropped(&self, relay: &str, output: usize, reason: &str) -> u64 {
        self.relay(relay).map_or(0, |relay| number(&relay["outputs"][output]["drops"][reason]))
    }

    /// Packets that a relay dropped whole, for that reason.
    pub fn relay_dropped(&self, relay: &str, reason: &str) -> u64 {
        self.relay(relay).map_or(0, |relay| number(&relay["drops"][reason]))
    }

    /// Packets that belong to no relay, dropped for that reason.
    pub fn dropped(&self, reason: &str) -> u64 {
        number(&self.0["drops"][reason])
    }

    /// Packets that are missing behind the outputs of all relays, by reason; each relay has `outputs` of them, so that a
    /// packet that was dropped whole counts so often.
    pub fn all_dropped(&self, outputs: u64) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        let mut add = |drops: &Value, weight: u64| {
            for (reason, packets) in drops.as_object().into_iter().flatten() {
                // These are of one output each.
                let weight = if reason == "stale" { 1 } else { weight };
                *all.entry(reason.clone()).or_default() += number(packets) * weight;
            }
        };
        add(&self.0["drops"], outputs);
        for relay in self.0["relays"].as_array().into_iter().flatten() {
            add(&relay["drops"], outputs);
            relay["outputs"].as_array().into_iter().flatten().for_each(|output| add(&output["drops"], 1));
        }
        all
    }

    /// How often the XDP program came to that verdict.
    pub fn verdict(&self, verdict: &str) -> u64 {
        number(&self.0["verdicts"][verdict])
    }

    /// A counter, over all lanes.
    pub fn lanes(&self, counter: &str) -> u64 {
        let lanes = self.0["lanes"].as_array().into_iter().flatten();
        lanes.map(|lane| number(&lane["counters"][counter])).sum()
    }

    /// How many frames were with that owner in the end (`free`, `fill`, `transmit`, `lost`), over all lanes.
    pub fn frames(&self, owner: &str) -> u64 {
        self.0["lanes"].as_array().into_iter().flatten().map(|lane| number(&lane["owners"][owner])).sum()
    }

    /// How often lanes were started again.
    pub fn restarts(&self) -> u64 {
        self.0["lanes"].as_array().into_iter().flatten().map(|lane| number(&lane["restarts"])).sum()
    }

    /// What the kernel counted under that name, over all sockets.
    pub fn sockets(&self, name: &str) -> u64 {
        self.0["sockets"].as_array().into_iter().flatten().map(|socket| number(&socket[name])).sum()
    }

    /// Every packet that was lost before a lane saw it, or after: each has a name.
    pub fn lost_around_lanes(&self) -> u64 {
        let sockets = ["rx_dropped", "rx_ring_full"].map(|name| self.sockets(name));
        sockets.iter().sum::<u64>() + self.lanes("kick_busy")
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
