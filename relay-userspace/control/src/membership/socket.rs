//! One socket that holds groups, and how much the kernel lets it hold.

use super::Group;
use crate::bpf::mute::mute;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrLike as _, SockaddrStorage, getsockname, socket};
use relay_engine::sys::{multicast, sysctl};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

/// How much the kernel takes on one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Groups on one socket.
    pub groups: usize,
    /// Sources of one IPv4 group on one socket.
    pub sources_v4: usize,
    /// Sources of one IPv6 group on one socket.
    pub sources_v6: usize,
}

impl Limits {
    /// What the kernel says, or its defaults where that cannot be read.
    #[must_use]
    pub fn read() -> Self {
        let limit = |name, default| sysctl::read(name).and_then(|n| usize::try_from(n).ok()).unwrap_or(default).max(1);
        Self {
            groups: limit("net.ipv4.igmp_max_memberships", 20),
            sources_v4: limit("net.ipv4.igmp_max_msf", 10),
            sources_v6: limit("net.ipv6.mld_max_msf", 64),
        }
    }
}

/// A socket that holds groups of one family.
pub(super) struct MembershipSocket {
    pub(super) descriptor: Arc<OwnedFd>,
    /// By what the lanes know it.
    pub(super) tag: u64,
    /// Whether they hold it.
    pub(super) is_held: bool,
    pub(super) v4: bool,
    /// How many groups it takes: less than the limit once the kernel has refused one.
    pub(super) room: usize,
    /// How many it holds.
    pub(super) groups: usize,
}

impl MembershipSocket {
    /// A new one, with room for that many groups.
    pub(super) fn open(tag: u64, v4: bool, room: usize) -> Result<Self, Refused> {
        let family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let descriptor = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|errno| Refused::Socket(errno.into()))?;
        // Lanes hold it, and no lane is to reach the network by it.
        mute(&descriptor).map_err(Refused::Socket)?;
        Ok(Self { descriptor: Arc::new(descriptor), tag, is_held: false, v4, room, groups: 0 })
    }

    /// One that a dead control left with the lanes.
    pub(super) fn taken_over(tag: u64, descriptor: Arc<OwnedFd>, room: usize) -> io::Result<Self> {
        let address = getsockname::<SockaddrStorage>(descriptor.as_raw_fd())?;
        let v4 = address.family() == Some(AddressFamily::Inet);
        Ok(Self { descriptor, tag, is_held: true, v4, room, groups: 0 })
    }

    /// Joins from as many of the sources as the socket has room for, at least one. Answers how many.
    pub(super) fn take(&self, (ifindex, group): Group, sources: &[IpAddr]) -> io::Result<usize> {
        if sources.is_empty() {
            return multicast::join(&self.descriptor, ifindex, group).map(|()| 0);
        }
        for (joined, source) in sources.iter().enumerate() {
            match multicast::join_source(&self.descriptor, ifindex, group, *source) {
                Ok(()) => {}
                Err(error) if is_full(&error) && joined > 0 => return Ok(joined),
                Err(error) => {
                    // The kernel may have joined the group before it refused the source.
                    forget((ifindex, group), multicast::leave(&self.descriptor, ifindex, group));
                    return Err(error);
                }
            }
        }
        Ok(sources.len())
    }
}

/// Why a part could not be joined.
pub(super) enum Refused {
    Socket(io::Error),
    Join(io::Error),
}

/// Whether another socket may take what this one refused.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM))
}

/// Leaving fails only when there is nothing to leave any more: the link went, and the kernel dropped the group itself.
pub(super) fn forget((ifindex, group): Group, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(ifindex, %group, %error, "nothing to leave");
    }
}
