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

    /// The processor's name without what says nothing.
    #[must_use]
    pub fn processor_in_short(&self) -> String {
        const NOTHING: [&str; 3] = ["Processor", "CPU", "processor"];
        let name = self.processor.split('@').next().unwrap_or_default();
        let name = ["(R)", "(r)", "(TM)", "(tm)"].iter().fold(name.to_owned(), |name, mark| name.replace(mark, ""));
        let words: Vec<&str> = name.split_whitespace().filter(|word| !NOTHING.contains(word)).collect();
        if words.is_empty() { UNKNOWN.to_owned() } else { words.join(" ") }
    }

    /// What files about this processor are called.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let name = self.processor_in_short().to_lowercase();
        let parts = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        let stem = parts.collect::<Vec<_>>().join("-");
        if stem.is_empty() { UNKNOWN.to_owned() } else { stem }
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

#[cfg(test)]
mod tests {
    use crate::measure::fixture;
    use crate::measure::results::Machine;

    #[test]
    fn files_are_called_after_the_processor_and_stay_where_they_belong() {
        for (processor, short, stem) in [
            ("AMD EPYC", "AMD EPYC", "amd-epyc"),
            ("AMD EPYC 7R13 Processor", "AMD EPYC 7R13", "amd-epyc-7r13"),
            ("Intel(R) Xeon(R) Processor @ 2.60GHz", "Intel Xeon", "intel-xeon"),
            ("Intel(R) Xeon(R) Platinum 8488C", "Intel Xeon Platinum 8488C", "intel-xeon-platinum-8488c"),
            ("../../etc", "../../etc", "etc"),
            ("Processor", "unknown", "unknown"),
            ("", "unknown", "unknown"),
        ] {
            let machine = Machine { processor: processor.to_owned(), ..fixture::results().machine };
            assert_eq!((machine.processor_in_short().as_str(), machine.file_stem().as_str()), (short, stem));
        }
    }
}
