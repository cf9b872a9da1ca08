//! Whether a driver is a module of the kernel or a part of it.

use std::path::Path;

/// Whether a driver is a module. Where sysfs is not there to tell, it is taken for one: most are.
#[must_use]
pub fn is_module(driver: &str) -> bool {
    is_module_in(Path::new("/sys/module"), driver)
}

/// A module has a state; what is part of the kernel has none, and a folder only where it has parameters.
fn is_module_in(modules: &Path, driver: &str) -> bool {
    !modules.is_dir() || modules.join(driver).join("initstate").exists()
}

#[cfg(test)]
mod tests {
    use super::is_module_in;

    #[test]
    fn a_module_is_known_by_its_state() {
        let folder = std::env::temp_dir().join(format!("mcr-module-{}", std::process::id()));
        assert!(is_module_in(&folder, "veth"), "nobody tells");
        for made in ["virtio_net", "veth/parameters"] {
            std::fs::create_dir_all(folder.join(made)).unwrap();
        }
        std::fs::write(folder.join("virtio_net/initstate"), "live\n").unwrap();
        let found = ["virtio_net", "veth", "igb"].map(|driver| is_module_in(&folder, driver));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [true, false, false]);
    }
}
