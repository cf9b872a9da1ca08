//! Sockets come and go while the lane relays. Each step is a commit like any other: a lane that dies in the middle
//! leaves nothing that its successor cannot finish.

use super::handoff::Refusal;
use super::ports::{Socket, ring_name, void_name, voids_name};
use super::round::{Lane, MAX_MOVES};
use crate::clock::now_ns;
use crate::xsk::port::UnderWay;
use relay_common::counters::LaneCounter;
use relay_common::drops::Drop;
use relay_common::journal::{MAX_SOCKETS, MAX_VOIDS, ring};

/// Why a socket is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its link is gone, or nobody needs it.
    NotNeeded,
    /// Its link is down, and the card has packets that would be sent when it is up again. Another one takes its place.
    LinkIsDown,
}

impl Lane {
    /// Takes a socket that is not bound yet and fills its fill ring from the pool.
    ///
    /// # Errors
    /// When the pool is too small or the number is not free; then nothing has changed.
    pub fn take(&mut self, socket: Socket) -> Result<(), Refusal> {
        let number = socket.number;
        if self.ports.get_mut(number).is_some() {
            return Err(Refusal::Occupied);
        }
        match self.frames.n_filled(number) {
            0 => {}
            frames => return Err(Refusal::Parked { frames }),
        }
        let free = u32::try_from(self.frames.n_free()).unwrap_or(u32::MAX);
        if free < self.ring_size {
            return Err(Refusal::TooFewFrames { free });
        }
        self.log.set_queue(number, socket.queue());
        self.ports.add(socket);
        self.set_up_outboxes();
        self.find_demands();
        // Of an earlier socket of that number.
        self.log.ring(voids_name(number), 0);
        let mut left = self.ring_size as usize;
        while left > 0 {
            let n = left.min(MAX_MOVES);
            left -= n;
            let Self { ports, frames, log, .. } = self;
            let Some(Socket { port, .. }) = ports.get_mut(number) else { break };
            let n = n.min(port.fill.room() as usize);
            frames.fill_each(number, n, log, |at| port.fill.put(at));
            log.ring(ring_name(number, ring::FILL), port.fill.next());
            self.commit();
        }
        Ok(())
    }

    /// A lane that starts without a socket: whatever the one before it handed to the kernel lay on rings that are gone. It
    /// waits, with what was in their fill rings, until the kernel has let go of the last of those sockets.
    pub(super) fn give_up_what_was_under_way(&mut self) {
        let gone = (0..).take(MAX_SOCKETS).filter(|number| self.frames.n_filled(*number) > 0).last();
        let Some(number) = gone.filter(|_| self.ports.iter().next().is_none()) else { return };
        while self.frames.give_up(number, MAX_MOVES, &mut self.log) > 0 {
            self.commit();
        }
    }

    /// A socket sends for another output link from now on, or for none.
    ///
    /// # Errors
    /// When there is no socket of that number, or it has no transmit ring.
    pub fn use_as(&mut self, number: u16, output: Option<u16>) -> Result<(), Refusal> {
        if !self.ports.use_as(number, output) {
            return Err(Refusal::NoSuchNumber);
        }
        self.set_up_outboxes();
        Ok(())
    }

    /// A socket is going away: what came in by it is relayed, what lies on its transmit ring is taken off. Frames that
    /// the kernel may still look at wait to be reclaimed. Says how many packets were not sent. That it is not there
    /// any more is no error.
    pub fn drop_socket(&mut self, number: u16, why: Why) -> u32 {
        self.empty_receive_ring(number);
        loop {
            self.reap();
            if self.log.is_empty() {
                break;
            }
            self.commit();
        }
        let Some(socket) = self.ports.get_mut(number) else { return 0 };
        let under_way = socket.port.under_way();
        let found = u32::try_from(under_way.len()).unwrap_or(u32::MAX);
        let missing = socket.port.n_not_completed().wrapping_sub(found);
        // Descriptors that were overwritten before they were completed cannot be found: their frames stay as they are.
        let mut settled = socket.port.completion.next().wrapping_add(missing);
        let left = socket.port.rx.as_mut().map_or(0, |rx| rx.available());
        let mut unsent = 0_u32;
        for moves in under_way.chunks(MAX_VOIDS) {
            for UnderWay { at, waits, place } in moves {
                if !self.frames.withdraw(number, *at, &mut self.log) {
                    self.counters.add(LaneCounter::Foreign, 1);
                }
                if let Some(place) = place {
                    self.log.ring(void_name(number), *place);
                }
                // A card whose link is down sends nothing: what it has and has not told of is as stale as what waits.
                unsent += u32::from(*waits || why == Why::LinkIsDown);
                settled = settled.wrapping_add(1);
            }
            // With the words: a successor that drops this socket again goes on with what is left.
            self.log.ring(ring_name(number, ring::COMPLETION), settled);
            self.commit();
        }
        match why {
            Why::NotNeeded => self.counters.add(LaneCounter::DroppedWithSocket, u64::from(unsent)),
            Why::LinkIsDown => (0..unsent).for_each(|_| self.counters.dropped(Drop::Stale)),
        }
        self.counters.add(LaneCounter::DroppedWithSocket, u64::from(left));
        self.log.withdrawn();
        // Unmapped and closed.
        drop(self.ports.remove(number));
        unsent + left
    }

    /// Relays what came in before the socket was given up. On a link that is flooded more comes in meanwhile: that is
    /// left, or nobody else would be served.
    fn empty_receive_ring(&mut self, number: u16) {
        let mut left = self.ports.get_mut(number).map_or(0, |socket| socket.port.rx_level() as usize);
        while left > 0 {
            let Some(i) = self.ports.receiver_of(number) else { return };
            if !self.take_batch(i) {
                return;
            }
            left = left.saturating_sub(self.received.len().max(1));
            self.forward_batch(i, now_ns());
        }
    }

    /// The kernel has let go of a socket that was dropped: its frames are free. Says how many.
    ///
    /// # Errors
    /// When a socket of that number is there.
    pub fn reclaim(&mut self, number: u16) -> Result<u32, Refusal> {
        if self.ports.get_mut(number).is_some() {
            return Err(Refusal::Occupied);
        }
        let mut all = 0;
        loop {
            let n = self.frames.reclaim(number, MAX_MOVES, &mut self.log);
            if n == 0 {
                return Ok(all);
            }
            self.commit();
            all += u32::try_from(n).unwrap_or(u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests;
