//! Why the program could not be loaded, attached or told something.

use crate::bpf::link::Hook;
use nix::errno::Errno;
use std::error::Error;

/// Why the program could not be loaded, attached or told something.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// This binary carries no program.
    #[error("this mcr was built without its eBPF program: build it with `cargo xtask build`")]
    NotEmbedded,
    /// No rights.
    #[error("no right to load eBPF programs: run mcr as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NoRights,
    /// The kernel would not have it.
    #[error("the kernel does not take the eBPF program")]
    Load(#[source] Box<dyn Error + Send + Sync>),
    /// The object lacks a part: it is of another version.
    #[error("the eBPF object has no {0}: build mcr anew with `cargo xtask build`")]
    Lacks(&'static str),
    /// A descriptor of a running program was not handed on.
    #[error("{0} of the running eBPF program was not handed over: load the program anew")]
    Missing(&'static str),
    /// A descriptor is not what it was handed on as, or of another layout.
    #[error("{0} of the running eBPF program is of another version of mcr: load the program anew")]
    Foreign(&'static str),
    /// Another program is attached.
    #[error("another XDP program is attached to {link}: end what attached it, or `ip link set dev {link} xdp off`")]
    Occupied {
        /// The link.
        link: String,
    },
    /// The link cannot do it.
    #[error("cannot attach the XDP program to {link} in {hook} mode: {remedy}")]
    Attach {
        /// The link.
        link: String,
        /// The mode.
        hook: &'static str,
        /// What to do.
        remedy: &'static str,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// What is attached could not be looked at or replaced.
    #[error("cannot {what} the XDP program on a link: {remedy}")]
    Attached {
        /// What was tried.
        what: &'static str,
        /// What to do.
        remedy: &'static str,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// A map could not be read or written.
    #[error("cannot use the eBPF map {map}")]
    Map {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
}

impl ProgramError {
    /// Whether it would be the same elsewhere on that link.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Occupied { .. } | Self::NoRights)
    }
}

pub(super) fn load_error(error: impl Error + Send + Sync + 'static) -> ProgramError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::PermissionDenied
        {
            return ProgramError::NoRights;
        }
        cause = error.source();
    }
    ProgramError::Load(Box::new(error))
}

pub(super) fn attach_error(link: &str, hook: Hook, errno: Errno) -> ProgramError {
    let link = link.to_owned();
    let remedy = match errno {
        Errno::EBUSY | Errno::EEXIST => return ProgramError::Occupied { link },
        Errno::EPERM | Errno::EACCES => return ProgramError::NoRights,
        Errno::EOPNOTSUPP | Errno::EINVAL => "this driver has no native XDP: use mode = \"auto\" or \"generic\"",
        Errno::ERANGE => "the MTU of the link or of its peer is too long for XDP: lower it",
        Errno::ENOSPC => "give the link at least as many receive queues as its peer has transmit queues",
        _ => "see what the kernel log says",
    };
    ProgramError::Attach { link, hook: hook.name(), remedy, errno }
}
