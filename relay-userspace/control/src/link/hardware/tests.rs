//! Hardware as the kernel shows it, in files of our own.

use super::*;
use std::path::PathBuf;

/// A folder that stands for `/` and is gone when the test is over.
struct Root(PathBuf);

impl Root {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = Self(std::env::temp_dir().join(format!("mcr-hardware-{}-{name}", std::process::id())));
        for (file, text) in files {
            let path = root.0.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn cores_are_single_ones_and_ranges() {
    let cores = Cores("0-3,8,10-11".into());
    let there: Vec<u32> = (0..13).filter(|core| cores.has(*core)).collect();
    assert_eq!(there, [0, 1, 2, 3, 8, 10, 11]);
    assert!(!Cores::default().has(0));
}

#[test]
fn a_card_has_a_node_and_the_interrupts_that_are_in_use() {
    let root = Root::new(
        "card",
        &[
            ("sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n"),
            ("sys/bus/pci/devices/0000:01:00.0/local_cpulist", "8-15\n"),
            ("sys/bus/pci/devices/0000:01:00.0/msi_irqs/130", "msix\n"),
            ("sys/bus/pci/devices/0000:01:00.0/msi_irqs/31", "msix\n"),
            ("sys/bus/pci/devices/0000:01:00.0/msi_irqs/131", "msix\n"),
            ("proc/irq/31/effective_affinity_list", "9\n"),
            ("proc/irq/31/ice-ens1f0-TxRx-0/nothing", ""),
            ("proc/irq/130/effective_affinity_list", "\n"),
            ("proc/irq/130/smp_affinity_list", "8-9\n"),
            ("proc/irq/130/ice-ens1f0-TxRx-1/nothing", ""),
            ("proc/irq/131/effective_affinity_list", "8\n"),
        ],
    );
    let hardware = read(&root.0, "0000:01:00.0").unwrap();
    assert_eq!((hardware.numa_node, hardware.near), (Some(1), Cores("8-15".into())));
    let told: Vec<_> = hardware.interrupts.iter().map(|i| (i.number, i.name.as_str(), i.cores.0.as_str())).collect();
    assert_eq!(told, [(31, "ice-ens1f0-TxRx-0", "9"), (130, "ice-ens1f0-TxRx-1", "8-9")], "131 has no handler");
}

#[test]
fn a_machine_with_one_node_tells_none() {
    let files = [
        ("sys/bus/pci/devices/0000:00:03.0/numa_node", "-1"),
        ("sys/bus/pci/devices/0000:00:03.0/local_cpulist", "0-1"),
    ];
    let root = Root::new("one", &files);
    let hardware = read(&root.0, "0000:00:03.0").unwrap();
    assert_eq!(hardware, Hardware { numa_node: None, near: Cores("0-1".into()), interrupts: Vec::new() });
}

#[test]
fn what_is_not_on_pci_has_none() {
    let root = Root::new("none", &[]);
    for bus in ["", "usb-0000:00:14.0-2", "../0000:00:03.0"] {
        assert_eq!(read(&root.0, bus), None, "{bus}");
    }
}
