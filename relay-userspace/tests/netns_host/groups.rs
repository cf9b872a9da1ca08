//! Joined groups as the kernel shows them.

use bench::Namespace;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The groups of each link and the sources they are asked for from: none for any.
pub(crate) type Groups = BTreeMap<IpAddr, BTreeSet<IpAddr>>;

/// The groups of a link that somebody joined, of both families; those of link-local scope are the kernel's own.
///
/// Linux shows the sources of a link's IPv4 groups only if the one that was joined last has any, and none of them while
/// the link is down or after it was.
pub(crate) fn joined(namespace: &Namespace, link: &str) -> Groups {
    namespace.run(|| {
        let mut groups = Groups::new();
        let mut of_link = false;
        for line in proc_net("igmp").lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if !line.starts_with('\t') {
                of_link = words[1] == link;
            } else if of_link {
                let group = Ipv4Addr::from(u32::from_str_radix(words[0], 16).unwrap().swap_bytes());
                groups.insert(group.into(), BTreeSet::new());
            }
        }
        for line in proc_net("igmp6").lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[1] == link {
                groups.insert(v6(words[2]), BTreeSet::new());
            }
        }
        groups.retain(|group, _| match group {
            IpAddr::V4(group) => group.octets()[0] != 224,
            IpAddr::V6(group) => group.segments()[0] & 0xf > 2,
        });
        read_sources(&proc_net("mcfilter"), link, v4, &mut groups);
        read_sources(&proc_net("mcfilter6"), link, v6, &mut groups);
        groups
    })
}

/// Lines of `mcfilter`: number and name of the link, group, source, how many include it, how many exclude it.
fn read_sources(text: &str, link: &str, address: fn(&str) -> IpAddr, groups: &mut Groups) {
    for line in text.lines().skip_while(|line| line.starts_with("Idx")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[1] == link && words[4] != "0" {
            groups.entry(address(words[2])).or_default().insert(address(words[3]));
        }
    }
}

fn v4(word: &str) -> IpAddr {
    Ipv4Addr::from(u32::from_str_radix(word.trim_start_matches("0x"), 16).unwrap()).into()
}

fn v6(word: &str) -> IpAddr {
    Ipv6Addr::from(u128::from_str_radix(word, 16).unwrap()).into()
}

fn proc_net(file: &str) -> String {
    std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap()
}
