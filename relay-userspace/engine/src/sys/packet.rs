//! A look at a link as the kernel sees it: frames that no XDP program has taken, with the tag that the kernel took off;
//! and frames of our own.
#![expect(unsafe_code, reason = "nix knows neither the filter nor what comes beside a frame; this is socket(2) itself")]

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use zerocopy::{FromBytes, IntoBytes};

// As the address has them: libc's are wider.
const AF_PACKET: u16 = 17;
const ETH_P_ALL: u16 = 3;
const SOL_PACKET: i32 = 263;
const PACKET_STATISTICS: i32 = 6;
const PACKET_AUXDATA: i32 = 8;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const VLAN_VALID: u32 = 1 << 4;
const VLAN_TPID_VALID: u32 = 1 << 6;
/// What a tag is when the kernel does not say.
const CUSTOMER_TAG: u16 = 0x8100;
/// Bytes of a tag, and of the hardware addresses before it.
const TAG: usize = 4;
const ADDRESSES: usize = 12;

/// An instruction of the filter: the kernel's struct sock_filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// Instructions to skip when it holds.
    pub if_true: u8,
    /// Instructions to skip when it does not.
    pub if_false: u8,
    /// The operand.
    pub operand: u32,
}

/// A socket that gets what comes in on one link and passes a filter.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    buffer: Box<[u8]>,
}

/// What the kernel says beside a frame: struct tpacket_auxdata.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes)]
#[repr(C)]
struct Beside {
    status: u32,
    len: u32,
    snaplen: u32,
    mac: u16,
    net: u16,
    tag: u16,
    tag_type: u16,
}

#[repr(C)]
struct Filter<'a> {
    len: u16,
    instructions: *const Instruction,
    lives: std::marker::PhantomData<&'a [Instruction]>,
}

impl PacketSocket {
    /// Opens it in the network namespace of the calling thread. Nothing else on the machine changes: the link is not
    /// made promiscuous.
    pub fn open(ifindex: u32, filter: &[Instruction]) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes numbers only. Without a protocol nothing comes in before `bind`.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = Filter { len, instructions: filter.as_ptr(), lives: std::marker::PhantomData };
        set(fd.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)?;
        set(fd.as_fd(), SOL_PACKET, PACKET_AUXDATA, &1_i32)?;
        set(fd.as_fd(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)?;
        // SAFETY: sockaddr_ll is made of integers and an array of them, for which all bits zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = AF_PACKET;
        address.sll_protocol = ETH_P_ALL.to_be();
        address.sll_ifindex = ifindex.cast_signed();
        // SAFETY: the address is alive and as long as is said.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length::<libc::sockaddr_ll>()) };
        if bound != 0 {
            return Err(io::Error::last_os_error());
        }
        // The longest packet, its header, and room for the tag that comes beside it.
        Ok(Self { fd, buffer: vec![0; 65_536 + 64].into_boxed_slice() })
    }

    /// The next frame as it was on the wire, when one is there.
    pub fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        let room = self.buffer.len() - TAG;
        let mut part = libc::iovec { iov_base: self.buffer[TAG..].as_mut_ptr().cast(), iov_len: room };
        let mut control = [0_u64; 16];
        // SAFETY: msghdr is made of integers and pointers, for which all bits zero is a value.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: buffer and control lie where the message says, as long as it says, until the call returns.
        let n = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut message, 0) };
        let Ok(n) = usize::try_from(n) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        };
        let Some((tag_type, tag)) = tag_beside(&message).filter(|_| n >= ADDRESSES) else {
            return Ok(Some(&self.buffer[TAG..TAG + n]));
        };
        self.buffer.copy_within(TAG..TAG + ADDRESSES, 0);
        self.buffer[ADDRESSES..ADDRESSES + 2].copy_from_slice(&tag_type.to_be_bytes());
        self.buffer[ADDRESSES + 2..ADDRESSES + TAG].copy_from_slice(&tag.to_be_bytes());
        Ok(Some(&self.buffer[..TAG + n]))
    }

    /// Frames that passed the filter and found no room, since the last call.
    pub fn missed(&self) -> io::Result<u64> {
        let mut counts = [0_u32; 2];
        let mut len = length::<[u32; 2]>();
        // SAFETY: the value is alive, and the kernel writes no more than `len` bytes.
        let answer = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                SOL_PACKET,
                PACKET_STATISTICS,
                counts.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        if answer == 0 { Ok(counts[1].into()) } else { Err(io::Error::last_os_error()) }
    }
}

/// A socket that sends whole frames and hears nothing.
#[derive(Debug)]
pub struct FrameSender(OwnedFd);

impl FrameSender {
    /// Opens it in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the call takes numbers only. Without a protocol nothing comes in.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a frame by a link, or says why not: `WouldBlock` while the link has no room.
    pub fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        // SAFETY: sockaddr_ll is made of integers and an array of them, for which all bits zero is a value.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = AF_PACKET;
        address.sll_ifindex = ifindex.cast_signed();
        if let Some([high, low]) = frame.get(ADDRESSES..ADDRESSES + 2) {
            address.sll_protocol = u16::from_ne_bytes([*high, *low]);
        }
        let to = (&raw const address).cast();
        // SAFETY: frame and address are alive and as long as is said; the kernel only reads them.
        let n = unsafe {
            libc::sendto(
                self.0.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                libc::MSG_NOSIGNAL,
                to,
                length::<libc::sockaddr_ll>(),
            )
        };
        if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The outer tag, which the kernel takes off before it shows the frame.
fn tag_beside(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: the kernel has filled the message, and its control buffer lives in the caller.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !at.is_null() {
        // SAFETY: the macros give addresses of whole headers inside the control buffer only.
        let header = unsafe { at.read_unaligned() };
        if (header.cmsg_level, header.cmsg_type) == (SOL_PACKET, PACKET_AUXDATA) {
            // SAFETY: the kernel puts a struct tpacket_auxdata behind this header, of which any bytes are a value.
            let beside = unsafe { libc::CMSG_DATA(at).cast::<Beside>().read_unaligned() };
            let tag_type = if beside.status & VLAN_TPID_VALID == 0 { CUSTOMER_TAG } else { beside.tag_type };
            return (beside.status & VLAN_VALID != 0).then_some((tag_type, beside.tag));
        }
        // SAFETY: as above.
        at = unsafe { libc::CMSG_NXTHDR(message, at) };
    }
    None
}

fn length<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("addresses and options are a few bytes long")
}

fn set<T>(socket: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: `value` is alive and as long as is said; the kernel copies the instructions that a filter points to, which
    // live as long as it does.
    let answer =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length::<T>()) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
