//! The terminal is taken, and given back as it was, whatever happens.

use super::state::{Happening, State};
use super::{draw, keys};
use anyhow::Context as _;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event;
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode, size};
use std::fs::File;
use std::io::{self, BufWriter};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::mpsc;

/// Another screen, empty and without a cursor; what was there is there again afterwards. Nothing is asked of the
/// terminal: over a slow line its answer would be waited for.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[2J";
/// No colours, the cursor, and the screen that was there.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";
/// So many keys may wait; whoever types faster than that waits.
const WAITING: usize = 64;

/// Whether the terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal. It is given back when this is dropped, and before a panic is told.
pub(super) struct Screen {
    // A file of its own, which nobody else locks, and a buffer that holds a whole picture, so that it is sent in one go.
    // It is not dropped: its own way of giving the terminal back panics where that is gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<BufWriter<File>>>>,
}

impl Screen {
    /// Takes it.
    pub(super) fn take() -> anyhow::Result<Self> {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                give_back();
                before(info);
            }));
        });
        let file = io::stdout().as_fd().try_clone_to_owned().context("cannot use the terminal")?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, File::from(file)));
        TAKEN.store(true, SeqCst);
        // From here on it is given back also where something fails.
        let terminal = Terminal::new(backend).inspect_err(|_| give_back()).context("cannot draw")?;
        let taken = Self { terminal: ManuallyDrop::new(terminal) };
        enable_raw_mode().context("cannot take the terminal")?;
        write(ENTER).context("cannot draw")?;
        Ok(taken)
    }

    /// Its columns and rows.
    pub(super) fn size(&self) -> anyhow::Result<(u16, u16)> {
        size().context("cannot tell how large the terminal is")
    }

    /// Draws what is another than before.
    pub(super) fn draw(&mut self, state: &State) -> anyhow::Result<()> {
        self.terminal.draw(|frame| draw::frame(state, frame)).context("cannot draw")?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back if it is ours. There is nobody to tell a failure to.
fn give_back() {
    if TAKEN.swap(false, SeqCst) {
        let _ = write(LEAVE);
        let _ = disable_raw_mode();
    }
}

/// Writes past all locks and buffers, since a panic may hold any of them.
fn write(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = nix::unistd::write(io::stdout(), bytes)?;
        bytes = bytes.get(n..).unwrap_or_default();
    }
    Ok(())
}

/// What is pressed, and new sizes, as they come; a thread waits for them.
pub(super) fn keys() -> anyhow::Result<mpsc::Receiver<anyhow::Result<Happening>>> {
    let (pressed, waiting) = mpsc::channel(WAITING);
    let wait = move || {
        loop {
            let read = event::read().context("cannot read keys");
            let is_end = read.is_err();
            let happening = read.map(|event| keys::read(&event)).transpose();
            if happening.is_some_and(|happening| pressed.blocking_send(happening).is_err()) || is_end {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".into()).spawn(wait).context("cannot start")?;
    Ok(waiting)
}
