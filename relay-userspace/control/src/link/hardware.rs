//! Where a link's hardware sits: its NUMA node, the cores near it, its interrupts.
//!
//! It is found by the bus address that the driver tells, not by the link's name: what `/sys/class/net` shows belongs to
//! the network namespace that mounted it, which need not be ours.

use serde::Serialize;
use std::fs;
use std::path::Path;

/// A link's hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// Its NUMA node; `None` where the machine does not tell, as most with a single node.
    pub numa_node: Option<u32>,
    /// The cores of that node.
    pub near: Cores,
    /// Its interrupts that are in use, by number.
    pub interrupts: Vec<Interrupt>,
}

/// One interrupt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interrupt {
    /// Its number.
    pub number: u32,
    /// What the driver calls it.
    pub name: String,
    /// The cores that it goes to now.
    pub cores: Cores,
}

/// Cores as the kernel lists them, such as `0-3,8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cores(pub String);

impl Cores {
    /// Whether a core is one of them.
    #[must_use]
    pub fn has(&self, core: u32) -> bool {
        self.0.split(',').any(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&core))
        })
    }
}

/// The hardware at a bus address, such as `0000:01:00.0`; `None` for what is not on PCI.
#[must_use]
pub fn at(bus: &str) -> Option<Hardware> {
    read(Path::new("/"), bus)
}

fn read(root: &Path, bus: &str) -> Option<Hardware> {
    if bus.is_empty() || bus.contains('/') {
        return None;
    }
    let device = root.join("sys/bus/pci/devices").join(bus);
    let near = Cores(text(&device.join("local_cpulist"))?);
    // -1 where the firmware does not say.
    let numa_node = text(&device.join("numa_node")).and_then(|node| node.parse().ok());
    let mut interrupts: Vec<Interrupt> =
        names(&device.join("msi_irqs")).iter().filter_map(|number| interrupt(root, number)).collect();
    interrupts.sort_by_key(|interrupt| interrupt.number);
    Some(Hardware { numa_node, near, interrupts })
}

/// An interrupt that a driver has asked for: only then it has a folder with the driver's name of it.
fn interrupt(root: &Path, number: &str) -> Option<Interrupt> {
    let folder = root.join("proc/irq").join(number);
    let name = names(&folder).into_iter().find(|name| folder.join(name).is_dir())?;
    let cores = text(&folder.join("effective_affinity_list")).or_else(|| text(&folder.join("smp_affinity_list")))?;
    Some(Interrupt { number: number.parse().ok()?, name, cores: Cores(cores) })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// What a file says; `None` when it says nothing.
fn text(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
