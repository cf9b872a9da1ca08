//! The network of an emulated NIC: a pair of Unix sockets of which each datagram is one frame, or a tap device.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result};
use bench::links::ip;
use bench::sink::Flow;
use bench::source::Load;
use bench::{Sink, Source, sys};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{setsockopt, sockopt};

/// A guest that takes no frame for so long takes none any more.
const PATIENCE: Duration = Duration::from_secs(20);
/// Datagrams that lie in a socket until they are read, where that can be said. An emulator that finds its socket full keeps
/// the frame, and ends (QEMU 10: an assertion, `async_tx`) when the driver resets the queue just then. By default ten fit in,
/// and a sink that does not run for two milliseconds is enough.
const QUEUED: &str = "4096";
/// Room for as many of them, as the kernel counts it.
const ROOM: usize = 16 << 20;

/// What is at the other end of a NIC.
#[derive(Debug)]
pub(crate) struct Wire {
    end: End,
    /// Takes what the NIC sends when no case does: a socket that nobody reads stops its NIC, and the emulator ends when a
    /// driver then resets a queue.
    idle: RefCell<Option<Sink>>,
}

#[derive(Debug)]
enum End {
    /// Our end of the pair.
    Datagrams(UnixDatagram),
    /// The index of the tap device.
    Tap(u32),
}

impl Wire {
    /// Opens a pair; the other end is the emulator's, which inherits it.
    pub(crate) fn pair() -> Result<(Self, OwnedFd)> {
        if owns_network() {
            fs::write("/proc/sys/net/unix/max_dgram_qlen", QUEUED).context("make room for datagrams")?;
        }
        let (here, theirs) = UnixDatagram::pair().context("open a pair of sockets")?;
        for end in [&here, &theirs] {
            if owns_network() {
                setsockopt(end, sockopt::SndBufForce, &ROOM).context("make room for frames")?;
            }
        }
        fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty())).context("have the emulator inherit a socket")?;
        here.set_write_timeout(Some(PATIENCE))?;
        Ok((Self::new(End::Datagrams(here))?, OwnedFd::from(theirs)))
    }

    /// Makes a tap device for a NIC with several queues. It goes with the network namespace.
    pub(crate) fn tap(name: &str) -> Result<Self> {
        let add = ["tuntap", "add", "name", name, "mode", "tap", "multi_queue"];
        // Longer than any hold-up of the emulator on a busy machine.
        let shape = ["link", "set", name, "txqueuelen", "20000", "up"];
        // Of a guest that did not boot.
        if nix::net::if_::if_nametoindex(name).is_ok() {
            ip(&["link", "del", name])?;
        }
        for words in [&add[..], &shape[..]] {
            ip(words)?;
        }
        Self::new(End::Tap(nix::net::if_::if_nametoindex(name).with_context(|| format!("find {name}"))?))
    }

    fn new(end: End) -> Result<Self> {
        let wire = Self { end, idle: RefCell::default() };
        wire.rest()?;
        Ok(wire)
    }

    /// Starts sending into the NIC.
    pub(crate) fn source(&self, load: Load) -> Result<Source> {
        match &self.end {
            End::Datagrams(here) => Source::over(OwnedFd::from(here.try_clone()?), load),
            End::Tap(index) => Source::over(sys::frame_sender(*index).context("open a packet socket")?, load),
        }
    }

    /// Starts taking what the NIC sends from now on. When that sink has ended, the wire must [`rest`](Self::rest).
    pub(crate) fn sink(&self, flows: Vec<Flow>) -> Result<Sink> {
        self.idle.take();
        match &self.end {
            End::Datagrams(here) => Sink::over(OwnedFd::from(here.try_clone()?), flows),
            End::Tap(index) => {
                Sink::over_packets(sys::frame_receiver(*index).context("open a packet socket")?, 0, flows)
            }
        }
    }

    /// Takes what the NIC sends and forgets it.
    pub(crate) fn rest(&self) -> Result<()> {
        if self.idle.borrow().is_none() {
            let sink = self.sink(Vec::new())?;
            self.idle.replace(Some(sink));
        }
        Ok(())
    }
}

/// Whether the suite has a network namespace of its own, and root in it.
pub(crate) fn owns_network() -> bool {
    env::var_os("MCR_VM_TAPS").is_some()
}
