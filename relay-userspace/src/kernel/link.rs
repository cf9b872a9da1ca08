//! Attaching a program to a link so that one descriptor is all that holds it: whoever dies, it detaches with the
//! last copy of the descriptor, and a copy can be handed to another process. aya shows no such descriptor.
#![expect(unsafe_code, reason = "bpf(2) itself")]

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_LINK_DETACH: libc::c_long = 34;
const BPF_XDP: u32 = 37;
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
    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// The kernel's union bpf_attr, as far as BPF_LINK_CREATE reads it; the rest is zero.
#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    rest: [u64; 6],
}

/// Attaches an XDP program to a link.
pub fn attach(program: BorrowedFd<'_>, ifindex: u32, hook: Hook) -> Result<OwnedFd, Errno> {
    let attr = LinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        target: ifindex,
        attach_type: BPF_XDP,
        flags: match hook {
            Hook::Native => XDP_FLAGS_DRV_MODE,
            Hook::Generic => XDP_FLAGS_SKB_MODE,
        },
        rest: [0; 6],
    };
    // SAFETY: the kernel reads `size_of` bytes of a value that lives until the call returns.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, std::ptr::from_ref(&attr), size_of::<LinkCreate>()) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(Errno::last()),
    }
}

/// The kernel's union bpf_attr, as far as BPF_LINK_DETACH reads it.
#[repr(C)]
struct LinkDetach {
    link: u32,
}

/// Detaches the program at once, whoever has copies of the descriptor.
pub fn detach(link: BorrowedFd<'_>) -> Result<(), Errno> {
    let attr = LinkDetach { link: link.as_raw_fd().cast_unsigned() };
    // SAFETY: the kernel reads `size_of` bytes of a value that lives until the call returns.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, std::ptr::from_ref(&attr), size_of::<LinkDetach>()) };
    Errno::result(done).map(drop)
}
