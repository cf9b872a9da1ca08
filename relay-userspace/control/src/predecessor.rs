//! The control that this one is to follow, as this one sees it: it runs beside this one and goes on where this one fails.
//!
//! This one says how far it is and waits at each step until it may go on. When the other ends, whatever the reason, it ends
//! too: at no moment there are two that want the lanes. `docs/decisions/0030-an-upgrade-stands-on-two-feet.md`.

use crate::notify;
use anyhow::{Context as _, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use relay_engine::sys::fd_passing::{self as passing, Waits};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A sentence takes some hundred bytes.
const LONGEST: usize = 4096;

/// What the two say to each other. The newer one says what it has done, the older one what is to be done next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// It can read the configuration file and do what it takes on this kernel.
    Prepared,
    /// Take the lanes over: nobody has them.
    TakeOver,
    /// It has them.
    Ready,
    /// Answer who asks.
    Answer,
    /// It answers.
    Answers,
    /// Be the one: the other ends.
    Lead,
    /// It is.
    Leads,
    /// It cannot, for this reason.
    Failed(String),
}

/// The line to the control that this one follows. Clones are the same.
#[derive(Clone, Debug)]
pub struct Predecessor(Arc<OwnedFd>);

impl Predecessor {
    /// This process is a child of the control at the other end.
    ///
    /// # Errors
    /// When that is gone.
    pub fn new(line: OwnedFd) -> anyhow::Result<Self> {
        set_pdeathsig(Signal::SIGKILL).context("cannot follow the control before this one")?;
        notify::keep_silent(true);
        if passing::has_hung_up(line.as_fd()) {
            bail!(GONE);
        }
        Ok(Self(Arc::new(line)))
    }

    /// Nothing speaks against taking over. Returns when it is to be done.
    ///
    /// # Errors
    /// When the other has ended or does not want it any more.
    pub fn prepared(&self) -> anyhow::Result<()> {
        self.step(&Word::Prepared, &Word::TakeOver)
    }

    /// The lanes are taken over. Returns when whoever asks is to be answered.
    ///
    /// # Errors
    /// See [`Self::prepared`].
    pub fn ready(&self) -> anyhow::Result<()> {
        self.step(&Word::Ready, &Word::Answer)
    }

    /// Whoever asks is answered. Returns when this control is to be the one: for systemd it is by now.
    ///
    /// # Errors
    /// See [`Self::prepared`].
    pub fn answers(&self) -> anyhow::Result<()> {
        self.step(&Word::Answers, &Word::Lead)
    }

    /// This control is the one, and the other ends. It [outlives](outlive) that.
    ///
    /// # Errors
    /// When the other has ended before.
    pub fn leads(&self) -> anyhow::Result<()> {
        notify::keep_silent(false);
        say(self.0.as_fd(), &Word::Leads).context(GONE)
    }

    /// It cannot be done. The other says so to whoever asked for it.
    pub fn failed(&self, error: &anyhow::Error) {
        let mut text = format!("{error:#}");
        text.truncate(text.floor_char_boundary(LONGEST / 2));
        // When it is gone nobody wants to know.
        let _ = say(self.0.as_fd(), &Word::Failed(text));
    }

    fn step(&self, done: &Word, next: &Word) -> anyhow::Result<()> {
        say(self.0.as_fd(), done).context(GONE)?;
        // The other one ends this process when it takes too long.
        while let Err(error) = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) {
            ensure!(error == Errno::EINTR, "the control before this one cannot be heard: {error}");
        }
        match hear(self.0.as_fd()).context(GONE)? {
            Some(word) if word == *next => Ok(()),
            Some(word) => bail!("the control before this one says {word:?} where {next:?} was to come"),
            None => bail!(GONE),
        }
    }
}

/// This process does not end with its parent. That is a thing of each thread: the one that has [begun](Predecessor::new) asks
/// for it.
///
/// # Errors
/// When the kernel does not let it.
pub fn outlive() -> anyhow::Result<()> {
    set_pdeathsig(None).context("cannot outlive the control before this one")
}

const GONE: &str = "the control before this one has ended, and this one with it";

/// Says a word. Nobody is waited for.
pub fn say(line: BorrowedFd<'_>, word: &Word) -> io::Result<()> {
    passing::send(line, &serde_json::to_vec(word)?, &[], Waits::No)
}

/// What the other says; nothing when it has hung up.
///
/// # Errors
/// `WouldBlock` when it has not said anything.
pub fn hear(line: BorrowedFd<'_>) -> io::Result<Option<Word>> {
    let mut message = vec![0; LONGEST];
    let received = passing::receive(line, &mut message, Waits::No)?;
    let said = &message[..received.bytes];
    if said.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(said)?)) }
}
