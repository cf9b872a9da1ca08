//! Unicast inputs: a mute socket has each address and port, so that the kernel never says that nobody is there.
//!
//! The XDP program takes a relay's packets before any socket could. What it passes all the same (a source that is not
//! named, a queue whose socket is being replaced, anything while mcr is taken down) comes to the kernel, which answers
//! with *port unreachable* where nobody listens; a sender that is connected gets ECONNREFUSED, and may stop for good. The lanes
//! hold the sockets as they hold those of groups.

use super::crew::ToHold;
use super::vault::tag;
use crate::bpf::mute::mute;
use nix::errno::Errno;
use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, bind, getsockname, getsockopt,
    setsockopt, socket, sockopt,
};
use relay_common::facts::Facts;
use relay_common::table::Table;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

/// A device, and an address and a port of this host on it.
pub type OwnPort = (u32, IpAddr, u16);

/// What lanes remember of such a socket.
const NOTE: &str = "port";

/// The ports that are held.
#[derive(Debug, Default)]
pub struct OwnPorts {
    held: BTreeMap<OwnPort, Kept>,
    /// Those that could not be had, of which it has been told.
    told: BTreeSet<OwnPort>,
    last_tag: Option<u64>,
}

/// A socket that lanes hold.
#[derive(Clone, Copy, Debug)]
struct Kept {
    tag: u64,
    /// As the kernel lists it.
    inode: u64,
}

impl OwnPorts {
    /// Those that a dead control left with the lanes. Answers also what is none: the tags of sockets that can go.
    #[must_use]
    pub fn taken_over(held: impl Iterator<Item = (u64, Arc<OwnedFd>)>) -> (Self, Vec<u64>) {
        let (mut ports, mut needless) = (Self::default(), Vec::new());
        for (tag, socket) in held {
            ports.last_tag = Some(tag);
            match port_of(&socket) {
                Some(port) => _ = ports.held.insert(port, Kept { tag, inode: inode(&socket) }),
                None => needless.push(tag),
            }
        }
        (ports, needless)
    }

    /// Binds those that are wanted and not held: before the first packet of theirs is taken in. What cannot be had is told
    /// of once and tried again at the next call; its relay works all the same.
    pub fn bind(&mut self, wanted: &BTreeSet<OwnPort>) -> Vec<ToHold> {
        self.told.retain(|port| wanted.contains(port));
        let mut new = Vec::new();
        for port in wanted {
            if self.held.contains_key(port) {
                continue;
            }
            match open(port) {
                Ok(socket) => {
                    let tag = self.last_tag.map_or(tag::OWN_PORT, |last| last + 1);
                    self.last_tag = Some(tag);
                    self.held.insert(*port, Kept { tag, inode: inode(&socket) });
                    self.told.remove(port);
                    new.push((tag, Arc::new(socket), NOTE.to_owned()));
                }
                Err(errno) => {
                    if self.told.insert(*port) {
                        tell(port, errno);
                    }
                }
            }
        }
        new
    }

    /// Whether one could not be had when it was last tried.
    #[must_use]
    pub fn lacks_any(&self) -> bool {
        !self.told.is_empty()
    }

    /// Forgets those that are wanted no longer: their tags, for the lanes to let go.
    pub fn release(&mut self, wanted: &BTreeSet<OwnPort>) -> Vec<u64> {
        self.held.extract_if(.., |port, _| !wanted.contains(port)).map(|(_, kept)| kept.tag).collect()
    }

    /// The sockets, by the number under which the kernel lists them: they wait for nothing.
    #[must_use]
    pub fn inodes(&self) -> BTreeSet<u64> {
        self.held.values().map(|kept| kept.inode).collect()
    }
}

/// The ports that the inputs of a table need.
#[must_use]
pub fn wanted(table: &Table, facts: &Facts) -> BTreeSet<OwnPort> {
    let keys = table.kernel.inputs.keys().map(|key| (key, IpAddr::from(key.destination)));
    let unicast = keys.filter(|(_, address)| !address.is_multicast());
    unicast.map(|(key, ip)| (facts.vlan_device(key.ifindex, key.vlans).unwrap_or(key.ifindex), ip, key.port)).collect()
}

/// A mute socket of that address and port, and of that device only: what comes in elsewhere is nobody's business here.
/// Nobody else shares it, and it takes nothing from a program that was there before.
fn open((ifindex, address, port): &OwnPort) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    mute(&fd).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let device = if_indextoname(*ifindex)?;
    setsockopt(&fd, sockopt::BindToDevice, &OsString::from(device.to_string_lossy().into_owned()))?;
    match address {
        IpAddr::V4(v4) => bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(*v4, *port)))?,
        IpAddr::V6(v6) => bind(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(*v6, *port, 0, *ifindex)))?,
    }
    Ok(fd)
}

/// What a socket of a predecessor holds; nothing when its device is gone.
fn port_of(socket: &OwnedFd) -> Option<OwnPort> {
    let device = getsockopt(socket, sockopt::BindToDevice).ok()?;
    let device = device.to_str()?.trim_end_matches('\0').to_owned();
    let ifindex = if_nametoindex(device.as_str()).ok()?;
    let address = getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok()?;
    let address = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
        (Some(v4), _) => SocketAddr::from((v4.ip(), v4.port())),
        (_, Some(v6)) => SocketAddr::from((v6.ip(), v6.port())),
        _ => return None,
    };
    Some((ifindex, address.ip(), address.port()))
}

fn inode(socket: &OwnedFd) -> u64 {
    nix::sys::stat::fstat(socket).map_or(0, |stat| stat.st_ino)
}

fn tell((_, address, port): &OwnPort, errno: Errno) {
    let at = SocketAddr::from((*address, *port));
    match errno {
        Errno::EADDRINUSE => tracing::warn!(
            "{at}: another program has this address and port. The relay works; what it does not take in goes to that program, and \
             when that ends, senders can be told that nobody is there: let it listen elsewhere"
        ),
        Errno::EACCES => tracing::warn!(
            "{at}: mcr may not hold this port, so senders can be told that nobody is there while mcr is restarted: give it \
             CAP_NET_BIND_SERVICE"
        ),
        other => tracing::warn!(
            "{at}: cannot be held, so senders can be told that nobody is there while mcr is restarted: {other}"
        ),
    }
}
