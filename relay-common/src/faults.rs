//! Faults of kernels and drivers that a relay meets: what they do, in which versions, and what to do. The versions are
//! those of the CVE records of kernel.org, each read; what has no record was found by ourselves.
//!
//! Only faults of what mcr does are listed, and each is told only of a link on which mcr would do it.

use crate::release::{Maker, Release, Version};
use alloc::{format, string::String, vec::Vec};

/// What on a link wakes a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A socket in zero-copy.
    ZeroCopy,
    /// A socket in zero-copy that is polled busily.
    BusyPolling,
    /// A socket that copies.
    Copy,
    /// A program in the driver.
    Native,
}

impl Mode {
    /// The words for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::BusyPolling => "zero-copy with busy polling",
            Self::Copy => "copy",
            Self::Native => "native",
        }
    }
}

/// Where a fault is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fix {
    /// The first version without it: of each stable branch, then of all that follow.
    In(&'static [Version]),
    /// In no version that is known. What to do instead.
    Unknown(&'static str),
}

impl Fix {
    /// The first versions without the fault; none where none is known.
    #[must_use]
    pub const fn versions(&self) -> &'static [Version] {
        match self {
            Self::In(versions) => versions,
            Self::Unknown(_) => &[],
        }
    }
}

/// A fault.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// By what others know it; what it is about, where it has no number.
    pub reference: &'static str,
    /// The drivers that have it; none where it is the kernel's own.
    pub drivers: &'static [&'static str],
    /// Whether a driver that is part of the kernel, and no module of it, does not have it.
    pub only_modules: bool,
    /// What wakes it.
    pub mode: Mode,
    /// The first version that has it: of each stable branch that got it later, then of all that follow.
    pub since: &'static [Version],
    /// Where it is gone.
    pub fixed: Fix,
    /// What happens.
    pub what: &'static str,
    /// Whether zero-copy is left alone for it, unless it is demanded.
    pub spoils_zero_copy: bool,
}

/// Every fault that is known.
pub const FAULTS: &[Fault] = &[
    Fault {
        reference: "CVE-2026-31691",
        drivers: &["igb"],
        only_modules: false,
        mode: Mode::ZeroCopy,
        since: &[Version(6, 14, 0)],
        fixed: Fix::In(&[Version(6, 18, 23), Version(6, 19, 13), Version(7, 0, 0)]),
        what: "when a program with sockets in zero-copy ends, the driver can wait for ever and the card sends nothing \
               more until the machine is started anew",
        spoils_zero_copy: true,
    },
    Fault {
        reference: "CVE-2024-46765",
        drivers: &["ice"],
        only_modules: false,
        mode: Mode::ZeroCopy,
        since: &[Version(5, 5, 0)],
        fixed: Fix::In(&[Version(6, 6, 51), Version(6, 10, 10), Version(6, 11, 0)]),
        what: "a reset of the card while sockets in zero-copy are bound or closed crashes the kernel",
        spoils_zero_copy: true,
    },
    Fault {
        reference: "CVE-2025-40290",
        drivers: &[],
        only_modules: false,
        mode: Mode::Copy,
        since: &[Version(6, 16, 8), Version(6, 17, 0)],
        fixed: Fix::In(&[Version(6, 17, 11), Version(6, 18, 0)]),
        what: "a packet that is sent in copy mode and stays on this machine (over veth, to a container) can crash the \
               kernel",
        spoils_zero_copy: false,
    },
    Fault {
        reference: "CVE-2026-22981",
        drivers: &["idpf"],
        only_modules: false,
        mode: Mode::Native,
        // XDP came to this driver then; the fault itself is older.
        since: &[Version(6, 18, 0)],
        fixed: Fix::In(&[Version(6, 18, 6), Version(6, 19, 0)]),
        what: "a reset of the card while its queues are set up anew, as for a program, can leave the link down for good",
        spoils_zero_copy: false,
    },
    Fault {
        reference: "CVE-2023-53240",
        drivers: &[],
        only_modules: false,
        mode: Mode::BusyPolling,
        since: &[Version(5, 15, 33), Version(5, 16, 19), Version(5, 17, 2), Version(5, 18, 0)],
        fixed: Fix::In(&[Version(6, 1, 16), Version(6, 2, 3), Version(6, 3, 0)]),
        what: "sending on a link that is down crashes the kernel",
        spoils_zero_copy: false,
    },
    Fault {
        reference: "the header fault of virtio_net",
        drivers: &["virtio_net"],
        only_modules: true,
        mode: Mode::ZeroCopy,
        since: &[Version(6, 13, 0)],
        fixed: Fix::Unknown("no fixed kernel is known; have the host expect no header (vnet_hdr=off at QEMU's tap)"),
        what: "each frame that is sent in zero-copy has a header out of memory that is not the driver's, and the host may \
               drop all of them, which nobody counts",
        spoils_zero_copy: true,
    },
];

/// How sure it is that a kernel has a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Its number does not tell.
    Perhaps,
    /// By its number, unless its maker has fixed it apart.
    Probably,
    /// It is the kernel that kernel.org gave out under that number.
    Surely,
}

impl Certainty {
    /// The word for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Perhaps => "perhaps",
            Self::Probably => "probably",
            Self::Surely => "surely",
        }
    }
}

/// A driver, as far as faults depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Driver<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is a module, and no part of the kernel itself.
    pub is_module: bool,
}

/// What mcr does, or would do, on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing<'a> {
    /// The link's driver.
    pub driver: Driver<'a>,
    /// Whether sockets are, or may become, zero-copy.
    pub zero_copy: bool,
    /// Whether they copy, or may.
    pub copies: bool,
    /// Whether a program runs in the driver.
    pub native: bool,
    /// Whether sockets are polled busily.
    pub polls_busily: bool,
}

/// A fault that a kernel has, or may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The fault.
    pub fault: &'static Fault,
    /// How sure it is.
    pub certainty: Certainty,
    release: Release,
}

/// The faults of a kernel that concern what is done on a link.
#[must_use]
pub fn findings(release: &Release, doing: &Doing<'_>) -> Vec<Finding> {
    let concerned = FAULTS.iter().filter(|fault| fault.concerns(doing));
    let found = concerned.filter_map(|fault| {
        let certainty = fault.certainty(release)?;
        Some(Finding { fault, certainty, release: *release })
    });
    found.collect()
}

/// Whether zero-copy is left alone on a link of that driver.
#[must_use]
pub fn spoils_zero_copy(release: &Release, driver: Driver<'_>) -> Option<Finding> {
    let doing = Doing { driver, zero_copy: true, native: true, ..Doing::default() };
    findings(release, &doing).into_iter().find(Finding::spoils_zero_copy)
}

impl Fault {
    fn concerns(&self, doing: &Doing<'_>) -> bool {
        let is_done = match self.mode {
            Mode::ZeroCopy => doing.zero_copy,
            Mode::BusyPolling => doing.zero_copy && doing.polls_busily,
            Mode::Copy => doing.copies,
            Mode::Native => doing.native,
        };
        let has_it = self.drivers.is_empty() || self.drivers.contains(&doing.driver.name);
        is_done && has_it && (doing.driver.is_module || !self.only_modules)
    }

    /// Whether a kernel has it.
    #[must_use]
    pub fn certainty(&self, release: &Release) -> Option<Certainty> {
        let (version, fixed) = (release.version, self.fixed.versions());
        let last = |versions: &[Version]| versions.last().copied().unwrap_or(Version(u16::MAX, 0, 0));
        if release.is_candidate && [last(self.since), last(fixed)].contains(&version) {
            return Some(Certainty::Perhaps);
        }
        let (oldest, newest) = if release.is_stable_known {
            (version, version)
        } else {
            (version, Version(version.0, version.1, u16::MAX))
        };
        let came = is_reached(self.since, newest);
        let went = is_reached(fixed, oldest);
        match release.maker {
            // Under an old number they carry new drivers, and their faults.
            Maker::RedHat | Maker::Suse => (!went && (came || !self.drivers.is_empty())).then_some(Certainty::Perhaps),
            _ if !came || went => None,
            Maker::Ubuntu | Maker::Proxmox => Some(Certainty::Perhaps),
            _ if !release.is_stable_known => Some(Certainty::Perhaps),
            Maker::Upstream => Some(Certainty::Surely),
            // Upstream has left that branch without the fix: who still builds it brings fixes himself.
            Maker::Other if !fixed.is_empty() && !fixed.iter().any(|one| one.is_of_branch(version)) => {
                Some(Certainty::Perhaps)
            }
            Maker::Debian | Maker::Other => Some(Certainty::Probably),
        }
    }
}

/// The version to update to, from that one: of the same branch, if that has one.
fn update(fixed: &[Version], from: Version) -> Version {
    let same = fixed.iter().find(|fixed| fixed.is_of_branch(from));
    let next = fixed.iter().find(|fixed| **fixed > from);
    same.or(next).or_else(|| fixed.last()).copied().unwrap_or(from)
}

/// Whether a version is at or behind the first one of its branch, or of all branches.
fn is_reached(firsts: &[Version], version: Version) -> bool {
    let of_all = firsts.last().is_some_and(|first| version >= *first);
    of_all || firsts.iter().any(|first| first.is_of_branch(version) && version >= *first)
}

impl Finding {
    /// Whether zero-copy is left alone for it: a number that does not tell is no reason.
    #[must_use]
    pub fn spoils_zero_copy(&self) -> bool {
        self.fault.spoils_zero_copy && self.certainty >= Certainty::Probably
    }

    /// What is so, and what follows.
    #[must_use]
    pub fn text(&self) -> String {
        let Fault { reference, what, .. } = self.fault;
        let version = self.release.version;
        match self.certainty {
            Certainty::Surely => format!("Linux {version} has {reference}: {what}"),
            Certainty::Probably => format!("this kernel has {reference}, by its number ({version}): {what}"),
            Certainty::Perhaps => format!("this kernel may have {reference}, its number does not tell: {what}"),
        }
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> String {
        let reference = self.fault.reference;
        let to = match self.fault.fixed {
            Fix::Unknown(instead) => return String::from(instead),
            Fix::In(versions) => update(versions, self.release.version),
        };
        let update = format!("update the kernel to Linux {to} or newer");
        let ask = match (self.certainty, self.release.maker) {
            (Certainty::Surely, _) | (_, Maker::Upstream) => return update,
            (_, Maker::Debian) => format!("https://security-tracker.debian.org/tracker/{reference}"),
            (_, Maker::Ubuntu) => format!("https://ubuntu.com/security/{reference}"),
            (_, Maker::RedHat) => format!("rpm -q --changelog kernel-core | grep {reference}"),
            (_, Maker::Suse) => format!("https://www.suse.com/security/cve/{reference}.html"),
            (_, Maker::Proxmox | Maker::Other) => format!("ask its maker for {reference}"),
        };
        format!("see whether it is fixed in this kernel ({ask}); if not, {update}")
    }
}

#[cfg(test)]
mod tests;
