//! Who is in a group, as the kernel tells it: how many sockets, and the sources that are asked for.

use crate::link::groups;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// How many memberships of a group there are on a device; 0 when it is not joined. `root` is `/proc/thread-self/net`.
pub fn count(root: &Path, ifindex: u32, group: IpAddr) -> io::Result<u32> {
    let listed = if group.is_ipv4() { groups::v4(root)? } else { groups::v6(root)? };
    let of_group = listed.into_iter().filter(|listed| (listed.ifindex, listed.group) == (ifindex, group));
    Ok(of_group.map(|listed| listed.users).sum())
}

/// The sources from which a group is asked for on a device. The kernel lists none of a group that is asked for from any,
/// and for IPv4 only those of devices whose last group names sources, so an empty answer says nothing.
pub fn sources(root: &Path, ifindex: u32, group: IpAddr) -> io::Result<BTreeSet<IpAddr>> {
    let file = if group.is_ipv4() { "mcfilter" } else { "mcfilter6" };
    let text = read_or_nothing(&root.join(file))?;
    let address = |word: &str| match group {
        IpAddr::V4(_) => {
            u32::from_str_radix(word.trim_start_matches("0x"), 16).ok().map(Ipv4Addr::from).map(IpAddr::V4)
        }
        IpAddr::V6(_) => v6(word).map(IpAddr::V6),
    };
    let source = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [index, _, of, source, included, ..] = words[..] else { return None };
        let is_it = number(index)? == ifindex && address(of)? == group && included != "0";
        is_it.then(|| address(source)).flatten()
    };
    Ok(text.lines().filter_map(source).collect())
}

fn number(word: &str) -> Option<u32> {
    word.parse().ok()
}

fn v6(word: &str) -> Option<Ipv6Addr> {
    u128::from_str_radix(word, 16).ok().map(Ipv6Addr::from)
}

fn read_or_nothing(path: &Path) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
