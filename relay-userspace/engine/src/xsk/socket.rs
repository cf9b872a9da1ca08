//! Creating a socket: register the lane's frames, fill, bind, and find out what it really became.
//!
//! Each socket registers its lane's frames as a UMEM of its own, so each link can have its own mode: sockets that
//! share a UMEM are forced into one. Only the lane's own frames are registered: no lane can send another's.

use super::options;
use super::port::Port;
use crate::clock::now_ns;
use crate::memory::Mapping;
use crate::sys::process::close_on_exec;
use nix::errno::Errno;
use relay_common::plan::ZeroCopy;
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
    /// Zero-copy was demanded and would spoil what comes in.
    #[error(
        "{link} would cut packets in zero-copy: its MTU is {mtu}, and with frames of {frame_size} bytes its NIC receives \
         {longest}: use lanes.frame_size = 4096, a smaller MTU, or zero_copy = \"auto\""
    )]
    Cuts {
        /// The link.
        link: String,
        /// Its MTU.
        mtu: u32,
        /// The longest packet that is received whole.
        longest: u32,
        /// Bytes of a frame.
        frame_size: u32,
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

/// How long a queue may stay busy that was ours a moment ago, or an earlier mcr's: after a socket is closed the kernel takes
/// it down in the background.
pub const LETTING_GO: Duration = Duration::from_secs(3);
/// How long any other queue may stay busy: longer than a short look of another program, as `mcr probe`, takes.
pub const BUSY: Duration = Duration::from_millis(500);
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
    let mut tries = Tries::new(wanted, LETTING_GO);
    loop {
        let unbound = Unbound::prepare(frames, wanted, tries.mode())?;
        unbound.fill(wanted, &mut fill)?;
        match unbound.bind() {
            Ok(fd) => return finish(fd, wanted),
            Err(errno) => {
                drop(unbound);
                if let Some(pause) = tries.again(wanted, errno, now_ns())? {
                    std::thread::sleep(pause);
                }
            }
        }
    }
}

/// The modes that are tried in turn, and how often.
#[derive(Debug)]
pub struct Tries {
    modes: &'static [u16],
    /// For how long a queue is let be busy.
    patience: Duration,
    /// Until when, once it was found busy, in nanoseconds of the monotonic clock.
    until: Option<u64>,
}

impl Tries {
    /// Nothing tried yet. A queue that is busy is let be so for that long, whatever each try takes.
    #[must_use]
    pub const fn new(wanted: &Wanted<'_>, patience: Duration) -> Self {
        let modes: &[u16] = match wanted.zero_copy {
            ZeroCopy::Auto => &[SocketConfig::XDP_BIND_ZEROCOPY, SocketConfig::XDP_BIND_COPY],
            ZeroCopy::Always => &[SocketConfig::XDP_BIND_ZEROCOPY],
            ZeroCopy::Never => &[SocketConfig::XDP_BIND_COPY],
        };
        Self { modes, patience, until: None }
    }

    /// The mode to try now.
    #[must_use]
    pub const fn mode(&self) -> u16 {
        self.modes[0]
    }

    /// After a bind that failed: whether it is tried again, in another mode or after a pause. A socket whose bind
    /// failed cannot be trusted for another: each try has a fresh one.
    ///
    /// # Errors
    /// When everything was tried.
    pub fn again(&mut self, wanted: &Wanted<'_>, errno: Errno, now: u64) -> Result<Option<Duration>, SocketError> {
        let (link, queue) = (wanted.link.to_owned(), wanted.queue);
        if errno == Errno::EBUSY {
            let patience = u64::try_from(self.patience.as_nanos()).unwrap_or(u64::MAX);
            if now >= *self.until.get_or_insert_with(|| now.saturating_add(patience)) {
                return Err(SocketError::InUse { link, queue });
            }
            return Ok(Some(BUSY_STEP));
        }
        if self.modes.len() > 1 {
            self.modes = &self.modes[1..];
            self.until = None;
            return Ok(None);
        }
        let source = io::Error::from(errno);
        Err(match wanted.zero_copy {
            ZeroCopy::Always => SocketError::NoZeroCopy { link, queue, source },
            ZeroCopy::Auto | ZeroCopy::Never => SocketError::Failed { doing: "bind a socket", link, queue, source },
        })
    }
}

/// A socket with its rings and its registered frames, not bound yet: whoever owns the frames fills it first.
pub struct Unbound {
    // Dropped in this order: rings before the socket, the socket before the UMEM.
    user: xdpilone::User,
    _device: xdpilone::DeviceQueue,
    umem: Umem,
    fd: OwnedFd,
}

impl std::fmt::Debug for Unbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unbound").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl Unbound {
    /// Registers a lane's frames and makes a socket with its rings.
    ///
    /// # Errors
    /// What the kernel refuses before any queue matters.
    pub fn prepare(frames: &Mapping, wanted: &Wanted<'_>, mode: u16) -> Result<Self, SocketError> {
        let index = nix::net::if_::if_nametoindex(wanted.link);
        let index = index.map_err(|errno| SocketError::Failed {
            doing: "find the interface",
            link: wanted.link.to_owned(),
            queue: wanted.queue,
            source: io::Error::from(errno),
        })?;
        Self::prepare_on(index, frames, wanted, mode)
    }

    /// The same on the link of that index, whatever it is called by now.
    pub(super) fn prepare_on(
        ifindex: u32,
        frames: &Mapping,
        wanted: &Wanted<'_>,
        mode: u16,
    ) -> Result<Self, SocketError> {
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
        info.from_ifindex(ifindex).map_err(|errno| failed("find the interface", errno))?;
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

    /// The socket, to be handed to whoever fills it.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Fills it here: the frames are nobody's yet.
    fn fill(&self, wanted: &Wanted<'_>, fill: &mut impl FnMut(&mut Port)) -> Result<(), SocketError> {
        let port = self.fd.try_clone().and_then(|fd| Port::open(fd, wanted.receives, wanted.sends, wanted.ring_size));
        fill(&mut port.map_err(|source| SocketError::Failed {
            doing: "map the rings",
            link: wanted.link.to_owned(),
            queue: wanted.queue,
            source,
        })?);
        Ok(())
    }

    /// Binds it.
    ///
    /// # Errors
    /// What bind(2) said: [`Tries`] knows what to make of it.
    pub fn bind(&self) -> Result<OwnedFd, Errno> {
        self.umem.bind(&self.user).map_err(|errno| Errno::from_raw(errno.get_raw()))?;
        self.fd.try_clone().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EMFILE)))
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

/// Finds out what a bound socket really became.
///
/// # Errors
/// When the kernel does not say, or the socket cannot send.
pub fn finish(fd: OwnedFd, wanted: &Wanted<'_>) -> Result<Bound, SocketError> {
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
    use super::{BUSY, SocketError, Tries, Wanted, refused_at_once};
    use nix::errno::Errno;
    use relay_common::plan::ZeroCopy;

    #[test]
    fn a_busy_queue_is_let_be_busy_for_a_time_and_not_for_a_number_of_tries() {
        let zero_copy = ZeroCopy::Auto;
        let wanted =
            Wanted { link: "in0", queue: 3, receives: true, sends: true, zero_copy, ring_size: 8, frame_size: 2048 };
        let (mut tries, busy) = (Tries::new(&wanted, BUSY), u64::try_from(BUSY.as_nanos()).unwrap());
        // Each try takes a tenth of the time by itself.
        for now in (0..10).map(|step| 7 + step * busy / 10) {
            assert!(tries.again(&wanted, Errno::EBUSY, now).unwrap().is_some(), "{now}");
        }
        let refused = tries.again(&wanted, Errno::EBUSY, 7 + busy).unwrap_err();
        assert!(matches!(refused, SocketError::InUse { queue: 3, .. }), "{refused}");
        // Another mode has its own time.
        let mut tries = Tries::new(&wanted, BUSY);
        assert!(tries.again(&wanted, Errno::EBUSY, 0).unwrap().is_some());
        assert_eq!(tries.again(&wanted, Errno::EOPNOTSUPP, busy).unwrap(), None);
        assert!(tries.again(&wanted, Errno::EBUSY, busy).unwrap().is_some());
    }

    #[test]
    fn what_the_kernel_refuses_at_once_has_its_own_words() {
        let said = |errno| refused_at_once(errno, 18 << 20).map(|error| error.to_string()).unwrap_or_default();
        assert!(said(libc::EAFNOSUPPORT).contains("no AF_XDP sockets: use one built with CONFIG_XDP_SOCKETS"));
        assert!(said(libc::EPERM).contains("CAP_NET_RAW"), "{}", said(libc::EPERM));
        assert!(said(libc::ENOBUFS).contains("cannot lock 18 MiB"), "{}", said(libc::ENOBUFS));
        assert_eq!(said(libc::EINVAL), "", "others are told with link and queue");
    }
}
