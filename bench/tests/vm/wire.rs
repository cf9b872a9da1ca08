//! The network of an emulated NIC: two Unix sockets of which each datagram is one frame, or a tap device.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use bench::links::ip;
use bench::sink::Flow;
use bench::source::Load;
use bench::{Sink, Source, sys};

/// A guest that takes no frame for so long takes none any more.
const PATIENCE: Duration = Duration::from_secs(20);

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
    /// Where the NIC receives, and where we do.
    Datagrams { nic: PathBuf, here: UnixDatagram },
    /// The index of the tap device.
    Tap(u32),
}

impl Wire {
    /// Opens our end; `nic` and `here` are what the emulator is told.
    pub(crate) fn open(nic: &Path, here: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(here).with_context(|| format!("bind {}", here.display()))?;
        Self::new(End::Datagrams { nic: nic.to_owned(), here: socket })
    }

    /// Makes a tap device for a NIC with several queues. It goes with the network namespace.
    pub(crate) fn tap(name: &str) -> Result<Self> {
        let add = ["tuntap", "add", "name", name, "mode", "tap", "multi_queue"];
        // Longer than any hold-up of the emulator on a busy machine.
        let shape = ["link", "set", name, "txqueuelen", "20000", "up"];
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
            End::Datagrams { nic, .. } => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(nic).context("reach the NIC")?;
                socket.set_write_timeout(Some(PATIENCE))?;
                Source::over(OwnedFd::from(socket), load)
            }
            End::Tap(index) => Source::over(sys::frame_sender(*index).context("open a packet socket")?, load),
        }
    }

    /// Starts taking what the NIC sends from now on. When that sink has ended, the wire must [`rest`](Self::rest).
    pub(crate) fn sink(&self, flows: Vec<Flow>) -> Result<Sink> {
        self.idle.take();
        match &self.end {
            End::Datagrams { here, .. } => Sink::over(OwnedFd::from(here.try_clone()?), flows),
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
