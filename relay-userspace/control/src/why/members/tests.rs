//! Files as Linux 6.18 writes them.

use super::{count, sources};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

const IGMP: &str = "\
Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t010000E0     1 0:00000000\t\t0
2\tin0       :     3      V3
\t\t\t\t010101EF     3 0:00000000\t\t0
\t\t\t\t020101E8     1 0:00000000\t\t0
\t\t\t\t010000E0     1 0:00000000\t\t0
12\tin0.100   :     2      V3
\t\t\t\t010101EF     1 0:00000000\t\t0
";

const IGMP6: &str = "\
1    lo              ff020000000000000000000000000001     1 0000000C 0
2    in0             ff3e0000000000000000000080000001     2 00000004 0
2    in0             ff0200000000000000000001ff000001     1 00000004 0
12   in0.100         ff3e0000000000000000000080000001     1 00000004 0
";

const MCFILTER: &str = "\
Idx Device        MCA        SRC    INC    EXC
  2    in0 0xe8010102 0x0a000001      1      0
  2    in0 0xe8010102 0x0a000002      0      1
 12 in0.100 0xe8010102 0x0a000003      1      0
";

const MCFILTER6: &str = "\
Idx Device                Multicast Address                   Source Address    INC    EXC
  2    in0 ff3e0000000000000000000080000001 20010db8000000000000000000000001      1      0
";

fn root(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("mcr-members-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&root).unwrap();
    root
}

fn group(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The groups and addresses of the fixtures are in the order of a little-endian machine.
#[test]
#[cfg(target_endian = "little")]
fn memberships_and_sources_are_read() {
    let root = root("all");
    for (file, text) in [("igmp", IGMP), ("igmp6", IGMP6), ("mcfilter", MCFILTER), ("mcfilter6", MCFILTER6)] {
        std::fs::write(root.join(file), text).unwrap();
    }
    let members = |ifindex, to| count(&root, ifindex, group(to)).unwrap();
    assert_eq!(members(2, "239.1.1.1"), 3);
    assert_eq!(members(12, "239.1.1.1"), 1);
    assert_eq!(members(1, "239.1.1.1"), 0);
    assert_eq!(members(2, "239.1.1.2"), 0);
    assert_eq!(members(2, "ff3e::8000:1"), 2);
    assert_eq!(members(12, "ff3e::8000:1"), 1);
    assert_eq!(members(12, "ff3e::8000:2"), 0);
    let asked = |ifindex, to| sources(&root, ifindex, group(to)).unwrap();
    assert_eq!(asked(2, "232.1.1.2"), BTreeSet::from([group("10.0.0.1")]), "one that is excluded is not asked for");
    assert_eq!(asked(12, "232.1.1.2"), BTreeSet::from([group("10.0.0.3")]));
    assert_eq!(asked(2, "ff3e::8000:1"), BTreeSet::from([group("2001:db8::1")]));
    assert_eq!(asked(2, "232.1.1.1"), BTreeSet::new());
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_kernel_without_ipv6_has_nobody_in_its_groups() {
    let root = root("v4");
    assert_eq!(count(&root, 2, group("ff3e::8000:1")).unwrap(), 0);
    assert!(sources(&root, 2, group("ff3e::8000:1")).unwrap().is_empty());
    assert!(count(&root, 2, group("239.1.1.1")).is_err(), "without IPv4 there is something wrong");
    std::fs::remove_dir_all(root).unwrap();
}
