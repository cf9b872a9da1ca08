//! Creating a socket: register the lane's frames, fill, bind, and find out what it really became.
//!
//! Each socket registers its lane's frames as a UMEM of its own, so each link can have its own mode: sockets that
//! share a UMEM are forced into one. Only the lane's own frames are registered: no lane can send another's.

use super::options;
use super::port::Port;
use crate::kernel::process::close_on_exec;
use crate::memory::Mapping;
use nix::errno::Errno;
use relay_common::plan::ZeroCopy;
use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::time::Duration;
use xdpilone::{IfInfo, Socket, SocketConfig, Umem, UmemConfig};

/// What a socket is for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The link's name.
    pub link: &'a str,
    /// Its queue.
    pub queue: u32,
    /// Whether it receives.
    pub receives: bool,
    /// Whether it sends.
    pub sends: bool,
    /// Whether zero-copy is used.
    pub zero_copy: ZeroCopy,
    /// Entries of every ring.
    pub ring_size: u32,
    /// Bytes per frame.
    pub frame_size: u32,
}

/// Why a socket could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The memory could not be registered.
    #[error("cannot lock {mib} MiB of frames: raise the memory-lock limit (ulimit -l) or give mcr CAP_IPC_LOCK")]
    MemoryLock {
        /// How much it was.
        mib: usize,
    },
    /// The process lacks a right.
    #[error("no right to use AF_XDP: run mcr as root or with CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_IPC_LOCK")]
    NoRights,
    /// The kernel has no AF_XDP.
    #[error("this kernel has no AF_XDP sockets: use one built with CONFIG_XDP_SOCKETS")]
    NoXdp,
    /// Zero-copy was demanded and is not to be had.
    #[error("{link} queue {queue} cannot do zero-copy: use zero_copy = \"auto\" for this interface, or another driver")]
    NoZeroCopy {
        /// The link.
        link: String,
        /// The queue.
        queue: u32,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Another program has the queue.
    #[error("{link} queue {queue} is in use by another AF_XDP program: end that one first")]
    InUse {
        /// The link.
        link: String,
        /// The queue.
        queue: u32,
    },
    /// Anything else.
    #[error("cannot {doing} on {link} queue {queue}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// The link.
        link: String,
        /// The queue.
        queue: u32,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// How long a queue may stay busy: after a socket is closed the kernel takes it down in the background.
const BUSY_PATIENCE: Duration = Duration::from_secs(3);
const BUSY_STEP: Duration = Duration::from_millis(5);

/// A bound socket.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub fd: OwnedFd,
    /// Whether it is zero-copy, as the kernel says.
    pub zero_copy: bool,
}

/// Creates and binds a socket over a lane's frames. `fill` is asked for frames to put on the fill ring: drivers want
/// it full before the bind, even of a socket that only sends.
pub fn create(frames: &Mapping, wanted: &Wanted<'_>, mut fill: impl FnMut(&mut Port)) -> Result<Bound, SocketError> {
    let modes: &[u16] = match wanted.zero_copy {
        ZeroCopy::Auto => &[SocketConfig::XDP_BIND_ZEROCOPY, SocketConfig::XDP_BIND_COPY],
        ZeroCopy::Always => &[SocketConfig::XDP_BIND_ZEROCOPY],
        ZeroCopy::Never => &[SocketConfig::XDP_BIND_COPY],
    };
    let mut last = Errno::EOPNOTSUPP;
    for &mode in modes {
        let mut waited = Duration::ZERO;
        loop {
            // A socket whose bind failed cannot be trusted for another: each attempt has a fresh one.
            let attempt = Attempt::prepare(frames, wanted, mode)?;
            match attempt.bind(wanted, &mut fill)? {
                Ok(fd) => return finish(fd, wanted),
                Err(Errno::EBUSY) if waited < BUSY_PATIENCE => {
                    drop(attempt);
                    std::thread::sleep(BUSY_STEP);
                    waited += BUSY_STEP;
                }
                Err(errno) => {
                    last = errno;
                    break;
                }
            }
        }
        if last == Errno::EBUSY {
            return Err(SocketError::InUse { link: wanted.link.to_owned(), queue: wanted.queue });
        }
    }
    let (link, queue, source) = (wanted.link.to_owned(), wanted.queue, io::Error::from(last));
    Err(match wanted.zero_copy {
        ZeroCopy::Always => SocketError::NoZeroCopy { link, queue, source },
        ZeroCopy::Auto | ZeroCopy::Never => SocketError::Failed { doing: "bind a socket", link, queue, source },
    })
}

/// A socket that has its rings and is not bound: a lane that relays can take it and fill it before it is.
pub struct Prepared(Attempt);

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Prepared").field(&self.0.fd).finish()
    }
}

/// Creates a socket over a lane's frames and binds nothing yet: [`ZeroCopy::Auto`] is tried in zero-copy.
pub fn prepare(frames: &Mapping, wanted: &Wanted<'_>) -> Result<Prepared, SocketError> {
    let mode = match wanted.zero_copy {
        ZeroCopy::Auto | ZeroCopy::Always => SocketConfig::XDP_BIND_ZEROCOPY,
        ZeroCopy::Never => SocketConfig::XDP_BIND_COPY,
    };
    Attempt::prepare(frames, wanted, mode).map(Prepared)
}

impl Prepared {
    /// The socket, to hand over.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }

    /// Binds it, once its fill ring is full. The outer error is final; the inner one is what bind said. Such a socket
    /// cannot be trusted for another attempt: have the lane drop it, let go of this, have the frames reclaimed, and
    /// prepare another, in copy mode, or later when the queue was busy.
    pub fn bind(&self, wanted: &Wanted<'_>) -> Result<Result<Bound, Errno>, SocketError> {
        match self.0.umem.bind(&self.0.user) {
            Ok(()) => finish(self.0.keep(wanted)?, wanted).map(Ok),
            Err(errno) => Ok(Err(Errno::from_raw(errno.get_raw()))),
        }
    }
}

struct Attempt {
    // Dropped in this order: rings before the socket, the socket before the UMEM.
    user: xdpilone::User,
    _device: xdpilone::DeviceQueue,
    umem: Umem,
    fd: OwnedFd,
}

impl Attempt {
    fn prepare(frames: &Mapping, wanted: &Wanted<'_>, mode: u16) -> Result<Self, SocketError> {
        let failed = |doing: &'static str, errno: xdpilone::Errno| SocketError::Failed {
            doing,
            link: wanted.link.to_owned(),
            queue: wanted.queue,
            source: io::Error::from_raw_os_error(errno.get_raw()),
        };
        let config = UmemConfig {
            fill_size: wanted.ring_size,
            complete_size: wanted.ring_size,
            frame_size: wanted.frame_size,
            headroom: 0,
            flags: 0,
        };
        let area = NonNull::slice_from_raw_parts(frames.start(), frames.len());
        // SAFETY: the area is mapped while this runs; afterwards the kernel keeps its pages by itself.
        let umem = unsafe { Umem::new(config, area) }.map_err(|errno| {
            refused_at_once(errno.get_raw(), frames.len()).unwrap_or_else(|| failed("register frames", errno))
        })?;
        let mut info = IfInfo::invalid();
        let name = CString::new(wanted.link).unwrap_or_default();
        info.from_name(&name).map_err(|errno| failed("find the interface", errno))?;
        info.set_queue(wanted.queue);
        let socket = Socket::with_shared(&info, &umem).map_err(|errno| failed("make a socket", errno))?;
        let device = umem.fq_cq(&socket).map_err(|errno| failed("make fill and completion rings", errno))?;
        let size = NonZeroU32::new(wanted.ring_size);
        let config = SocketConfig {
            rx_size: size.filter(|_| wanted.receives),
            tx_size: size.filter(|_| wanted.sends),
            bind_flags: mode | SocketConfig::XDP_BIND_NEED_WAKEUP,
        };
        let user = umem.rx_tx(&socket, &config).map_err(|errno| failed("make receive and transmit rings", errno))?;
        // SAFETY: the descriptor belongs to `socket`, which is alive.
        let borrowed = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
        // xdpilone leaves it open for every program that is started: a lane that nobody gave it would keep the queue.
        let closed = close_on_exec(borrowed);
        closed.map_err(|source| SocketError::Failed {
            doing: "close a socket for others",
            link: wanted.link.to_owned(),
            queue: wanted.queue,
            source,
        })?;
        let fd = borrowed.try_clone_to_owned().map_err(|source| SocketError::Failed {
            doing: "keep the socket",
            link: wanted.link.to_owned(),
            queue: wanted.queue,
            source,
        })?;
        Ok(Self { user, _device: device, umem, fd })
    }

    fn keep(&self, wanted: &Wanted<'_>) -> Result<OwnedFd, SocketError> {
        self.fd.try_clone().map_err(|source| SocketError::Failed {
            doing: "keep the socket",
            link: wanted.link.to_owned(),
            queue: wanted.queue,
            source,
        })
    }

    /// Fills, then binds. The outer error is final; the inner one is what bind said.
    fn bind(
        &self,
        wanted: &Wanted<'_>,
        fill: &mut impl FnMut(&mut Port),
    ) -> Result<Result<OwnedFd, Errno>, SocketError> {
        let failed = |doing: &'static str, source: io::Error| SocketError::Failed {
            doing,
            link: wanted.link.to_owned(),
            queue: wanted.queue,
            source,
        };
        let mut port = Port::open(self.keep(wanted)?, wanted.receives, wanted.sends, wanted.ring_size)
            .map_err(|source| failed("map the rings", source))?;
        fill(&mut port);
        match self.umem.bind(&self.user) {
            Ok(()) => Ok(Ok(self.keep(wanted)?)),
            Err(errno) => Ok(Err(Errno::from_raw(errno.get_raw()))),
        }
    }
}

/// What the kernel says of the first socket, before any link or queue matters.
const fn refused_at_once(errno: i32, bytes: usize) -> Option<SocketError> {
    match errno {
        libc::ENOBUFS | libc::ENOMEM => Some(SocketError::MemoryLock { mib: bytes >> 20 }),
        libc::EPERM | libc::EACCES => Some(SocketError::NoRights),
        libc::EAFNOSUPPORT => Some(SocketError::NoXdp),
        _ => None,
    }
}

fn finish(fd: OwnedFd, wanted: &Wanted<'_>) -> Result<Bound, SocketError> {
    let failed = |doing: &'static str, source: io::Error| SocketError::Failed {
        doing,
        link: wanted.link.to_owned(),
        queue: wanted.queue,
        source,
    };
    let zero_copy = options::is_zero_copy(fd.as_fd()).map_err(|source| failed("ask for the mode", source))?;
    if !zero_copy {
        options::raise_copy_mode_limits(fd.as_fd(), wanted.ring_size, wanted.frame_size);
    }
    if !zero_copy && wanted.sends {
        probe(fd.as_fd()).map_err(|errno| failed("send", io::Error::from(errno)))?;
    }
    Ok(Bound { fd, zero_copy })
}

/// Asks the kernel to send nothing: some drivers bind and then refuse to send. A link that is down is no such driver.
/// In zero-copy the answer means something only when a program is attached to the link.
pub fn probe(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    match options::kick(socket) {
        Err(errno @ (Errno::ENXIO | Errno::EINVAL | Errno::EOPNOTSUPP)) => Err(errno),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::refused_at_once;

    #[test]
    fn what_the_kernel_refuses_at_once_has_its_own_words() {
        let said = |errno| refused_at_once(errno, 18 << 20).map(|error| error.to_string()).unwrap_or_default();
        assert!(said(libc::EAFNOSUPPORT).contains("no AF_XDP sockets: use one built with CONFIG_XDP_SOCKETS"));
        assert!(said(libc::EPERM).contains("CAP_NET_RAW"), "{}", said(libc::EPERM));
        assert!(said(libc::ENOBUFS).contains("cannot lock 18 MiB"), "{}", said(libc::ENOBUFS));
        assert_eq!(said(libc::EINVAL), "", "others are told with link and queue");
    }
}
