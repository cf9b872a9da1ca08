//! The ports of a lane, by their numbers: which of them receive, which of them send.

use super::drain::Drain;
use super::handoff::Message;
use super::handoff::said::{self, Take};
use crate::xsk::port::Port;
use relay_common::abi::MAX_LINKS;
use relay_common::journal::{MAX_SOCKETS, Queue, ring};
use std::os::fd::BorrowedFd;

/// A port and what it is for.
#[derive(Debug)]
pub struct Socket {
    /// Its number within the lane: owner words and the journal name it.
    pub number: u16,
    /// The link's index.
    pub ifindex: u32,
    /// The output link's number in the table, when it sends.
    pub output: Option<u16>,
    /// Whether it is driven by busy polling.
    pub busy_polled: bool,
    /// Where the table says what its link's packets come to, when its link is an input.
    pub demand: Option<usize>,
    /// How its transmit ring drains.
    pub drain: Drain,
    /// What control said when it handed it over, for a later control.
    pub taken: Message,
    /// Its rings.
    pub port: Port,
}

impl Socket {
    /// What a [`kind::TAKE`](super::handoff::kind::TAKE) says, with the rings that were mapped. `None` when it has a
    /// number that no socket can have.
    #[must_use]
    pub fn new(taken: Message, port: Port) -> Option<Self> {
        let number = u16::try_from(taken.number).ok().filter(|number| (*number as usize) < MAX_SOCKETS)?;
        let output = output(&taken)?;
        let Take { ifindex, busy_polled, .. } = taken.says();
        Some(Self {
            number,
            ifindex,
            output,
            busy_polled: busy_polled != 0,
            demand: None,
            drain: Drain::default(),
            taken,
            port,
        })
    }

    /// The queue that it is bound to.
    #[must_use]
    pub fn queue(&self) -> Queue {
        let Take { ifindex, queue, .. } = self.taken.says();
        Queue { ifindex, number: queue }
    }
}

/// The output link's number that a socket is taken or used for, if any. `None` when no link can have it.
#[must_use]
pub fn output(message: &Message) -> Option<Option<u16>> {
    let Some(number) = message.says::<said::Use>().output.checked_sub(1) else { return Some(None) };
    u16::try_from(number).ok().filter(|_| number < MAX_LINKS).map(Some)
}

/// All ports of a lane.
#[derive(Debug, Default)]
pub struct Ports {
    /// By number; a number without a port has none yet.
    sockets: Vec<Option<Socket>>,
    receivers: Vec<usize>,
    /// By the output link's number in the table.
    senders: Vec<Option<usize>>,
}

impl Ports {
    /// Adds a port under its number. It sends for its output link from now on.
    pub fn add(&mut self, socket: Socket) {
        let number = socket.number as usize;
        if self.sockets.len() <= number {
            self.sockets.resize_with(number + 1, || None);
        }
        if socket.port.rx.is_some() {
            self.receivers.push(number);
        }
        if let Some(output) = socket.output {
            let output = output as usize;
            if self.senders.len() <= output {
                self.senders.resize(output + 1, None);
            }
            self.senders[output] = Some(number);
        }
        self.sockets[number] = Some(socket);
    }

    /// The port of that number sends for another output link from now on, or for none. Says whether it is there and can.
    pub fn use_as(&mut self, number: u16, output: Option<u16>) -> bool {
        let Some(mut socket) = self.remove(number) else { return false };
        let can = socket.port.tx.is_some() || output.is_none();
        if can {
            let taken = Take { output: said::output(output), ..socket.taken.says() };
            (socket.output, socket.taken) = (output, socket.taken.saying(taken));
        }
        self.add(socket);
        can
    }

    /// Takes a port out.
    pub fn remove(&mut self, number: u16) -> Option<Socket> {
        let number = usize::from(number);
        let socket = self.sockets.get_mut(number)?.take()?;
        self.receivers.retain(|receiver| *receiver != number);
        self.senders.iter_mut().filter(|sender| **sender == Some(number)).for_each(|sender| *sender = None);
        Some(socket)
    }

    /// The port of that number.
    pub fn get_mut(&mut self, number: u16) -> Option<&mut Socket> {
        self.sockets.get_mut(usize::from(number))?.as_mut()
    }

    /// Which of the ports that receive has that number.
    #[must_use]
    pub fn receiver_of(&self, number: u16) -> Option<usize> {
        self.receivers.iter().position(|receiver| *receiver == usize::from(number))
    }

    /// How many ports receive.
    #[must_use]
    pub const fn n_receivers(&self) -> usize {
        self.receivers.len()
    }

    /// How many output links there are.
    #[must_use]
    pub const fn n_outputs(&self) -> usize {
        self.senders.len()
    }

    /// The `i`-th port that receives.
    #[inline]
    pub fn receiver(&mut self, i: usize) -> Option<&mut Socket> {
        self.sockets[self.receivers[i]].as_mut()
    }

    /// The port that sends on an output link.
    #[inline]
    pub fn sender(&mut self, output: usize) -> Option<&mut Socket> {
        let number = self.senders.get(output).copied().flatten()?;
        self.sockets[number].as_mut()
    }

    /// All ports.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Socket> {
        self.sockets.iter_mut().flatten()
    }

    /// All ports.
    pub fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().flatten()
    }

    /// The sockets by which packets come in. Some have a receive ring before their link becomes an input.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.iter()
            .filter(|socket| socket.port.rx.is_some() && socket.demand.is_some())
            .map(|socket| socket.port.socket())
    }

    /// Takes all rings up anew where their indices stand.
    pub fn look_again(&mut self) {
        self.iter_mut().for_each(|socket| socket.port.look_again());
    }

    /// Stores one ring index, named as in the journal.
    #[inline]
    pub fn publish(&mut self, which: u32, to: u32) {
        if which >= ring::VOID {
            self.make_void(which - ring::VOID, to);
        } else if let Some(Some(socket)) = self.sockets.get_mut((which / 4) as usize) {
            socket.port.publish(which % 4, to);
        }
    }

    #[cold]
    fn make_void(&mut self, number: u32, place: u32) {
        if let Some(Some(socket)) = self.sockets.get_mut(number as usize) {
            socket.port.make_void(place);
        }
    }
}

/// What the journal calls the entries of a transmit ring.
#[must_use]
pub const fn void_name(number: u16) -> u32 {
    ring::VOID + number as u32
}

/// What the journal calls the number of entries of a transmit ring that were made void.
#[must_use]
pub const fn voids_name(number: u16) -> u32 {
    ring::VOIDS + number as u32
}

/// A ring's name in the journal.
#[inline]
#[must_use]
pub const fn ring_name(number: u16, which: u32) -> u32 {
    debug_assert!(which <= ring::COMPLETION, "a socket has four rings");
    number as u32 * 4 + which
}
