//! Joining and leaving groups on a socket, and which it is in: the protocol-independent calls of RFC 3678.
#![expect(unsafe_code, reason = "socket2 and nix have no source-specific joins for IPv6; this is setsockopt(2) itself")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use zerocopy::IntoBytes as _;

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

/// The sources that a socket has of a group, none when it takes any; `None` when it is not in the group.
///
/// # Errors
/// What getsockopt(2) says.
pub fn sources(socket: impl AsFd, ifindex: u32, group: IpAddr) -> io::Result<Option<Vec<IpAddr>>> {
    let mut filter = Filter::new(ifindex, group, 0);
    loop {
        match filter.ask(socket.as_fd(), level(group)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => return Ok(None),
            Err(error) => return Err(error),
        }
        let n = filter.number(Filter::N_SOURCES);
        if filter.number(Filter::MODE) == EXCLUDE {
            return Ok(Some(Vec::new()));
        }
        if let Some(sources) = filter.sources(n as usize) {
            // One that includes nobody is no member.
            return Ok(Some(sources).filter(|sources| !sources.is_empty()));
        }
        filter = Filter::new(ifindex, group, n);
    }
}

/// The mode of a membership that excludes none, or some.
const EXCLUDE: u32 = 0;

/// The kernel's struct group_filter, word by word: interface, group, mode, how many sources, and these.
struct Filter(Vec<u64>);

impl Filter {
    const GROUP: usize = 8;
    const MODE: usize = Self::GROUP + ADDRESS;
    const N_SOURCES: usize = Self::MODE + 4;
    const SOURCES: usize = Self::MODE + 8;

    /// A question with room for so many sources.
    fn new(ifindex: u32, group: IpAddr, n_sources: u32) -> Self {
        let mut filter = Self(vec![0; (Self::SOURCES + n_sources as usize * ADDRESS) / 8]);
        filter.put(0, &ifindex.to_ne_bytes());
        filter.put(Self::N_SOURCES, &n_sources.to_ne_bytes());
        let (family, at, octets): (i32, usize, &[u8]) = match &group {
            IpAddr::V4(v4) => (libc::AF_INET, V4_AT, &v4.octets()),
            IpAddr::V6(v6) => (libc::AF_INET6, V6_AT, &v6.octets()),
        };
        filter.put(Self::GROUP, &family_number(family).to_ne_bytes());
        filter.put(Self::GROUP + at, octets);
        filter
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0.as_mut_bytes()[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn number(&self, at: usize) -> u32 {
        let bytes = &self.0.as_bytes()[at..at + 4];
        bytes.try_into().map_or(0, u32::from_ne_bytes)
    }

    /// The sources, if there was room for all.
    fn sources(&self, n: usize) -> Option<Vec<IpAddr>> {
        let all = self.0.as_bytes().get(Self::SOURCES..Self::SOURCES + n * ADDRESS)?;
        let one = |bytes: &[u8]| {
            let family = u16::from_ne_bytes([bytes[0], bytes[1]]);
            if family == family_number(libc::AF_INET) {
                <[u8; 4]>::try_from(&bytes[V4_AT..V4_AT + 4]).ok().map(IpAddr::from)
            } else {
                <[u8; 16]>::try_from(&bytes[V6_AT..V6_AT + 16]).ok().map(IpAddr::from)
            }
        };
        all.chunks_exact(ADDRESS).map(one).collect()
    }

    fn ask(&mut self, socket: BorrowedFd<'_>, level: i32) -> io::Result<()> {
        let bytes = self.0.as_mut_bytes();
        let mut length = libc::socklen_t::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the descriptor is open for as long as it is borrowed; the kernel reads and writes at most `length` bytes of
        // a live buffer that is as long, and any bytes are a value of it.
        let answer = unsafe {
            libc::getsockopt(socket.as_raw_fd(), level, MCAST_MSFILTER, bytes.as_mut_ptr().cast(), &raw mut length)
        };
        if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Bytes of a struct sockaddr_storage, and where an address lies in it.
const ADDRESS: usize = size_of::<libc::sockaddr_storage>();
const V4_AT: usize = std::mem::offset_of!(libc::sockaddr_in, sin_addr);
const V6_AT: usize = std::mem::offset_of!(libc::sockaddr_in6, sin6_addr);
/// As the kernel's in.h has it, for both families; libc does not.
const MCAST_MSFILTER: i32 = 48;

fn family_number(family: i32) -> u16 {
    u16::try_from(family).expect("an address family is a small number")
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
        IpAddr::V4(v4) => (libc::AF_INET, V4_AT, &v4.octets()),
        IpAddr::V6(v6) => (libc::AF_INET6, V6_AT, &v6.octets()),
    };
    storage.ss_family = family_number(family);
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
