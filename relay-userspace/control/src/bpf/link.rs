//! A program on a link so that one descriptor is all that holds it: whoever dies, it detaches with the last copy of
//! the descriptor, and a copy can be handed to another process. aya shows no such descriptor.
#![expect(unsafe_code, reason = "bpf(2) itself")]

use crate::bpf::syscall::{self, command, number};
use nix::errno::Errno;
use relay_common::plan::Mode;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const BPF_XDP: u32 = 37;
const LINK_TYPE_XDP: u32 = 6;
const XDP_FLAGS_SKB_MODE: u32 = 2;
const XDP_FLAGS_DRV_MODE: u32 = 4;

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// In the driver.
    Native,
    /// Behind the driver.
    Generic,
}

impl Hook {
    /// Where a program can run in that mode, in the order in which it is tried.
    #[must_use]
    pub const fn of(mode: Mode) -> &'static [Self] {
        match mode {
            Mode::Auto => &[Self::Native, Self::Generic],
            Mode::Native => &[Self::Native],
            Mode::Generic => &[Self::Generic],
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// What holds a program on a link, as the kernel has it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The kernel's number of the attachment.
    pub id: u32,
    /// The program under it.
    pub program: u32,
    /// The link it runs on; 0 once it was detached behind our back or the link was removed.
    pub ifindex: u32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

/// Attaches an XDP program to a link.
pub(super) fn attach(program: BorrowedFd<'_>, ifindex: u32, hook: Hook) -> Result<OwnedFd, Errno> {
    let flags = match hook {
        Hook::Native => XDP_FLAGS_DRV_MODE,
        Hook::Generic => XDP_FLAGS_SKB_MODE,
    };
    let mut attr = LinkCreate { program: number(program), target: ifindex, attach_type: BPF_XDP, flags };
    // SAFETY: there is no address in it.
    let fd = unsafe { syscall::call(command::LINK_CREATE, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    old_program: u32,
}

/// Puts another program in the place of the one that runs: each frame sees the one or the other.
pub(super) fn update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attr = LinkUpdate { link: number(link), program: number(program), flags: 0, old_program: 0 };
    // SAFETY: there is no address in it.
    unsafe { syscall::call(command::LINK_UPDATE, &mut attr) }.map(|_| ())
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkDetach {
    link: u32,
}

/// Takes the program off its link, whoever else holds a descriptor.
pub(super) fn detach(link: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attr = LinkDetach { link: number(link) };
    // SAFETY: there is no address in it.
    unsafe { syscall::call(command::LINK_DETACH, &mut attr) }.map(|_| ())
}

/// The kernel's struct bpf_link_info, as far as it is read.
#[derive(Default, FromBytes, IntoBytes)]
#[repr(C)]
struct Raw {
    kind: u32,
    id: u32,
    program: u32,
    zero: u32,
    ifindex: u32,
    rest: u32,
}

/// Reads what a descriptor holds. The kernel waits for its lock of all links meanwhile.
pub(super) fn info(link: BorrowedFd<'_>) -> Result<LinkInfo, Errno> {
    let mut raw = Raw::default();
    // SAFETY: the kernel knows what `link` is and refuses what is no object of bpf(2); of any other than a bpf link it
    // writes numbers over numbers; it reads no address here, since all of it is zero.
    unsafe { syscall::info(link, &mut raw) }?;
    if raw.kind != LINK_TYPE_XDP {
        return Err(Errno::EINVAL);
    }
    Ok(LinkInfo { id: raw.id, program: raw.program, ifindex: raw.ifindex })
}
