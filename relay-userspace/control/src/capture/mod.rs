//! A capture: packets that lanes show, with what the table knows of them, written until a limit is reached.

mod pcapng; // the file

pub use pcapng::{Clocks, Packet, PcapNg};

use relay_common::table::Table;
use relay_engine::memory::tap::{Caught, Way};
use std::io::{self, Write};
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// When a capture ends. Without any limit it goes on until it is ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// After so many packets.
    pub packets: Option<u64>,
    /// Before the file is longer than this.
    pub bytes: Option<u64>,
    /// After so many nanoseconds.
    pub time_ns: Option<u64>,
    /// How many bytes of each packet are kept; all without.
    pub snap: Option<u32>,
}

/// What of a relay's packets is to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Whether those that come in are.
    pub incoming: bool,
    /// Whether those that are sent are.
    pub outgoing: bool,
    /// When it ends, and how much of each packet is kept.
    pub limits: Limits,
}

/// The pieces of a capture as they come; an error where it ends before its time.
pub type Pieces = mpsc::Receiver<io::Result<Vec<u8>>>;

/// A capture under way.
#[derive(Debug)]
pub struct Capture<W> {
    file: PcapNg<W>,
    limits: Limits,
    /// When it began, in nanoseconds of the monotonic clock.
    began_ns: u64,
    packets: u64,
    is_full: bool,
}

impl<W: Write> Capture<W> {
    /// Begins to write. `clocks` were read when it began.
    pub fn begin(out: W, clocks: Clocks, limits: Limits) -> io::Result<Self> {
        let file = PcapNg::begin(out, clocks, limits.snap.unwrap_or(0))?;
        Ok(Self { file, limits, began_ns: clocks.monotonic_ns, packets: 0, is_full: false })
    }

    /// Writes a packet, unless a limit is reached: then there is nothing more to be written. Packets of relays that the
    /// table does not have any more are left out, and the ones that came before the capture began.
    pub fn add(&mut self, caught: &Caught, table: &Table) -> io::Result<()> {
        if self.is_over(caught.about.time_ns) || caught.about.time_ns < self.began_ns {
            return Ok(());
        }
        let Some(told) = Told::of(caught, table) else { return Ok(()) };
        let kept = self.limits.snap.map_or(caught.bytes.len(), |snap| caught.bytes.len().min(snap as usize));
        let packet = Packet {
            link: told.link,
            is_out: matches!(caught.about.way, Way::Out { .. }),
            time_ns: caught.about.time_ns,
            original: caught.original,
            bytes: &caught.bytes[..kept],
            comment: &told.comment,
        };
        let limit = self.limits.bytes.unwrap_or(u64::MAX);
        if self.file.len() + self.file.len_of(&packet) > limit {
            self.is_full = true;
            return Ok(());
        }
        self.packets += 1;
        self.file.write(&packet)
    }

    /// Whether a limit is reached at that time of the monotonic clock.
    #[must_use]
    pub fn is_over(&self, now_ns: u64) -> bool {
        self.is_full
            || self.limits.packets.is_some_and(|most| self.packets >= most)
            || self.limits.time_ns.is_some_and(|longest| now_ns.saturating_sub(self.began_ns) > longest)
    }

    /// Packets that were written.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Hands on what was written so far.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Ends the capture, whole.
    pub fn end(self) -> io::Result<W> {
        self.file.end()
    }
}

/// What the table knows of a packet.
#[derive(Debug, PartialEq, Eq)]
struct Told<'a> {
    /// The link that it came in or goes out on.
    link: &'a str,
    /// Its relay, and its output on the way out.
    comment: String,
}

impl<'a> Told<'a> {
    fn of(caught: &Caught, table: &'a Table) -> Option<Self> {
        let slot = table.relays.get(caught.about.slot as usize)?.as_ref()?;
        let name = &slot.relay.name;
        match caught.about.way {
            Way::In { .. } => Some(Self { link: &slot.relay.input.interface, comment: format!("relay {name}, input") }),
            Way::Out { link, counter } => {
                let link = &table.links.get(usize::from(link))?.as_ref()?.name;
                let at = slot.outputs.iter().position(|output| output.counter == counter)?;
                let output = &slot.relay.outputs[at];
                let to = SocketAddr::new(output.destination, output.port.get());
                Some(Self { link, comment: format!("relay {name}, output {to}") })
            }
        }
    }
}

#[cfg(test)]
mod tests;
