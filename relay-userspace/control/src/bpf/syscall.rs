//! bpf(2) itself: what aya has no call for, or keeps the descriptor of to itself.
#![expect(unsafe_code, reason = "bpf(2) itself")]

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The numbers of the commands that are used here.
pub(super) mod command {
    pub(in super::super) const MAP_LOOKUP: libc::c_long = 1;
    pub(in super::super) const MAP_UPDATE: libc::c_long = 2;
    pub(in super::super) const MAP_DELETE: libc::c_long = 3;
    pub(in super::super) const PROG_LOAD: libc::c_long = 5;
    pub(in super::super) const INFO_BY_FD: libc::c_long = 15;
    pub(in super::super) const MAP_LOOKUP_BATCH: libc::c_long = 24;
    pub(in super::super) const LINK_CREATE: libc::c_long = 28;
    pub(in super::super) const LINK_UPDATE: libc::c_long = 29;
    pub(in super::super) const LINK_DETACH: libc::c_long = 34;
}

/// Calls bpf(2) with as much of `union bpf_attr` as the command reads; the kernel takes the rest as zero.
///
/// # Safety
/// Addresses in `attr` are good for what the command does with them until the call returns.
pub(super) unsafe fn call<T: IntoBytes + Immutable>(command: libc::c_long, attr: &mut T) -> Result<i32, Errno> {
    // SAFETY: `attr` is a live value of exactly that many bytes, none of them padding; for what it points to, the
    // caller answers.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    match i32::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        _ => Err(Errno::last()),
    }
}

/// A descriptor as the kernel's structures hold it.
pub(super) fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// Where a value lies, as the kernel's structures hold it.
pub(super) fn address<T: ?Sized>(value: *const T) -> u64 {
    value.cast::<()>().expose_provenance() as u64
}

/// Whether that is the name, as the kernel keeps names: 15 letters at most.
pub(super) fn is_name(kept: [u8; 16], name: &str) -> bool {
    kept.split(|byte| *byte == 0).next() == Some(name.as_bytes())
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct InfoByFd {
    fd: u32,
    len: u32,
    info: u64,
}

/// Asks what a descriptor stands for, without any effect on it.
///
/// # Safety
/// `T` is the beginning of the info structure of what `fd` is; addresses in it are good for what the kernel writes there.
pub(super) unsafe fn info<T: FromBytes + IntoBytes>(fd: BorrowedFd<'_>, info: &mut T) -> Result<(), Errno> {
    let len = u32::try_from(size_of::<T>()).expect("info structures have a few hundred bytes");
    let mut attr = InfoByFd { fd: number(fd), len, info: address(std::ptr::from_mut(info)) };
    // SAFETY: the kernel writes no more than `len` bytes to `info`, a live value of which any bytes are valid; for the
    // addresses in it the caller answers.
    unsafe { call(command::INFO_BY_FD, &mut attr) }.map(|_| ())
}
