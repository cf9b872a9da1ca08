//! The kernel's limits, as `/proc/sys` shows them to the network namespace of the calling thread.

use std::path::Path;

/// The number at a dotted name such as `net.ipv4.igmp_max_memberships`; `None` when it is not there, not readable,
/// or not a number.
#[must_use]
pub fn read(name: &str) -> Option<u64> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_a_number_and_nothing_else() {
        assert!(super::read("net.core.rmem_max").is_some_and(|bytes| bytes > 0));
        assert_eq!(super::read("kernel.ostype"), None);
        assert_eq!(super::read("net.core.no_such_limit"), None);
    }
}
