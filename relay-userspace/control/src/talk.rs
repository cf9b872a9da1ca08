//! Control's end of the talk with a lane: a question, an answer, and a deadline. Nothing here waits for a lane that
//! hangs, and no late answer is taken for the present one.

use super::process::AdoptError;
use crate::waited_for::waited_for;
use anyhow::{Context, bail};
use relay_engine::lane::LANE;
use relay_engine::lane::handoff::{self, Heard, Message, Outfit, Refusal, kind, said};
use relay_engine::sys::fd_passing::{self as passing, Sender, Waits};
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A lane that does not answer for so long while it starts, or is taken over, will not.
pub const START_PATIENCE: Duration = Duration::from_secs(5);
/// A lane at work looks at its control a hundred times a second.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// What a lane has is limited by the descriptors that it may have open; this is beyond all use.
const MOST_SHOWN: usize = 65_536;

/// Requests that wait for their answers at once: fewer than a Unix socket holds at the least (net.unix.max_dgram_qlen), so
/// that neither side waits for the other to read.
const UNDER_WAY: usize = 8;

/// The connection to a lane.
#[derive(Debug)]
pub struct Talk {
    socket: AsyncFd<OwnedFd>,
    serial: u32,
}

/// All that a lane has.
#[derive(Debug)]
pub struct Shown {
    /// The number that it says it has.
    pub number: u32,
    /// Its process and its user, as the kernel says.
    pub sender: Sender,
    /// The protocol it speaks: see [`handoff::PROTOCOL`].
    pub protocol: u32,
    /// The layout of its journal and owner words: see [`relay_common::journal::LAYOUT`].
    pub layout: u32,
    /// What it was started with.
    pub start: Message,
    /// The descriptors it was started with: an [`Outfit`], when the protocol is ours.
    pub outfit: Vec<OwnedFd>,
    /// Its sockets, each with the message that it was handed over with.
    pub sockets: Vec<(Message, OwnedFd)>,
    /// What it holds for others.
    pub held: Vec<Held>,
}

impl Shown {
    /// What it was started with, by names. `None` when it is of another protocol.
    #[must_use]
    pub fn take_outfit(&mut self) -> Option<Outfit> {
        if self.protocol != handoff::PROTOCOL {
            return None;
        }
        std::mem::take(&mut self.outfit).try_into().ok().map(Outfit::from_array)
    }
}

/// How a lane is.
#[derive(Debug)]
pub enum Looked {
    /// No control is there.
    Alone {
        /// Since when, in nanoseconds of the monotonic clock; 0 when it does not know.
        since: u64,
        /// The two copies of what the last control wrote down.
        memo: Option<[OwnedFd; 2]>,
    },
    /// A control has it.
    Taken {
        /// Since when none was in charge before; 0 when one is.
        since: u64,
        /// The two copies of what it wrote down: it may hang.
        memo: Option<[OwnedFd; 2]>,
    },
}

/// A descriptor that a lane holds.
#[derive(Debug)]
pub struct Held {
    /// By what it is known.
    pub tag: u64,
    /// What was to be remembered with it.
    pub note: Vec<u8>,
    /// The descriptor.
    pub descriptor: OwnedFd,
}

impl Talk {
    /// Goes on after the request of that number, with a lane that was started, or begins.
    pub fn new(socket: OwnedFd, serial: u32) -> anyhow::Result<Self> {
        Ok(Self { socket: waited_for(socket).context("cannot talk to the lane")?, serial })
    }

    /// Begins with whoever stands behind a door. The kernel says from here on who answers.
    pub fn with_a_lane(connection: OwnedFd) -> anyhow::Result<Self> {
        passing::ask_for_senders(connection.as_fd()).context("cannot tell who answers")?;
        Self::new(connection, 0)
    }

    /// Whether the lane is there.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        passing::is_connected(self.socket.get_ref().as_fd())
    }

    /// Who listens at the door by which this came, if it is a process that is there and has a lane's name.
    #[must_use]
    pub fn listener(&self) -> Option<(u32, OwnedFd)> {
        let (pid, process) = passing::listener(self.socket.get_ref().as_fd())?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        // A control listens there until its lane does. What is read of a number is of this process as long as it lives.
        (name.starts_with(LANE) && !relay_engine::sys::process::has_ended(process.as_fd())).then_some((pid, process))
    }

    /// Asks for something and waits until it is done.
    ///
    /// # Errors
    /// A [`Refusal`] when the lane did not do it. With any other error nobody knows whether it did.
    pub async fn ask(&mut self, message: Message, fds: &[RawFd], patience: Duration) -> anyhow::Result<Message> {
        let asked = async {
            let serial = self.say(message, fds).await?;
            self.hear(serial).await
        };
        let answer = tokio::time::timeout(patience, asked).await.context("the lane does not answer")??.0;
        match answer.kind {
            kind::DONE => Ok(answer),
            kind::REFUSED => Err(Refusal::of(&answer).into()),
            other => bail!("the lane answered {other} to {}: it is of another version", message.kind),
        }
    }

    /// Asks for many things, each with a descriptor or none and without waiting for the answer to the one before. Otherwise it says
    /// how many, in their order, were done.
    ///
    /// # Errors
    /// Why the next one was not.
    pub async fn ask_all(
        &mut self,
        asked: &[(Message, Option<RawFd>)],
        patience: Duration,
    ) -> Result<(), (usize, anyhow::Error)> {
        let mut done = 0;
        let first = self.serial.wrapping_add(1);
        let all = async {
            for (n, (message, fd)) in asked.iter().enumerate() {
                if n >= UNDER_WAY {
                    self.hear_done(first, &mut done).await?;
                }
                self.say(*message, fd.as_slice()).await?;
            }
            while done < asked.len() {
                self.hear_done(first, &mut done).await?;
            }
            Ok(())
        };
        let answered = tokio::time::timeout(patience, all).await;
        let answered = answered.unwrap_or_else(|_| Err(anyhow::anyhow!("the lane does not answer")));
        answered.map_err(|error| (done, error))
    }

    async fn hear_done(&self, first: u32, done: &mut usize) -> anyhow::Result<()> {
        let serial = first.wrapping_add(u32::try_from(*done)?);
        let (answer, ..) = self.hear(serial).await?;
        match answer.kind {
            kind::DONE => *done += 1,
            kind::REFUSED => return Err(Refusal::of(&answer).into()),
            other => bail!("the lane answered {other}: it is of another version"),
        }
        Ok(())
    }

    /// Asks for all that the lane has.
    ///
    /// # Errors
    /// When another control talks with it, when it does not answer in time, and when it does not make sense.
    pub async fn show(&mut self, patience: Duration) -> Result<Shown, AdoptError> {
        match tokio::time::timeout(patience, self.listen_to_all()).await {
            Ok(shown) => shown,
            Err(_) => Err(anyhow::anyhow!("the lane does not answer").into()),
        }
    }

    /// Asks how the lane is, and takes nothing over.
    ///
    /// # Errors
    /// When it does not answer in time, or does not know the question.
    pub async fn look(&mut self, patience: Duration) -> anyhow::Result<Looked> {
        let asked = async {
            // One that is busy with another control has said so and hung up.
            let said = self.say(Message::of(kind::LOOK), &[]).await;
            let heard = self.hear(self.serial).await;
            let (answer, descriptors, _) = if heard.is_ok() { heard? } else { said.and(heard)? };
            match answer.kind {
                kind::BUSY => Ok(Looked::Taken { since: answer.tag, memo: descriptors.try_into().ok() }),
                kind::LOOKED => Ok(Looked::Alone { since: answer.tag, memo: descriptors.try_into().ok() }),
                other => bail!("the lane answered {other}: it is of another version"),
            }
        };
        tokio::time::timeout(patience, asked).await.context("the lane does not answer")?
    }

    async fn listen_to_all(&mut self) -> Result<Shown, AdoptError> {
        // One that is busy with another control has said so and hung up.
        let said = self.say(Message::of(kind::SHOW), &[]).await;
        let serial = self.serial;
        let (first, _, sender) = match self.hear(serial).await {
            Ok((first, ..)) if first.kind == kind::BUSY => return Err(AdoptError::Busy),
            heard => said.and(heard)?,
        };
        let sender = sender.context("the kernel does not say which process answers: is it of this PID namespace?")?;
        let untrue = |problem: String| AdoptError::Untrue { sender, problem };
        let (start, outfit, _) = self.hear(serial).await?;
        if (first.kind, start.kind) != (kind::SHOWN, kind::START) {
            return Err(untrue(format!("it showed {} and {}", first.kind, start.kind)));
        }
        let said::Shown { layout, sockets, held, .. } = first.says();
        let mut shown = Shown {
            number: first.number,
            sender,
            protocol: first.protocol,
            layout,
            start,
            outfit,
            sockets: Vec::new(),
            held: Vec::new(),
        };
        loop {
            let (message, mut fds, _) = self.hear(serial).await?;
            if shown.sockets.len() + shown.held.len() > MOST_SHOWN {
                return Err(untrue(format!("it showed more than {MOST_SHOWN} descriptors")));
            }
            match (message.kind, fds.pop()) {
                (kind::TAKE, Some(socket)) => shown.sockets.push((message, socket)),
                (kind::HOLD, Some(descriptor)) => {
                    shown.held.push(Held { tag: message.tag, note: message.note().to_vec(), descriptor });
                }
                (kind::DONE, None) => break,
                (other, _) => return Err(untrue(format!("it showed {other} without a descriptor"))),
            }
        }
        if (shown.sockets.len(), shown.held.len()) != (sockets as usize, held as usize) {
            return Err(untrue("it did not show as much as it said that it has".to_owned()));
        }
        Ok(shown)
    }

    async fn say(&mut self, message: Message, fds: &[RawFd]) -> anyhow::Result<u32> {
        self.serial = self.serial.wrapping_add(1);
        let message = Message { serial: self.serial, ..message };
        let send = |socket: &OwnedFd| handoff::send(socket.as_fd(), &message, fds, Waits::No);
        self.socket.async_io(Interest::WRITABLE, send).await.context("cannot reach the lane")?;
        Ok(self.serial)
    }

    /// The answer to the request of that number; what is late of earlier ones is passed over.
    async fn hear(&self, serial: u32) -> anyhow::Result<Heard> {
        let receive = |socket: &OwnedFd| match handoff::receive_from(socket.as_fd(), Waits::No)? {
            Some(heard) => Ok(heard),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        };
        loop {
            let heard = self.socket.async_io(Interest::READABLE, receive).await;
            // It hung up without reading all that we said. What it said before can still be read.
            if heard.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
                continue;
            }
            let heard = heard.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => anyhow::anyhow!("the lane ended"),
                _ => anyhow::Error::from(error).context("cannot hear the lane"),
            })?;
            if heard.0.serial == serial || heard.0.kind == kind::BUSY {
                return Ok(heard);
            }
        }
    }
}
