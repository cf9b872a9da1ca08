//! What waits for a link that does not send is thrown away before it is old, so that a link that comes back begins with
//! the packets of now.
//!
//! In copy mode the kernel looks at a transmit ring only in calls of ours. What it has not taken can be taken back: its
//! entry is made void, which the kernel passes over, and its frame is free, in one commit. In zero-copy the device may
//! have any of them, and only the kernel can take them from it.

use super::drain;
use super::ports::{Socket, void_name, voids_name};
use super::round::Lane;
use super::wait::Rest;
use crate::xsk::options::kick;
use relay_common::counters::LaneCounter;
use relay_common::drops::Drop;
use relay_common::journal::{MAX_SOCKETS, MAX_VOIDS};

impl Lane {
    /// What a predecessor left on transmit rings has waited since its last round, or longer.
    pub(super) fn remember_what_waits(&mut self) {
        let last_round = self.counters.get(LaneCounter::Heartbeat);
        for socket in self.ports.iter_mut().filter(|_| last_round > 0) {
            if socket.port.tx.as_ref().is_some_and(|tx| tx.n_waiting() > 0) {
                socket.drain.stalled_at(last_round);
            }
        }
    }

    /// How long the lane may sleep.
    pub fn rest(&self) -> Rest {
        let of_socket = |socket: &Socket| match &socket.port.tx {
            Some(tx) if tx.n_waiting() == 0 || socket.port.waits_in_vain() => Rest::Sleep,
            Some(_) if socket.drain.is_stalled() && !socket.drain.is_busy() => Rest::Doze,
            Some(_) => Rest::Nap,
            None => Rest::Sleep,
        };
        self.ports.iter().map(of_socket).min().unwrap_or(Rest::Sleep)
    }

    /// Throws away what has become stale, and asks the links again that take nothing.
    #[cold]
    pub(super) fn see_to_stalled(&mut self) {
        for number in (0..).take(MAX_SOCKETS) {
            let now = self.now;
            let Some(Socket { port, drain, .. }) = self.ports.get_mut(number) else { continue };
            drain.stands_at(port.n_moved(), now);
            if drain.is_stale(now) && !port.waits_in_vain() && !drain.is_zero_copy(port) {
                self.throw_away(number);
            }
            let Some(Socket { port, drain, output, .. }) = self.ports.get_mut(number) else { continue };
            let Some(tx) = port.tx.as_ref().filter(|_| drain.is_stalled()) else { continue };
            let outbox = output.and_then(|output| self.outboxes.get_mut(usize::from(output)));
            let mut is_wanted = outbox.is_some_and(|outbox| std::mem::take(&mut outbox.is_missed));
            if port.waits_in_vain() {
                drain.waits_in_vain();
            } else {
                drain.waits_from(now);
                is_wanted = true;
            }
            if drain.asks_again(is_wanted, now) {
                let stuck = if drain.is_zero_copy(port) {
                    drain::send(tx, tx.n_waiting(), &self.counters, || kick(port.socket()))
                } else {
                    drain::send_over_voids(tx, &self.counters, || kick(port.socket()))
                };
                drain.note(stuck, now);
            }
        }
    }

    /// Takes what waits on the transmit ring of a copy-mode socket back: each packet counts as stale.
    pub(super) fn throw_away(&mut self, number: u16) {
        if let Some(socket) = self.ports.get_mut(number) {
            socket.drain.gives_up();
        }
        // What the kernel has taken is sent or lost by now, and then completed: what is left waits.
        loop {
            self.reap();
            if self.log.is_empty() {
                break;
            }
            self.commit();
        }
        loop {
            let Self { ports, frames, log, counters, .. } = self;
            let Some(Socket { port, .. }) = ports.get_mut(number) else { return };
            let mut n = 0_u32;
            for (place, at) in port.waiting().take(MAX_VOIDS) {
                log.ring(void_name(number), place);
                if !frames.complete(at, log) {
                    counters.add(LaneCounter::Foreign, 1);
                }
                n += 1;
            }
            if n == 0 {
                return;
            }
            let voids = log.voids(number).wrapping_add(n);
            log.ring(voids_name(number), voids);
            self.commit();
            (0..n).for_each(|_| self.counters.dropped(Drop::Stale));
        }
    }
}

#[cfg(test)]
mod tests;
