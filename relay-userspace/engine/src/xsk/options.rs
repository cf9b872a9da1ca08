//! What is asked of an AF_XDP socket and set on it, and the two calls a lane makes on it.

use nix::errno::Errno;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The level of AF_XDP's socket options.
pub const SOL_XDP: i32 = 283;
/// Where the rings of a socket lie.
pub const XDP_MMAP_OFFSETS: i32 = 1;
const XDP_STATISTICS: i32 = 7;
/// What a socket became.
pub const XDP_OPTIONS: i32 = 8;
/// Linux 6.18: how many packets one transmit call sends in copy mode.
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;
const XDP_OPTIONS_ZEROCOPY: u32 = 1;
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_BUSY_POLL_BUDGET: i32 = 70;
/// Packets that one busy poll takes: a batch.
const BUSY_POLL_BUDGET: i32 = 64;
const _: () = assert!(BUSY_POLL_BUDGET as usize == relay_common::journal::BATCH);

/// The kernel's struct xdp_ring_offset.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct RingOffset {
    pub(super) producer: u64,
    pub(super) consumer: u64,
    pub(super) desc: u64,
    pub(super) flags: u64,
}

/// The kernel's struct xdp_mmap_offsets.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct MmapOffsets {
    pub(super) rx: RingOffset,
    pub(super) tx: RingOffset,
    pub(super) fill: RingOffset,
    pub(super) completion: RingOffset,
}

/// What the kernel counts for a socket (struct xdp_statistics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Statistics {
    /// Packets that did not fit a frame, or for which no frame was there.
    pub rx_dropped: u64,
    /// Descriptors on the fill ring that made no sense.
    pub rx_invalid: u64,
    /// Descriptors on the transmit ring that made no sense.
    pub tx_invalid: u64,
    /// Packets that found the receive ring full.
    pub rx_ring_full: u64,
    /// Packets that found no frame on the fill ring.
    pub fill_ring_empty: u64,
    /// Times the kernel found nothing to send.
    pub tx_ring_empty: u64,
}

#[expect(clippy::cast_possible_truncation, reason = "options are a few bytes long")]
fn get<T: Copy + Default>(socket: BorrowedFd<'_>, name: i32) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into a value that is plain data for every bit pattern.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), SOL_XDP, name, std::ptr::from_mut(&mut value).cast(), &raw mut len)
    };
    if done == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "options are a few bytes long")]
fn set(socket: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes of a value that lives until the call returns.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(&value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where the parts of a socket's rings lie.
pub fn mmap_offsets(socket: BorrowedFd<'_>) -> io::Result<MmapOffsets> {
    get(socket, XDP_MMAP_OFFSETS)
}

/// Whether a bound socket really is zero-copy.
pub fn is_zero_copy(socket: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(get::<u32>(socket, XDP_OPTIONS)? & XDP_OPTIONS_ZEROCOPY != 0)
}

/// What the kernel has counted.
pub fn statistics(socket: BorrowedFd<'_>) -> io::Result<Statistics> {
    get(socket, XDP_STATISTICS)
}

/// Lets one transmit call of a copy-mode socket send a whole ring, and lets as many packets be under way. Where the kernel
/// knows nothing of that it takes more calls for it, and the check of the kernel has told so.
pub fn raise_copy_mode_limits(socket: BorrowedFd<'_>, ring_size: u32, frame_size: u32) {
    let _ = set_transmit_budget(socket, ring_size);
    // An skb takes about its frame and a kilobyte of accounting.
    let bytes = u64::from(ring_size) * u64::from(frame_size + 1024);
    let _ = set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, i32::try_from(bytes).unwrap_or(i32::MAX));
}

/// Whether a test plays a kernel that knows nothing of `XDP_MAX_TX_SKB_BUDGET`.
fn budget_is_refused() -> bool {
    cfg!(feature = "chaos") && std::env::var_os("MCR_CHAOS_NO_TX_BUDGET").is_some()
}

/// Lets one transmit call of a copy-mode socket send so many packets.
pub fn set_transmit_budget(socket: BorrowedFd<'_>, packets: u32) -> io::Result<()> {
    if budget_is_refused() {
        return Err(Errno::ENOPROTOOPT.into());
    }
    set(socket, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, i32::try_from(packets).unwrap_or(i32::MAX))
}

/// Makes calls on the socket poll the device themselves, in place of interrupts.
pub fn prefer_busy_poll(socket: BorrowedFd<'_>, microseconds: u32) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, 1)?;
    set(socket, libc::SOL_SOCKET, libc::SO_BUSY_POLL, i32::try_from(microseconds).unwrap_or(i32::MAX))?;
    set(socket, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, BUSY_POLL_BUDGET)
}

/// Asks the kernel to send what is on the transmit ring.
#[inline]
pub fn kick(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no buffer and no address: the call only names the socket.
    let done =
        unsafe { libc::sendto(socket.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
    if done >= 0 { Ok(()) } else { Err(Errno::last()) }
}

/// Asks the kernel to look at the fill ring, or to poll the device in busy-poll mode.
#[inline]
pub fn wake_receive(socket: BorrowedFd<'_>) {
    // SAFETY: as for `kick`. Whatever is wrong will show on the next transmit call or in the statistics.
    let _ = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
}
