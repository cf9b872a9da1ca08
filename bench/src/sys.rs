//! The system calls that nix lacks; with its parts the only unsafe code of this crate.
#![expect(unsafe_code, reason = "packet sockets, batched calls, pre_exec, bpf and allocators exist only unsafe")]

pub mod allocations; // counted
pub mod bpf; // packets made by the kernel
pub mod copied; // descriptors of another process
pub mod rtnl; // the kernel's lock of all network settings, held
pub mod traced; // a process that stands still
pub mod xsk; // the least that can be done with AF_XDP

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use libc::{c_int, c_void, cmsghdr, iovec, mmsghdr, socklen_t};

/// The largest number of frames one call sends or receives.
pub const BATCH: usize = 64;

/// Room for the control messages of one frame: two of them, each at most 48 bytes long.
const CONTROL_WORDS: usize = 12;

/// Has the kernel ask the child to end when the thread that started it ends.
pub fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let prepare = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
        // The parent may have died before the call above.
        if std::os::unix::process::parent_id() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls; it takes no lock and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// A packet socket that sends frames out of the interface `index` as they are, and receives none.
pub fn frame_sender(index: u32) -> io::Result<OwnedFd> {
    packet_socket(index, 0)
}

/// A packet socket that receives every frame that comes in by the interface `index`, and none that goes out.
pub fn frame_receiver(index: u32) -> io::Result<OwnedFd> {
    let every_protocol = u16::try_from(libc::ETH_P_ALL).map_err(io::Error::other)?;
    let socket = packet_socket(index, every_protocol)?;
    set_option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
    set_option(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
    set_option(&socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    Ok(socket)
}

fn packet_socket(index: u32, protocol: u16) -> io::Result<OwnedFd> {
    // Protocol 0 until it is bound, so that no frame of another interface is in it.
    // SAFETY: socket(2) takes no pointers.
    let raw = checked(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor was just made, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: sockaddr_ll is plain integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = c_int::try_from(index).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    checked(unsafe { libc::bind(raw, ptr::from_ref(&address).cast(), length_of(&address)) })?;
    Ok(socket)
}

/// Sets a socket option whose value is an int.
pub fn set_option(socket: &impl AsRawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    set_option_value(socket, level, name, &value)
}

fn set_option_value<T>(socket: &impl AsRawFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let pointer = ptr::from_ref(value).cast::<c_void>();
    // SAFETY: the pointer and the length describe `value`, which outlives the call; the kernel only reads it.
    checked(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, pointer, length_of(value)) }).map(drop)
}

/// Makes the socket a member of `group` on the interface `index`; of either family.
pub fn join_group(socket: &impl AsRawFd, group: IpAddr, index: u32) -> io::Result<()> {
    // SAFETY: group_req is plain integers, for which zero is a value.
    let mut request: libc::group_req = unsafe { mem::zeroed() };
    request.gr_interface = index;
    let place = ptr::from_mut(&mut request.gr_group);
    let level = match group {
        IpAddr::V4(group) => {
            let address = libc::sockaddr_in {
                sin_family: u16::try_from(libc::AF_INET).map_err(io::Error::other)?,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(group.octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is made to hold any sockaddr: large enough and aligned for it.
            unsafe { place.cast::<libc::sockaddr_in>().write(address) };
            libc::IPPROTO_IP
        }
        IpAddr::V6(group) => {
            let address = libc::sockaddr_in6 {
                sin6_family: u16::try_from(libc::AF_INET6).map_err(io::Error::other)?,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: group.octets() },
                sin6_scope_id: index,
            };
            // SAFETY: as above.
            unsafe { place.cast::<libc::sockaddr_in6>().write(address) };
            libc::IPPROTO_IPV6
        }
    };
    set_option_value(socket, level, libc::MCAST_JOIN_GROUP, &request)
}

/// Has an IPv4 socket send its multicasts out of the interface `index`.
pub fn send_multicast_by(socket: &impl AsRawFd, index: u32) -> io::Result<()> {
    let request = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: 0 },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: c_int::try_from(index).map_err(io::Error::other)?,
    };
    set_option_value(socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
}

/// How many frames a packet socket had no room for since the last call.
pub fn frames_missed(socket: &impl AsRawFd) -> io::Result<u32> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = length_of(&statistics);
    let pointer = ptr::from_mut(&mut statistics).cast::<c_void>();
    // SAFETY: the kernel writes at most `length` bytes to `statistics`; both outlive the call.
    checked(unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, pointer, &raw mut length)
    })?;
    Ok(statistics.tp_drops)
}

/// Sends up to [`BATCH`] frames or datagrams with one call; says how many were taken. A frame that met an error was
/// not sent, and neither were those after it.
pub fn send_batch(socket: BorrowedFd<'_>, frames: &[&[u8]]) -> io::Result<usize> {
    let count = frames.len().min(BATCH);
    let mut vectors = [iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    for (vector, frame) in vectors.iter_mut().zip(frames) {
        *vector = iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
    }
    let mut messages = messages(&mut vectors);
    let length = u32::try_from(count).map_err(io::Error::other)?;
    // SAFETY: the first `count` messages point at `vectors`, and those at `frames`; all outlive the call, and the kernel
    // only reads through them.
    let sent = checked(unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), length, 0) })?;
    usize::try_from(sent).map_err(io::Error::other)
}

fn messages(vectors: &mut [iovec; BATCH]) -> [mmsghdr; BATCH] {
    // SAFETY: mmsghdr is integers and pointers, for which zero is a value.
    let mut messages: [mmsghdr; BATCH] = unsafe { mem::zeroed() };
    for (message, vector) in messages.iter_mut().zip(vectors) {
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
    }
    messages
}

/// What the kernel says about a received frame beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// When it arrived, in nanoseconds of `CLOCK_REALTIME`.
    pub arrived_realtime_ns: Option<u64>,
    /// TPID and TCI of the outermost VLAN tag, which the kernel took out of the bytes.
    pub vlan: Option<(u16, u16)>,
    /// Whether the sender left the checksum for hardware to finish.
    pub checksum_partial: bool,
}

/// Buffers for receiving up to [`BATCH`] frames or datagrams with one call.
#[derive(Debug)]
pub struct ReceiveBatch {
    bytes: Vec<u8>,
    stride: usize,
    headroom: usize,
    controls: Vec<[u64; CONTROL_WORDS]>,
    received: Vec<(usize, Beside)>,
}

impl ReceiveBatch {
    /// Buffers of `size` bytes each, with `headroom` bytes in front of each.
    pub fn new(size: usize, headroom: usize) -> Self {
        let stride = size + headroom;
        Self {
            bytes: vec![0; stride * BATCH],
            stride,
            headroom,
            controls: vec![[0; CONTROL_WORDS]; BATCH],
            received: Vec::with_capacity(BATCH),
        }
    }

    /// Waits for the first frame as long as the socket's timeout says, takes what else is there, and says how many.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.receive_up_to(BATCH, socket)
    }

    /// The same, but takes no more than `most`.
    pub fn receive_up_to(&mut self, most: usize, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received.clear();
        let mut vectors = [iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
        for (vector, buffer) in vectors.iter_mut().zip(self.bytes.chunks_exact_mut(self.stride)) {
            let room = buffer.get_mut(self.headroom..).unwrap_or_default();
            *vector = iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        }
        let mut messages = messages(&mut vectors);
        for (message, control) in messages.iter_mut().zip(&mut self.controls) {
            message.msg_hdr.msg_control = control.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = mem::size_of_val(control);
        }
        let length = u32::try_from(most.min(BATCH)).map_err(io::Error::other)?;
        let (raw, flags) = (socket.as_raw_fd(), libc::MSG_WAITFORONE);
        // SAFETY: every message points at its own vector, buffer and control room with their true lengths; all of them
        // outlive the call, and nothing else refers to them meanwhile.
        let count = checked(unsafe { libc::recvmmsg(raw, messages.as_mut_ptr(), length, flags, ptr::null_mut()) })?;
        let count = usize::try_from(count).map_err(io::Error::other)?;
        for message in messages.iter().take(count) {
            let size = usize::try_from(message.msg_len).map_err(io::Error::other)?;
            self.received.push((size, beside(&message.msg_hdr)));
        }
        Ok(count)
    }

    /// All frames of the last call, without headroom.
    pub fn frames(&self) -> impl Iterator<Item = (&[u8], Beside)> {
        let buffers = self.bytes.chunks_exact(self.stride);
        self.received
            .iter()
            .zip(buffers)
            .filter_map(|(&(size, beside), buffer)| Some((buffer.get(self.headroom..self.headroom + size)?, beside)))
    }

    /// Frame `number` of the last call: a buffer whose first bytes are the headroom, and what the kernel says beside.
    pub fn frame(&mut self, number: usize) -> Option<(&mut [u8], Beside)> {
        let (size, beside) = *self.received.get(number)?;
        let start = number * self.stride;
        let buffer = self.bytes.get_mut(start..start + self.headroom + size)?;
        Some((buffer, beside))
    }
}

/// Reads the control messages that the kernel wrote for one frame.
fn beside(header: &libc::msghdr) -> Beside {
    let mut found = Beside::default();
    // SAFETY: the kernel has filled the control room that the header names, and has set its length to what it wrote.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header inside the control room; the room is
        // aligned to eight bytes, as cmsghdr wants.
        let control = unsafe { &*next };
        match (control.cmsg_level, control.cmsg_type) {
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                if let Some(data) = content::<libc::tpacket_auxdata>(control) {
                    found.checksum_partial = data.tp_status & libc::TP_STATUS_CSUMNOTREADY != 0;
                    found.vlan = vlan_of(&data);
                }
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                found.arrived_realtime_ns = content::<libc::timespec>(control)
                    .map(|time| time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs());
            }
            _ => {}
        }
        // SAFETY: as above; `next` is the header that the last call returned.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    found
}

fn vlan_of(data: &libc::tpacket_auxdata) -> Option<(u16, u16)> {
    if data.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let named = data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    Some((if named { data.tp_vlan_tpid } else { 0x8100 }, data.tp_vlan_tci))
}

/// The content of a control message, when it is as long as a `T`. `T` must be plain integers.
fn content<T: Copy>(control: &cmsghdr) -> Option<T> {
    // SAFETY: CMSG_LEN only adds constants.
    let needed = usize::try_from(unsafe { libc::CMSG_LEN(length_of(&MaybeUninit::<T>::uninit())) }).ok()?;
    // SAFETY: the kernel wrote cmsg_len bytes from the header on, which is enough for a T; it need not be aligned, and
    // the two types that are read here are plain integers, so any bytes make one.
    (control.cmsg_len >= needed).then(|| unsafe { libc::CMSG_DATA(control).cast::<T>().read_unaligned() })
}

fn length_of<T>(value: &T) -> socklen_t {
    socklen_t::try_from(mem::size_of_val(value)).expect("socket structures are small")
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
