//! What it ran on.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::results::Machine;

const UNKNOWN: &str = "unknown";

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let processor = read("/proc/cpuinfo");
        let memory = value(&read("/proc/meminfo"), "MemTotal:").split(' ').next().and_then(|kib| kib.parse().ok());
        let system = read("/etc/os-release");
        Self {
            processor: value(&processor, "model name\t:").to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory.unwrap_or(0_u64) >> 10,
            is_virtual: value(&processor, "flags\t\t:").split(' ').any(|flag| flag == "hypervisor"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            mitigations: mitigations(),
            system: value(&system, "PRETTY_NAME=").trim_matches('"').to_owned(),
            rust: first_line(Command::new("rustc").arg("--version")),
        }
    }
}

/// The commit in this folder, with `+` when files were changed.
pub fn commit(root: &Path) -> String {
    first_line(Command::new("git").arg("-C").arg(root).args(["describe", "--always", "--abbrev=10", "--dirty=+"]))
}

/// Today, as `2026-11-21`.
pub fn today() -> String {
    first_line(Command::new("date").args(["-u", "+%F"]))
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or(UNKNOWN).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)).map_or(UNKNOWN, str::trim)
}

/// The faults that the kernel works around.
fn mitigations() -> String {
    let Ok(folder) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else { return UNKNOWN.to_owned() };
    let mut names: Vec<String> = folder
        .flatten()
        .filter(|file| fs::read_to_string(file.path()).is_ok_and(|text| text.starts_with("Mitigation")))
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
