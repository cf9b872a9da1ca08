//! The groups of every link as the kernel lists them, and the version of IGMP that it speaks there.

use relay_common::report::{Igmp, Mld};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Where the kernel shows them to the network namespace of the calling thread.
pub const NET: &str = "/proc/thread-self/net";

/// A group on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The link.
    pub ifindex: u32,
    /// The group.
    pub group: IpAddr,
    /// How many memberships there are: those of sockets, and the kernel's own.
    pub users: u32,
}

/// All IPv4 groups of all links. `root` is [`NET`].
///
/// # Errors
/// When the kernel does not show them.
pub fn v4(root: &Path) -> io::Result<Vec<Listed>> {
    Ok(in_igmp(&std::fs::read_to_string(root.join("igmp"))?))
}

/// All IPv6 groups of all links.
///
/// # Errors
/// When the kernel does not show them.
pub fn v6(root: &Path) -> io::Result<Vec<Listed>> {
    let text = match std::fs::read_to_string(root.join("igmp6")) {
        // Without IPv6 in the kernel there is no such file, and no membership.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    let one = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [ifindex, _, group, users, ..] = words[..] else { return None };
        let group = u128::from_str_radix(group, 16).ok().map(Ipv6Addr::from)?;
        Some(Listed { ifindex: ifindex.parse().ok()?, group: group.into(), users: users.parse().ok()? })
    };
    Ok(text.lines().filter_map(one).collect())
}

/// The version of IGMP that is spoken on a link: an older one where an older router was heard, or somebody set it.
#[must_use]
pub fn igmp(root: &Path, ifindex: u32) -> Igmp {
    let text = std::fs::read_to_string(root.join("igmp")).unwrap_or_default();
    let is_it = |line: &&str| !line.starts_with('\t') && line.split_whitespace().next() == Some(&ifindex.to_string());
    match text.lines().skip(1).find(is_it).and_then(|line| line.split_whitespace().last()) {
        Some("V1") => Igmp::V1,
        Some("V2") => Igmp::V2,
        _ => Igmp::V3,
    }
}

/// The version of MLD that somebody set for a link. The kernel does not show that it heard a router of version 1.
#[must_use]
pub fn mld(link: &str) -> Mld {
    // A dot in a name is no folder: `sysctl::read` would make one of it.
    let of = |name: &str| {
        let path = Path::new("/proc/sys/net/ipv6/conf").join(name).join("force_mld_version");
        std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok()).filter(|set| *set != 0)
    };
    if of("all").or_else(|| of(link)) == Some(1) { Mld::V1 } else { Mld::V2 }
}

/// The file lists devices, and below each, behind a tabulator, its groups: address in the machine's byte order, users.
fn in_igmp(text: &str) -> Vec<Listed> {
    let mut listed = Vec::new();
    let mut ifindex = None;
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
        if !line.starts_with('\t') {
            ifindex = first.parse().ok();
        } else if let (Some(ifindex), Ok(bits), Ok(users)) = (ifindex, u32::from_str_radix(first, 16), second.parse()) {
            listed.push(Listed { ifindex, group: Ipv4Addr::from(bits.to_ne_bytes()).into(), users });
        }
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::{Igmp, Listed, igmp, v4, v6};

    const IGMP: &str = "\
Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
2\tin0       :     3      V2
\t\t\t\t010101EF     3 0:00000000\t\t0
12\tin0.100   :     2      V1
\t\t\t\t010101EF     1 0:00000000\t\t0
";

    /// The groups of the fixture are in the order of a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn groups_and_versions_are_read() {
        let root = std::env::temp_dir().join(format!("mcr-groups-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("igmp"), IGMP).unwrap();
        let one = |ifindex, group: &str, users| Listed { ifindex, group: group.parse().unwrap(), users };
        let all = [one(1, "224.0.0.1", 1), one(2, "239.1.1.1", 3), one(12, "239.1.1.1", 1)];
        assert_eq!((v4(&root).unwrap(), v6(&root).unwrap()), (all.to_vec(), vec![]), "without IPv6 in the kernel");
        let line = "2    in0             ff3e0000000000000000000080000001     2 00000004 0\n";
        std::fs::write(root.join("igmp6"), line).unwrap();
        assert_eq!(v6(&root).unwrap(), [one(2, "ff3e::8000:1", 2)]);
        let versions = [1, 2, 12, 99].map(|ifindex| igmp(&root, ifindex));
        assert_eq!(versions, [Igmp::V3, Igmp::V2, Igmp::V1, Igmp::V3]);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
