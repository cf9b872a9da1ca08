//! Joining and leaving groups on a socket: the protocol-independent calls of RFC 3678.
#![expect(unsafe_code, reason = "socket2 and nix have no source-specific joins for IPv6; this is setsockopt(2) itself")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

/// Asks for a group from any source. The group leaves the socket with [`leave`], or when its last descriptor closes.
///
/// # Errors
/// What setsockopt(2) says: `ENOBUFS` at the kernel's limit, `EADDRINUSE` when the socket is in the group already,
/// `ENODEV` when there is no such interface.
pub fn join(socket: impl AsFd, ifindex: u32, group: IpAddr) -> io::Result<()> {
    set(socket, level(group), libc::MCAST_JOIN_GROUP, &group_req(ifindex, group))
}

/// Leaves a group, with all of its sources.
///
/// # Errors
/// `EADDRNOTAVAIL` when the socket is not in the group.
pub fn leave(socket: impl AsFd, ifindex: u32, group: IpAddr) -> io::Result<()> {
    set(socket, level(group), libc::MCAST_LEAVE_GROUP, &group_req(ifindex, group))
}

/// Asks for a group from one source; called again for each further source.
///
/// # Errors
/// As [`join`]; `EADDRNOTAVAIL` when the socket has this source already.
pub fn join_source(socket: impl AsFd, ifindex: u32, group: IpAddr, source: IpAddr) -> io::Result<()> {
    set(socket, level(group), libc::MCAST_JOIN_SOURCE_GROUP, &group_source_req(ifindex, group, source))
}

/// Gives up one source of a group; the last one leaves the group.
///
/// # Errors
/// `EADDRNOTAVAIL` when the socket does not have this source, `ENODEV` when the interface is gone.
pub fn leave_source(socket: impl AsFd, ifindex: u32, group: IpAddr, source: IpAddr) -> io::Result<()> {
    set(socket, level(group), libc::MCAST_LEAVE_SOURCE_GROUP, &group_source_req(ifindex, group, source))
}

fn level(group: IpAddr) -> i32 {
    if group.is_ipv4() { libc::IPPROTO_IP } else { libc::IPPROTO_IPV6 }
}

fn group_req(ifindex: u32, group: IpAddr) -> libc::group_req {
    libc::group_req { gr_interface: ifindex, gr_group: storage(group) }
}

fn group_source_req(ifindex: u32, group: IpAddr, source: IpAddr) -> libc::group_source_req {
    libc::group_source_req { gsr_interface: ifindex, gsr_group: storage(group), gsr_source: storage(source) }
}

/// The address as a `sockaddr_in` or `sockaddr_in6` at the start of a `sockaddr_storage`; port, flow and scope are 0.
fn storage(address: IpAddr) -> libc::sockaddr_storage {
    // SAFETY: sockaddr_storage is made of integers and arrays of them, for which all bits zero is a value.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let place = (&raw mut storage).cast::<u8>();
    let (family, offset, octets): (i32, usize, &[u8]) = match &address {
        IpAddr::V4(v4) => (libc::AF_INET, std::mem::offset_of!(libc::sockaddr_in, sin_addr), &v4.octets()),
        IpAddr::V6(v6) => (libc::AF_INET6, std::mem::offset_of!(libc::sockaddr_in6, sin6_addr), &v6.octets()),
    };
    storage.ss_family = u16::try_from(family).expect("an address family is a small number");
    // SAFETY: `place` is the start of `storage`, which is larger than sockaddr_in6, the longest that is written:
    // offset + octets is at most 8 + 16 of its 128 bytes. Bytes may be written at any alignment.
    unsafe { place.add(offset).copy_from_nonoverlapping(octets.as_ptr(), octets.len()) };
    storage
}

fn set<T>(socket: impl AsFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).expect("an option is a few hundred bytes");
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; `value` is a live reference to exactly
    // `length` bytes, of which the kernel only reads. T is group_req or group_source_req: see the four callers.
    let answer = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
