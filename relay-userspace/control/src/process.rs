//! A lane's process as control has it: started or taken over, and talked to. It lives on when this value goes.

use super::door;
use super::supervisor::Started;
use super::talk::{PATIENCE, Shown, Talk};
use super::vault::Held;
use crate::waited_for::waited_for;
use anyhow::{Context, bail, ensure};
use relay_engine::lane::handoff::{Message, kind, said};
use relay_engine::sys::fd_passing::Sender;
use relay_engine::sys::process::{self, Ending};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Why a lane ended is known so soon after it hung up.
const ENDING_PATIENCE: Duration = Duration::from_millis(100);
/// So long after it was killed a process is gone, on the worst of machines.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// A lane whose control has gone and that does not answer for so long hangs: see [`relay_common::hang`].
const SILENT: Duration = Duration::from_secs(2);
/// How often a lane is asked whether it is still busy with a control that has just gone.
const BUSY_STEP: Duration = Duration::from_millis(10);

/// A lane at work: a child of ours, or of a control before us.
///
/// Dropping this leaves the lane alone: it relays on, and another control can take it over. [`LaneProcess::end`]
/// ends it.
#[derive(Debug)]
pub struct LaneProcess {
    pid: u32,
    process: Arc<AsyncFd<OwnedFd>>,
    talk: Talk,
    /// Which life of the lane this is: see [`Life`](super::supervisor::Life).
    pub life: u64,
}

/// The process of a lane, to end it.
#[derive(Clone, Debug)]
pub struct Handle {
    /// Its number.
    pub pid: u32,
    process: Arc<AsyncFd<OwnedFd>>,
}

impl Handle {
    /// Whether it has ended, or does so soon.
    pub async fn ended_within(&self, patience: Duration) -> bool {
        let _ = tokio::time::timeout(patience, self.process.readable()).await;
        process::has_ended(self.process.get_ref().as_fd())
    }

    /// Ends it at once, whatever it does, and buries a child.
    pub async fn end(self) {
        let process = self.process.get_ref().as_fd();
        if !process::has_ended(process) {
            if let Err(error) = process::kill(process) {
                tracing::warn!(pid = self.pid, %error, "a lane could not be killed");
            }
            self.ended_within(KILL_PATIENCE).await;
        }
        process::ending(self.process.get_ref().as_fd());
    }
}

/// Why a lane could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Nobody stands behind the door; its file has been removed.
    #[error("no lane is there any more")]
    Nobody,
    /// Another control has it.
    #[error("another control has this lane")]
    Busy,
    /// It answered what no lane does that is sound.
    #[error("{problem}")]
    Untrue {
        /// Who answered.
        sender: Sender,
        /// What was wrong.
        problem: String,
    },
    /// It did not answer, or nobody knows who did.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// A lane that was asked what it has.
#[derive(Debug)]
pub enum Met {
    /// It shows all that it has.
    Lane(LaneProcess, Box<Shown>),
    /// What it shows makes no sense, for this reason. It stands behind a door that control made, so it is a lane, and
    /// the kernel says which process it is.
    Untrue(LaneProcess, String),
    /// It does not answer, for this reason; the kernel says which process began to listen at its door.
    Silent(LaneProcess, String),
}

impl LaneProcess {
    fn taken_over(pid: u32, talk: Talk) -> anyhow::Result<Self> {
        let process = process::open(pid).and_then(waited_for).context("cannot watch the lane")?;
        Ok(Self { pid, process: Arc::new(process), talk, life: 0 })
    }

    /// A lane that was started for us.
    pub fn of(started: Started) -> anyhow::Result<Self> {
        let Started { pid, process, socket, serial, life, .. } = started;
        let process = waited_for(process).context("cannot watch the lane")?;
        Ok(Self { pid, process: Arc::new(process), talk: Talk::new(socket, serial)?, life })
    }

    /// Takes over a lane whose control has gone, by its door, and learns all that it has.
    ///
    /// # Errors
    /// When nobody is there, another control is, or what is there does not behave like a lane. It is left as it was.
    pub async fn adopt(path: &Path) -> Result<(Self, Shown), AdoptError> {
        match Self::meet(path).await? {
            Met::Lane(lane, shown) => Ok((lane, *shown)),
            Met::Untrue(_, problem) | Met::Silent(_, problem) => Err(AdoptError::Failed(anyhow::Error::msg(problem))),
        }
    }

    /// Goes to the door of a lane whose control has gone. What it says is not looked at yet, but for who it is.
    ///
    /// # Errors
    /// When nobody is there, another control is, or nobody answers. Whoever is there is left as it was.
    pub async fn meet(path: &Path) -> Result<Met, AdoptError> {
        let mut waited = Duration::ZERO;
        let (talk, shown) = loop {
            let connection = door::open(path)?.ok_or(AdoptError::Nobody)?;
            let mut talk = Talk::with_a_lane(connection)?;
            match talk.show(SILENT).await {
                // The lane may not have noticed yet that its control is gone.
                Err(AdoptError::Busy) if waited < PATIENCE => {
                    tokio::time::sleep(BUSY_STEP).await;
                    waited += BUSY_STEP;
                }
                // It dies while it is asked: whoever comes to its door a moment later finds nobody there.
                Err(_) if !talk.is_connected() && waited < PATIENCE => {
                    tokio::time::sleep(BUSY_STEP).await;
                    waited += BUSY_STEP;
                }
                shown => break (talk, shown),
            }
        };
        let (sender, shown) = match shown {
            Ok(shown) => (shown.sender, Ok(shown)),
            Err(AdoptError::Untrue { sender, problem }) => (sender, Err(problem)),
            Err(AdoptError::Failed(error)) => {
                // A lane begins to listen at its door itself.
                let Some((pid, process)) = talk.listener() else { return Err(error.into()) };
                let process = Arc::new(waited_for(process).context("cannot watch the lane")?);
                return Ok(Met::Silent(Self { pid, process, talk, life: 0 }, format!("{error:#}")));
            }
            Err(error) => return Err(error),
        };
        // The kernel has told its number. While it is there the number is its own; had it gone, it could be another's.
        let lane = Self::taken_over(sender.pid, talk)?;
        if !lane.talk.is_connected() {
            return Err(AdoptError::Nobody);
        }
        Ok(match shown {
            Ok(shown) => Met::Lane(lane, Box::new(shown)),
            Err(problem) => Met::Untrue(lane, problem),
        })
    }

    /// Its process number.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its process, for whoever waits for its end too.
    pub fn watched(&self) -> io::Result<OwnedFd> {
        self.process.get_ref().try_clone()
    }

    /// Whether it is alive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !process::has_ended(self.process.get_ref().as_fd())
    }

    /// How it ended, once it has. A child is buried by that: while the supervisor follows it, that is the supervisor's.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        process::ending(self.process.get_ref().as_fd())
    }

    /// Whether it has ended, after a request that failed: one that hung up is gone in a moment.
    pub async fn has_died(&self) -> bool {
        if !self.talk.is_connected() {
            self.ended_within(ENDING_PATIENCE).await;
        }
        !self.is_alive()
    }

    /// Whether it has ended, or does so soon.
    pub async fn ended_within(&self, patience: Duration) -> bool {
        self.handle().ended_within(patience).await
    }

    /// Its process, to end it whatever becomes of this.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { pid: self.pid, process: Arc::clone(&self.process) }
    }

    /// Ends it at once, whatever it does. A successor finds everything where it stands.
    pub async fn end(self) {
        self.handle().end().await;
    }

    /// Ends it: asked to between two batches, in words that every version knows, and if that does not help, killed.
    pub async fn end_at_edge(mut self) {
        if self.talk.ask(Message::of(kind::STOP_AT_EDGE), &[], PATIENCE).await.is_ok() {
            self.ended_within(PATIENCE).await;
        }
        self.end().await;
    }

    /// Asks for something and waits until it is done.
    ///
    /// # Errors
    /// A [`Refusal`](relay_engine::lane::handoff::Refusal) when the lane did not do it. With any other error nobody knows
    /// whether it did.
    pub async fn ask(&mut self, message: Message, fds: &[BorrowedFd<'_>]) -> anyhow::Result<Message> {
        let fds: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        self.talk.ask(message, &fds, PATIENCE).await
    }

    /// Hands over a socket that has its rings and is not bound yet (see [`LaneSocket::take_message`]). It can be bound
    /// when this returns.
    ///
    /// When this or [`LaneProcess::drop_socket`] fails with anything but a
    /// [`Refusal`](relay_engine::lane::handoff::Refusal), nobody knows how far the lane came:
    /// [`end`](LaneProcess::end) it and start another with the sockets that it should have; that loses nothing.
    ///
    /// [`LaneSocket::take_message`]: super::station::LaneSocket::take_message
    pub async fn take(&mut self, take: Message, socket: BorrowedFd<'_>) -> anyhow::Result<()> {
        ensure!(take.kind == kind::TAKE, "not a socket");
        self.talk.ask(take, &[socket.as_raw_fd()], PATIENCE).await.map(drop)
    }

    /// Has the lane take its packets off a socket, unmap and close it. Says how many packets were not sent.
    ///
    /// Keep a copy of the socket until this returns: closing the last one takes the kernel milliseconds, in which the
    /// lane would not relay. Take its outputs out of the table first, and on a link that lives let the ring run empty.
    pub async fn drop_socket(&mut self, number: u16) -> anyhow::Result<u32> {
        let message = Message { number: number.into(), ..Message::of(kind::DROP) };
        Ok(self.talk.ask(message, &[], PATIENCE).await?.says::<said::Done>().number)
    }

    /// Tells the lane that a socket sends for another output link from now on, or for none.
    pub async fn use_as(&mut self, number: u16, output: Option<u16>) -> anyhow::Result<()> {
        let used = said::Use { output: said::output(output), ..said::Use::default() };
        let message = Message { number: number.into(), ..Message::of(kind::USE).saying(used) };
        self.talk.ask(message, &[], PATIENCE).await.map(drop)
    }

    /// Ends it at once, and does not wait.
    pub fn kill(&self) {
        if let Err(error) = process::kill(self.process.get_ref().as_fd()) {
            tracing::warn!(pid = self.pid, %error, "a lane could not be killed");
        }
    }

    /// Tells the lane that the kernel has let go of a socket that was dropped. Says how many frames came free.
    pub async fn reclaim(&mut self, number: u16) -> anyhow::Result<u32> {
        let message = Message { number: number.into(), ..Message::of(kind::RECLAIM) };
        Ok(self.talk.ask(message, &[], PATIENCE).await?.says::<said::Done>().number)
    }

    /// Has the lane hold a descriptor, with a note of at most [`NOTE`](relay_engine::lane::handoff::NOTE) bytes.
    pub async fn hold(&mut self, tag: u64, note: &[u8], descriptor: BorrowedFd<'_>) -> anyhow::Result<()> {
        ensure!(note.len() <= relay_engine::lane::handoff::NOTE, "a note of {} bytes is too long", note.len());
        self.talk.ask(Message::hold(tag, note), &[descriptor.as_raw_fd()], PATIENCE).await.map(drop)
    }

    /// Has the lane hold all of these, with one deadline. Otherwise it says how many of them, in their order, it holds.
    ///
    /// # Errors
    /// Why it does not hold the others.
    pub async fn hold_all(&mut self, held: &[(u64, Held)]) -> Result<(), (usize, anyhow::Error)> {
        let one = |(tag, held): &(u64, Held)| (Message::hold(*tag, held.note.as_bytes()), Some(held.fd.as_raw_fd()));
        let messages: Vec<_> = held.iter().map(one).collect();
        self.talk.ask_all(&messages, PATIENCE).await
    }

    /// Has the lane let a held descriptor go, if it has one of that tag.
    pub async fn forget(&mut self, tag: u64) -> anyhow::Result<()> {
        self.talk.ask(Message { tag, ..Message::of(kind::FORGET) }, &[], PATIENCE).await.map(drop)
    }

    /// Has the lane let go of all of these, with one deadline.
    pub async fn forget_all(&mut self, tags: &[u64]) -> anyhow::Result<()> {
        let one = |tag: &u64| (Message { tag: *tag, ..Message::of(kind::FORGET) }, None);
        let messages: Vec<_> = tags.iter().map(one).collect();
        self.talk.ask_all(&messages, PATIENCE).await.map_err(|(_, error)| error)
    }

    /// All that the lane has.
    pub async fn show(&mut self) -> Result<Shown, AdoptError> {
        self.talk.show(PATIENCE).await
    }

    /// Has the lane wait between two batches, with everything where it stands for another process. Says its turn.
    pub async fn pause(&mut self) -> anyhow::Result<u32> {
        Ok(self.talk.ask(Message::of(kind::PAUSE), &[], PATIENCE).await?.says::<said::Done>().number)
    }

    /// Has a lane that waits go on. One that has gone on by itself, or whose place is taken, need not be asked.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        self.talk.ask(Message::of(kind::RESUME), &[], PATIENCE).await.map(drop)
    }

    /// Sees a lane off that waits, and in whose place another one relays: it ends when it is hung up on.
    pub async fn leave(self) {
        let Self { process, talk, pid, .. } = self;
        drop(talk);
        let handle = Handle { pid, process };
        if !handle.ended_within(PATIENCE).await {
            tracing::warn!(pid, "a lane whose place is taken does not end, and is killed");
        }
        handle.end().await;
    }

    /// Has the lane end between two batches, with everything where it stands for a successor.
    pub async fn stop_at_edge(mut self) -> anyhow::Result<()> {
        self.talk.ask(Message::of(kind::STOP_AT_EDGE), &[], PATIENCE).await?;
        if !self.ended_within(PATIENCE).await {
            bail!("the lane said that it ends and is still there");
        }
        Ok(())
    }
}
