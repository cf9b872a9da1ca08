//! A program on a link: held, looked at, replaced, handed on.

use super::link::{self, Hook, LinkInfo};
use super::program::ProgramError;
use nix::errno::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A program on a link. It detaches when the last descriptor of it closes, in whichever process that is.
#[derive(Debug)]
pub struct Attached {
    /// Where it runs.
    pub hook: Hook,
    /// Whether it was made for a program that asks the driver for VLAN tags beside frames.
    pub asks: bool,
    link: OwnedFd,
}

impl Attached {
    pub(super) const fn new(link: OwnedFd, hook: Hook, asks: bool) -> Self {
        Self { hook, asks, link }
    }

    /// Takes an attachment that another process made, which must be one of an XDP program.
    pub fn adopt(fd: OwnedFd, hook: Hook, asks: bool) -> Result<Self, ProgramError> {
        let attached = Self::new(fd, hook, asks);
        attached.info()?;
        Ok(attached)
    }

    /// What the kernel says of it now, without side effects; the program and the link of this are what must be compared
    /// to know that nobody has meddled. The kernel takes its lock of all links for that, so where other things hold the
    /// lock this waits: ask from a thread that may.
    pub fn info(&self) -> Result<LinkInfo, ProgramError> {
        let remedy = "the descriptor is none of an XDP program: start mcr afresh";
        link::info(self.link.as_fd()).map_err(|errno| ProgramError::Attached { what: "look at", remedy, errno })
    }

    /// Takes the program off its link at once: closing the descriptor would not, while others hold copies of it.
    pub fn detach(&self) -> Result<(), ProgramError> {
        let remedy = "ip link set dev LINK xdp off";
        link::detach(self.link.as_fd()).map_err(|errno| ProgramError::Attached { what: "detach", remedy, errno })
    }

    /// Puts another program in the place of the one that runs; no frame goes past both.
    pub(super) fn update(&self, program: BorrowedFd<'_>) -> Result<(), ProgramError> {
        link::update(self.link.as_fd(), program).map_err(|errno| {
            let remedy = match errno {
                Errno::ENOLINK => "it was detached, or the link is gone: attach it again",
                Errno::EPERM | Errno::EACCES => return ProgramError::NoRights,
                _ => "see what the kernel log says",
            };
            ProgramError::Attached { what: "replace", remedy, errno }
        })
    }
}

impl AsFd for Attached {
    /// The descriptor to hand on, with the [`Hook`] beside it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}
