//! A capture: the lanes show a relay's packets, and a thread makes a file of them, piece by piece.

use crate::capture::{Capture, Captured, Clocks, Pieces};
use crate::desk::Desk;
use relay_engine::clock::{now_ns, unix_ns};
use relay_engine::memory::tap::{TapReader, Way};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How often the lanes' taps are emptied: each holds a quarter of a second of 100 Mbit/s.
const LOOK: Duration = Duration::from_millis(5);
/// Pieces that wait for a slow reader; then packets are not shown, and the lanes count them.
const WAITING: usize = 64;

/// One at a time: a tap has one reader.
#[derive(Debug)]
pub struct Captures(Arc<Semaphore>);

impl Default for Captures {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Captures {
    /// Begins a capture of the relay of that name, if there is one.
    pub fn begin(&self, desk: &Desk, name: &str, asked: Captured) -> Option<Result<Pieces, &'static str>> {
        let view = desk.view();
        let (slot, _) = view.table.relay(name)?;
        let Ok(turn) = Arc::clone(&self.0).try_acquire_owned() else {
            return Some(Err("a capture is under way already: wait for its end, or end it"));
        };
        let mut readers = Vec::new();
        for lane in &view.lanes {
            let Ok(reader) = TapReader::open(&*lane.tap) else {
                return Some(Err("the packets of a lane cannot be shown"));
            };
            reader.set_snap(asked.limits.snap.unwrap_or(u32::MAX));
            reader.want(slot, true);
            readers.push(reader);
        }
        let (pieces, taken) = mpsc::channel(WAITING);
        let (desk, name) = (desk.clone(), name.to_owned());
        tokio::task::spawn_blocking(move || {
            let ended = follow(&desk, &name, readers, asked, &pieces, turn);
            if let Err(error) = ended {
                tracing::debug!(%error, "a capture ended");
            }
        });
        Some(Ok(taken))
    }
}

/// Takes what lanes show until a limit is reached, the relay is gone or nobody reads any more.
fn follow(
    desk: &Desk,
    name: &str,
    mut readers: Vec<TapReader>,
    asked: Captured,
    pieces: &mpsc::Sender<io::Result<Vec<u8>>>,
    _turn: OwnedSemaphorePermit,
) -> io::Result<()> {
    let clocks = Clocks { monotonic_ns: now_ns(), real_ns: unix_ns() };
    let mut capture = Capture::begin(Piecewise { pieces, full: Vec::new() }, clocks, asked.limits)?;
    while !capture.is_over(now_ns()) && !pieces.is_closed() {
        let view = desk.view();
        if view.table.relay(name).is_none() {
            capture.end()?.flush()?;
            let gone = io::Error::new(io::ErrorKind::NotFound, "the relay is gone");
            return pieces.blocking_send(Err(gone)).map_err(|_| io::ErrorKind::BrokenPipe.into());
        }
        for reader in &mut readers {
            while let Some(caught) = reader.take() {
                let is_wanted = match caught.about.way {
                    Way::In { .. } => asked.incoming,
                    Way::Out { .. } => asked.outgoing,
                };
                if is_wanted {
                    capture.add(&caught, &view.table)?;
                }
                if capture.is_over(now_ns()) {
                    break;
                }
            }
        }
        capture.flush()?;
        std::thread::sleep(LOOK);
    }
    capture.end()?.flush()
}

/// What is written becomes pieces for whoever reads.
#[derive(Debug)]
struct Piecewise<'a> {
    pieces: &'a mpsc::Sender<io::Result<Vec<u8>>>,
    full: Vec<u8>,
}

impl Write for Piecewise<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.full.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.full.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.full);
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
