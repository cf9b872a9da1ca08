//! The control that is to follow this one, as this one sees it: a child that proves itself step by step, each in its time.
//! `docs/decisions/0030-an-upgrade-stands-on-two-feet.md`.

use super::handover::Handover;
use super::predecessor::{Word, hear, say};
use anyhow::Context as _;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use relay_engine::clock::now_ns;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;
use tokio::time::sleep;

/// It reads the configuration file and asks the kernel what that can, which takes milliseconds.
const PREPARED_WITHIN: Duration = Duration::from_secs(5);
/// A large node is taken over, and each lane renewed, in two seconds.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// The rest takes milliseconds.
const SOON: Duration = Duration::from_secs(5);
/// How often it is looked whether it has said something.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A newer control beside this one.
#[derive(Debug)]
pub struct Successor {
    /// Its binary.
    pub binary: PathBuf,
    child: Child,
    line: OwnedFd,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// For this reason. It is gone.
    #[error("{0}")]
    Failed(String),
    /// Somebody wants mcr to end.
    #[error("mcr is to end")]
    Ending,
}

impl Successor {
    /// Starts it with the arguments that this control was started with. It does nothing to the lanes before it is told.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(binary: &Path, handover: &Handover) -> anyhow::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (line, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).context("no socket pair")?;
        handover.give_beside(line.as_fd()).context("the lock and the sockets of the API cannot be shared")?;
        let mut command = Handover::command(binary);
        let child = command.stdin(Stdio::from(theirs)).spawn();
        let child = child.with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Self { binary: binary.to_owned(), child, line })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has found nothing that speaks against taking over. One that does not is ended.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn prepared(&mut self, is_ending: impl Fn() -> bool) -> Result<(), Unfit> {
        self.reach(&Word::Prepared, PREPARED_WITHIN, is_ending).await
    }

    /// Has it take the lanes over, which nobody may have any more, and waits until it has. One that does not is ended.
    ///
    /// # Errors
    /// Why it does not. Lanes relay on without a control.
    pub async fn take_over(&mut self, is_ending: impl Fn() -> bool) -> Result<(), Unfit> {
        self.tell(&Word::TakeOver).await?;
        self.reach(&Word::Ready, READY_WITHIN, is_ending).await
    }

    /// Has it answer who asks, and waits until it does. One that does not is ended.
    ///
    /// # Errors
    /// See [`Self::take_over`].
    pub async fn answer(&mut self, is_ending: impl Fn() -> bool) -> Result<(), Unfit> {
        self.tell(&Word::Answer).await?;
        self.reach(&Word::Answers, SOON, is_ending).await
    }

    /// From now on it is the one. It lives on when this control ends.
    ///
    /// # Errors
    /// When it does not say so. It may be gone.
    pub async fn lead(&mut self) -> Result<(), Unfit> {
        self.tell(&Word::Lead).await?;
        self.reach(&Word::Leads, SOON, || false).await
    }

    async fn tell(&mut self, word: &Word) -> Result<(), Unfit> {
        match say(self.line.as_fd(), word) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended().await),
        }
    }

    async fn reach(&mut self, wanted: &Word, within: Duration, is_ending: impl Fn() -> bool) -> Result<(), Unfit> {
        let deadline = now_ns() + u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let said = match hear(self.line.as_fd()) {
                Ok(Some(word)) if word == *wanted => return Ok(()),
                Ok(Some(Word::Failed(why))) => Some(Unfit::Failed(why)),
                Ok(Some(word)) => Some(Unfit::Failed(format!("it says {word:?} where {wanted:?} was to come"))),
                Ok(None) => Some(self.ended().await),
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                // It has not read what it was told.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(self.ended().await),
                Err(error) => Some(Unfit::Failed(format!("it cannot be understood: {error}"))),
            };
            let said = said.or_else(|| is_ending().then_some(Unfit::Ending));
            let late = || Unfit::Failed(format!("it was not {} within {} s", name(wanted), within.as_secs()));
            if let Some(unfit) = said.or_else(|| (now_ns() > deadline).then(late)) {
                self.end().await;
                return Err(unfit);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// It has hung up.
    async fn ended(&mut self) -> Unfit {
        // It hangs up before its end can be told.
        for _ in 0..500 {
            match self.child.try_wait() {
                Ok(Some(status)) => return Unfit::Failed(format!("it ended: {}", how(status))),
                Ok(None) => sleep(LOOK_AGAIN).await,
                Err(_) => break,
            }
        }
        Unfit::Failed("it has hung up".to_owned())
    }

    /// Ends it, if it has not ended.
    pub async fn end(&mut self) {
        // It is not buried yet, so nobody else has its number.
        let _ = self.child.kill();
        // One that hangs in the kernel is let alone.
        for _ in 0..2500 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

const fn name(word: &Word) -> &'static str {
    match word {
        Word::Prepared => "prepared",
        Word::Ready => "ready",
        Word::Answers => "answering",
        _ => "there",
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}; its log tells why"),
        (None, Some(signal)) => format!("signal {signal}; its log tells more"),
        (None, None) => "nobody knows how".to_owned(),
    }
}
