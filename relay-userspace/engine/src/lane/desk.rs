//! Where a lane hears control while it relays: looked at a hundred times a second, never waited for.
//!
//! When control is gone the lane relays on, and whoever of the same user comes in by the door is the next control.
//! One that says nothing, or nothing that makes sense, is shown out, and the door is open for others.
//!
//! A lane that is left alone by its control is left alone by systemd too once the unit is stopped, and ends then:
//! `docs/decisions/0027-systemctl-stop-is-a-fence.md`.

use super::change::Why;
use super::handoff::{self, MEMO, Message, Outfit, PROTOCOL, Refusal, WAITING, kind, said};
use super::ports::{Socket, output};
use super::round::Lane;
use super::vault::Vault;
use crate::sys::fd_passing::{self as passing, Waits};
use crate::xsk::port::Port;
use nix::errno::Errno;
use relay_common::abi::MAX_QUEUES;
use relay_common::journal::{LAYOUT, MAX_SOCKETS};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// How often a busy lane looks whether control says something.
const LOOK_NS: u64 = 10_000_000;
/// In a conversation it looks as often as this, so that a hundred questions do not take a second.
const LOOK_AGAIN_NS: u64 = 100_000;
/// A conversation that nobody has said anything in for so long is over.
const CONVERSATION_NS: u64 = 20_000_000;
/// Whoever comes in by the door has so long to ask what is here, and to read each part of the answer.
const PATIENCE_NS: u64 = 1_000_000_000;
/// After the door could not be opened (no descriptor is free) it is left alone for so long.
const DOOR_PAUSE_NS: u64 = 1_000_000_000;
/// Requests that are carried out in one go, before packets are looked at again.
const MOST_AT_ONCE: usize = 16;

/// What control asked for, or has, beside the sockets.
#[derive(Debug)]
pub struct Desk {
    channel: Option<Channel>,
    /// Who may be control.
    uid: u32,
    /// What control said at the start.
    start: Message,
    outfit: Outfit,
    vault: Vault,
    look_at: u64,
    talked_at: u64,
    door_shut_until: u64,
    /// Since when no control is in charge; 0 while one is, or was never missed.
    left_at: u64,
}

/// The connection to control.
#[derive(Debug)]
struct Channel {
    socket: OwnedFd,
    /// It came in by the door and has not asked what is here.
    is_stranger: bool,
    /// Whoever is there must have said or read something by then.
    patience: Option<u64>,
    /// The part of the answer that is shown next, and the request's number.
    showing: Option<(usize, u32)>,
}

/// What becomes of a channel after a request.
enum Next {
    GoOn,
    HangUp,
    StopAtEdge,
}

impl Desk {
    /// Opens with the control that has started this lane; only processes of that user are control.
    #[must_use]
    pub fn new(control: OwnedFd, uid: u32, start: Message, outfit: Outfit, now: u64) -> Self {
        let channel = Channel { socket: control, is_stranger: false, patience: None, showing: None };
        Self {
            channel: Some(channel),
            uid,
            start,
            outfit,
            vault: Vault::default(),
            look_at: now,
            talked_at: now,
            door_shut_until: 0,
            left_at: 0,
        }
    }

    /// The descriptor that wakes the lane.
    #[must_use]
    pub const fn doorbell(&self) -> &OwnedFd {
        &self.outfit.doorbell
    }

    /// What a sleeping lane waits for: the door, unless nobody is let in for now, and control, or, if there is none, the end of the
    /// unit.
    pub fn descriptors(&self, now: u64) -> impl Iterator<Item = BorrowedFd<'_>> {
        let is_open = now >= self.door_shut_until && !self.has_a_stranger();
        let door = is_open.then(|| self.outfit.door.as_fd());
        // While an answer waits to be read the lane looks again by itself.
        let channel = self.channel.as_ref().filter(|channel| channel.showing.is_none());
        door.into_iter().chain(channel.map(|channel| channel.socket.as_fd())).chain(self.unit())
    }

    /// Somebody came in who has not said yet what for. Others wait outside so long: whoever only looks must not make a control
    /// that is to be in charge believe that another one is.
    fn has_a_stranger(&self) -> bool {
        let stranger = self.channel.as_ref().filter(|channel| channel.is_stranger);
        stranger.is_some_and(|channel| passing::is_connected(channel.socket.as_fd()))
    }

    /// What hangs up when systemd has stopped the unit, as long as no control is there whose business that is.
    fn unit(&self) -> Option<BorrowedFd<'_>> {
        let is_alone = self.channel.as_ref().is_none_or(|channel| channel.is_stranger);
        is_alone.then(|| self.vault.of(handoff::UNIT))?
    }

    /// Whether it is time to look.
    #[inline]
    #[must_use]
    pub const fn is_due(&self, now: u64) -> bool {
        now >= self.look_at
    }

    /// Whether somebody is being talked to: not the time to sleep for long.
    #[must_use]
    pub fn is_showing(&self) -> bool {
        self.channel.as_ref().is_some_and(|channel| channel.showing.is_some())
    }

    /// Lets in who stands at the door and does what control asks. Says whether the lane is to end where it stands.
    pub fn look(&mut self, lane: &mut Lane, now: u64) -> bool {
        self.answer_the_door(now);
        for _ in 0..MOST_AT_ONCE {
            match self.hear(lane, now) {
                Ok(true) => self.talked_at = now,
                Ok(false) => break,
                Err(Next::StopAtEdge) => return true,
                Err(_) => self.hang_up(now),
            }
        }
        if self.unit().is_some_and(passing::has_hung_up) {
            return true;
        }
        #[cfg(feature = "chaos")]
        super::writes::at_a_look(self.channel.is_some());
        let talks = now.saturating_sub(self.talked_at) < CONVERSATION_NS;
        self.look_at = now + if talks { LOOK_AGAIN_NS } else { LOOK_NS };
        false
    }

    /// Nobody is talked to any more. Whoever only looked was no control.
    fn hang_up(&mut self, now: u64) {
        let was_control = self.channel.take().is_some_and(|channel| !channel.is_stranger);
        if was_control && self.left_at == 0 {
            self.left_at = now;
        }
    }

    /// One part of an answer, or one request. Says whether there may be more.
    fn hear(&mut self, lane: &mut Lane, now: u64) -> Result<bool, Next> {
        let Some(channel) = &mut self.channel else { return Ok(false) };
        // Only who gets nowhere is late: it may have been this lane that slept.
        let is_late = channel.patience.is_some_and(|until| now > until);
        if let Some((part, serial)) = channel.showing {
            let goes_on = self.show(lane, part, serial, now)?;
            return if is_late && !goes_on { Err(Next::HangUp) } else { Ok(goes_on) };
        }
        match handoff::receive(channel.socket.as_fd(), Waits::No) {
            Ok(Some((message, descriptors))) => match self.serve(lane, &message, descriptors, now) {
                Next::GoOn => Ok(true),
                other => Err(other),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !is_late => Ok(false),
            // It is gone, it has said nothing for too long, or it says what makes no sense.
            Ok(None) | Err(_) => Err(Next::HangUp),
        }
    }

    fn serve(&mut self, lane: &mut Lane, message: &Message, descriptors: Vec<OwnedFd>, now: u64) -> Next {
        let Some(channel) = &self.channel else { return Next::HangUp };
        if channel.is_stranger && message.kind != kind::SHOW {
            if message.kind == kind::LOOK {
                // It may have gone already.
                let looked = Message { number: self.start.number, serial: message.serial, ..Message::of(kind::LOOKED) };
                let _ = self.show_how_it_is(channel.socket.as_fd(), looked);
            }
            return Next::HangUp;
        }
        if message.kind != kind::SHOW {
            // Whoever asks for more than what is here is in charge.
            self.left_at = 0;
        }
        let done = || Ok(Message::of(kind::DONE));
        let numbered = |n: u32| Message::of(kind::DONE).saying(said::Done::with(n));
        let one = <[OwnedFd; 1]>::try_from(descriptors).map_err(|_| Refusal::NoDescriptor);
        let answer = match message.kind {
            kind::SHOW => {
                let Some(channel) = &mut self.channel else { return Next::HangUp };
                channel.is_stranger = false;
                channel.patience = Some(now + PATIENCE_NS);
                channel.showing = Some((0, message.serial));
                return Next::GoOn;
            }
            kind::STOP_AT_EDGE => {
                // Whether or not it is heard: everything is committed, and a successor can take over.
                let _ = self.say(Message::of(kind::DONE), message.serial, &[]);
                return Next::StopAtEdge;
            }
            kind::HOLD => one.and_then(|[descriptor]| {
                self.hold(lane, *message, descriptor);
                done()
            }),
            kind::FORGET => {
                self.vault.forget(message.tag);
                done()
            }
            kind::PAUSE if message.protocol == PROTOCOL => return self.pause(lane, message.serial),
            _ if message.protocol != PROTOCOL => Ok(Message::of(kind::UNKNOWN)),
            kind::TAKE => one
                .and_then(|[descriptor]| take(lane, message, descriptor, self.start.says::<said::Start>().ring_size))
                .and_then(|()| done()),
            kind::DROP => {
                let is_down = message.says::<said::Drop>().link_is_down != 0;
                let why = if is_down { Why::LinkIsDown } else { Why::NotNeeded };
                number(message).map(|number| numbered(lane.drop_socket(number, why)))
            }
            kind::USE => number(message)
                .and_then(|number| lane.use_as(number, output(message).ok_or(Refusal::NoSuchNumber)?))
                .and_then(|()| done()),
            kind::RECLAIM => number(message).and_then(|number| lane.reclaim(number)).map(numbered),
            _ => Ok(Message::of(kind::UNKNOWN)),
        };
        let answer = answer.unwrap_or_else(Refusal::message);
        // Whoever does not read its answers is not waited for.
        self.say(answer, message.serial, &[]).map_or(Next::HangUp, |()| Next::GoOn)
    }

    /// Holds a descriptor as the message says.
    pub fn hold(&mut self, lane: &mut Lane, message: Message, descriptor: OwnedFd) {
        if let Some(other) = lane_of_counters(&message).filter(|other| *other != self.start.number) {
            // Without them a stream that comes from another lane is thought to have lost what went there.
            let _ = lane.counters.look_at(other, &descriptor);
        }
        self.vault.hold(message, descriptor);
    }

    fn say(&self, message: Message, serial: u32, descriptors: &[RawFd]) -> io::Result<()> {
        let channel = self.channel.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        handoff::send(channel.socket.as_fd(), &Message { serial, ..message }, descriptors, Waits::No)
    }

    /// To one who looks: since when no control is in charge, and what the last one wrote down, which may hang.
    fn show_how_it_is(&self, to: BorrowedFd<'_>, message: Message) -> io::Result<()> {
        let message = Message { tag: self.left_at, ..message };
        match MEMO.map(|tag| self.vault.of(tag).map(|held| held.as_raw_fd())) {
            [Some(one), Some(other)] => handoff::send(to, &message, &[one, other], Waits::No),
            _ => handoff::send(to, &message, &[], Waits::No),
        }
    }

    /// Sends one part of what control asked to see. The last one ends it.
    fn show(&mut self, lane: &Lane, part: usize, serial: u32, now: u64) -> Result<bool, Next> {
        let n_sockets = lane.ports.iter().count();
        let own = self.outfit.each_ref().into_array().map(AsRawFd::as_raw_fd);
        let one: [RawFd; 1];
        let (message, descriptors): (Message, &[RawFd]) = match part {
            0 => (self.introduction(n_sockets), &[]),
            1 => (self.start, &own),
            _ => match (lane.ports.iter().nth(part - 2), self.vault.get((part - 2).wrapping_sub(n_sockets))) {
                (Some(Socket { taken, port, .. }), _) => {
                    one = [port.socket().as_raw_fd()];
                    (*taken, &one)
                }
                (None, Some((held, descriptor))) => {
                    one = [descriptor.as_raw_fd()];
                    (*held, &one)
                }
                (None, None) => (Message::of(kind::DONE), &[]),
            },
        };
        #[cfg(feature = "chaos")]
        let (message, descriptors) = &lies::tell(self.start.number, message, descriptors);
        #[cfg(feature = "chaos")]
        let (message, descriptors) = (*message, &descriptors[..]);
        let sent = self.say(message, serial, descriptors);
        let Some(channel) = &mut self.channel else { return Ok(false) };
        match sent {
            Ok(()) if part == 2 + n_sockets + self.vault.len() => {
                (channel.showing, channel.patience) = (None, None);
                Ok(true)
            }
            Ok(()) => {
                (channel.showing, channel.patience) = (Some((part + 1, serial)), Some(now + PATIENCE_NS));
                Ok(true)
            }
            // Descriptors on their way are limited, and so is the socket's buffer: more when some have been read.
            Err(error) if is_full(&error) => Ok(false),
            Err(_) => Err(Next::HangUp),
        }
    }

    fn introduction(&self, n_sockets: usize) -> Message {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let shown = said::Shown {
            pid: std::process::id(),
            layout: LAYOUT,
            sockets: count(n_sockets),
            held: count(self.vault.len()),
            ..said::Shown::default()
        };
        Message { number: self.start.number, ..Message::of(kind::SHOWN).saying(shown) }
    }

    /// Who comes in is control, if there is none and it is of the right user.
    fn answer_the_door(&mut self, now: u64) {
        // As many as can stand there: more may come as fast as they are shown out, and packets wait meanwhile.
        for _ in 0..WAITING {
            if now < self.door_shut_until || self.has_a_stranger() {
                return;
            }
            let guest = match passing::accept(self.outfit.door.as_fd()) {
                Ok(guest) => guest,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.door_shut_until = now + DOOR_PAUSE_NS;
                    return;
                }
            };
            if !passing::peer_uid(guest.as_fd()).is_ok_and(|uid| uid == self.uid) {
                continue;
            }
            if self.channel.as_ref().is_some_and(|channel| passing::is_connected(channel.socket.as_fd())) {
                // It may have gone already.
                let _ = self.show_how_it_is(guest.as_fd(), Message::of(kind::BUSY));
                continue;
            }
            self.hang_up(now);
            let patience = Some(now + PATIENCE_NS);
            self.channel = Some(Channel { socket: guest, is_stranger: true, patience, showing: None });
            self.talked_at = now;
        }
    }
}

/// Whose counters these are, if they are any lane's.
fn lane_of_counters(message: &Message) -> Option<u32> {
    let number = message.tag.checked_sub(handoff::COUNTERS)?;
    u32::try_from(number).ok().filter(|number| *number < MAX_QUEUES)
}

fn is_full(error: &io::Error) -> bool {
    let full = [Errno::EAGAIN, Errno::ETOOMANYREFS, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|raw| full.contains(&Errno::from_raw(raw)))
}

fn number(message: &Message) -> Result<u16, Refusal> {
    let number = u16::try_from(message.number).ok().filter(|number| usize::from(*number) < MAX_SOCKETS);
    number.ok_or(Refusal::NoSuchNumber)
}

fn take(lane: &mut Lane, message: &Message, descriptor: OwnedFd, ring_size: u32) -> Result<(), Refusal> {
    number(message)?;
    let unmappable = |error: io::Error| Refusal::Unmappable(Errno::from_raw(error.raw_os_error().unwrap_or(0)));
    let said::Take { receives, transmits, .. } = message.says();
    let port = Port::open(descriptor, receives != 0, transmits != 0, ring_size).map_err(unmappable)?;
    let taken = lane.take(Socket::new(*message, port).ok_or(Refusal::NoSuchNumber)?);
    #[cfg(feature = "chaos")]
    super::late::answer();
    taken
}

mod pause; // another process goes on in this one's place

#[cfg(feature = "chaos")]
mod lies; // a lane in a stranger's hands, for tests

#[cfg(test)]
mod tests;
