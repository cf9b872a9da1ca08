//! What this kernel must be able to do for the suites that root runs.

use std::fs;

use crate::{rights::Rights, step};

/// `Err` is why they cannot run here.
pub(super) fn check(rights: Rights) -> Result<(), String> {
    let protocols = fs::read_to_string("/proc/net/protocols").unwrap_or_default();
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    kernel(&protocols, &filesystems)?;
    let mut veth = rights.command("unshare", &[]);
    veth.args(["--net", "ip", "link", "add", "name", "mcr0", "type", "veth", "peer", "name", "mcr1"]);
    // Without ip this tells nothing yet: setup brings it.
    if crate::packages::find_program("ip").is_some() && !step::succeeds(&mut veth) {
        return Err(format!("network namespaces or veth are not to be had here (`{}` fails)", step::shown(&veth)));
    }
    Ok(())
}

fn kernel(protocols: &str, filesystems: &str) -> Result<(), String> {
    if !protocols.lines().any(|line| line.split_whitespace().next() == Some("XDP")) {
        return Err("this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS)".into());
    }
    if !filesystems.lines().any(|line| line.split_whitespace().last() == Some("bpf")) {
        return Err("this kernel has no bpf(2) (CONFIG_BPF_SYSCALL)".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_feature_is_named() {
        let (protocols, filesystems) = ("protocol size\nXDP  1024  0\nUDP 1\n", "nodev\tsysfs\nnodev\tbpf\n");
        assert_eq!(kernel(protocols, filesystems), Ok(()));
        assert!(kernel("UDP 1\n", filesystems).unwrap_err().contains("CONFIG_XDP_SOCKETS"));
        assert!(kernel(protocols, "nodev\tsysfs\n").unwrap_err().contains("CONFIG_BPF_SYSCALL"));
    }
}
