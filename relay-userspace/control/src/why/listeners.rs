//! Processes of this host that wait for packets which the XDP program takes before the kernel gets them.

use relay_common::why::Listener;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// A UDP socket as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Socket {
    address: IpAddr,
    port: u16,
    inode: u64,
}

/// Sockets that are bound to this port, and to the destination or to any address; each with its process where that can be
/// seen. Those of these inodes are left out. `net` is `/proc/thread-self/net`, `processes` is `/proc`.
pub fn find(
    net: &Path,
    processes: &Path,
    destination: IpAddr,
    port: u16,
    own: &BTreeSet<u64>,
) -> io::Result<Vec<Listener>> {
    let mut sockets = Vec::new();
    for file in ["udp", "udp6"] {
        match std::fs::read_to_string(net.join(file)) {
            Ok(text) => sockets.extend(text.lines().skip(1).filter_map(socket)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let waits = |socket: &Socket| {
        // A socket of both families hears IPv4 too; one for IPv4 hears nothing else.
        let hears_any = socket.address.is_unspecified() && (socket.address.is_ipv6() || destination.is_ipv4());
        socket.port == port && (socket.address == destination || hears_any)
    };
    sockets.retain(|socket| waits(socket) && !own.contains(&socket.inode));
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    let owners = owners(processes, &sockets)?;
    let listener = |Socket { address, port, inode }| Listener { address, port, process: owners.get(&inode).cloned() };
    Ok(sockets.into_iter().map(listener).collect())
}

/// A line of `/proc/net/udp` or `udp6`: number, local address and port, remote ones, state, queues, timer, retransmits,
/// user, timeout, inode.
fn socket(line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = words.get(1)?.split_once(':')?;
    let inode = words.get(9)?.parse().ok()?;
    Some(Socket { address: self::address(address)?, port: u16::from_str_radix(port, 16).ok()?, inode })
}

/// An address as the kernel prints it: words of 32 bits in the machine's byte order.
fn address(word: &str) -> Option<IpAddr> {
    let part = |at: usize| Some(u32::from_str_radix(word.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match word.len() {
        8 => Some(Ipv4Addr::from(part(0)?).into()),
        32 => {
            let words = [part(0)?, part(8)?, part(16)?, part(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
        }
        _ => None,
    }
}

/// Which process has each socket open. Processes that end meanwhile, or that we may not look at, are left out.
fn owners(processes: &Path, sockets: &[Socket]) -> io::Result<BTreeMap<u64, (u32, String)>> {
    let mut owners = BTreeMap::new();
    for process in std::fs::read_dir(processes)?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let open = sockets_of(&process.path());
        for inode in open.into_iter().filter(|inode| sockets.iter().any(|socket| socket.inode == *inode)) {
            owners.entry(inode).or_insert_with(|| (pid, name(&process.path())));
        }
    }
    Ok(owners)
}

/// The sockets that a process has open, by inode; none where we may not look.
fn sockets_of(process: &Path) -> BTreeSet<u64> {
    let descriptors = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let inode = |target: &Path| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    descriptors.filter_map(|descriptor| inode(&std::fs::read_link(descriptor.path()).ok()?)).collect()
}

fn name(process: &Path) -> String {
    std::fs::read_to_string(process.join("comm")).map_or_else(|_| "?".to_owned(), |name| name.trim_end().to_owned())
}

#[cfg(test)]
mod tests;
