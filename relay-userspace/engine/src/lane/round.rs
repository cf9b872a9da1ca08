//! The loop of a lane. All ring operations stand here, all decisions in [`super::forward`].
//!
//! A round looks at every receive ring. What it takes from one is a batch: forwarded, committed and sent before the
//! next ring is looked at, so that a busy link does not delay a quiet one by more than a batch.

use super::drain;
use super::forward::{Arrival, Bench, Outbox, Received, Showing, forward};
use super::ports::{Ports, Socket, ring_name, voids_name};
use crate::clock::now_ns;
use crate::memory::counters::Counters;
use crate::memory::frames::Frames;
use crate::memory::log::Log;
use crate::memory::table::TableMemory;
use crate::memory::tap::TapWriter;
use crate::xsk::options::{kick, wake_receive};
use crate::xsk::port::NOWHERE;
use relay_common::counters::LaneCounter;
use relay_common::entry::MAX_OUTPUTS_PER_RELAY;
use relay_common::journal::{BATCH, MAX_RINGS, ring};
use relay_common::looping::Guard;
use relay_common::meter::Meter;
use relay_common::table::image::Image;

/// Completions taken and frames refilled in one commit, over all sockets: with the copies of a batch they fit the journal.
pub(super) const MAX_MOVES: usize = MAX_COMPLETED as usize;
const MAX_COMPLETED: u32 = 4096;

const _: () = assert!(BATCH * (1 + MAX_OUTPUTS_PER_RELAY) + 2 * MAX_MOVES < relay_common::journal::MAX_WORDS);
const _: () = assert!(4 * 2 * relay_common::abi::MAX_LINKS as usize <= MAX_RINGS);

/// Everything a lane works with.
#[derive(Debug)]
pub struct Lane {
    /// Its sockets.
    pub ports: Ports,
    /// Its frames.
    pub frames: Frames,
    /// Its journal.
    pub log: Log,
    /// Its counters.
    pub counters: Counters,
    /// The table.
    pub table: TableMemory,
    /// The generation it runs.
    generation: u64,
    /// Packets that it takes from a ring at once.
    batch: usize,
    pub(super) received: Vec<Received>,
    pub(super) outboxes: Vec<Outbox>,
    pub(super) ring_size: u32,
    /// One meter a slot. A successor begins with new ones: see [`relay_common::meter`].
    meters: Box<[Meter]>,
    /// One guard a slot, against what comes round over other nodes.
    guards: Box<[Guard]>,
    /// Where packets are shown to whoever captures them.
    tap: Option<TapWriter>,
    /// When the round before this one began, if it found something to do.
    busy_since: Option<u64>,
    /// When this round began.
    pub(super) now: u64,
}

impl Lane {
    /// Takes up the work with what control has handed over.
    #[must_use]
    pub fn new(ports: Ports, frames: Frames, log: Log, counters: Counters, table: TableMemory, ring_size: u32) -> Self {
        let (received, outboxes) = (Vec::with_capacity(BATCH), Vec::new());
        let meters = vec![Meter::NEW; counters.max_relays() as usize].into();
        let guards = vec![Guard::NEW; counters.max_relays() as usize].into();
        counters.add(LaneCounter::Starts, 1);
        let (generation, batch, tap, busy_since, now) = (0, BATCH, None, None, 0);
        let mut lane = Self {
            ports,
            frames,
            log,
            counters,
            table,
            generation,
            batch,
            received,
            outboxes,
            ring_size,
            meters,
            guards,
            tap,
            busy_since,
            now,
        };
        let Self { ports, frames, .. } = &mut lane;
        ports.iter_mut().for_each(|socket| socket.port.recount(|at| frames.is_sent(at)));
        lane.remember_what_waits();
        lane.set_up_outboxes();
        lane
    }

    /// Where packets are shown from now on.
    pub fn set_tap(&mut self, tap: Option<TapWriter>) {
        self.tap = tap;
    }

    /// Makes an outbox for each output link that has none.
    pub(super) fn set_up_outboxes(&mut self) {
        // A batch puts at most one descriptor per packet and output on a ring.
        let room = BATCH * MAX_OUTPUTS_PER_RELAY;
        let n = self.ports.n_outputs();
        self.outboxes.resize_with(n, || Outbox {
            room: 0,
            is_open: false,
            is_missed: false,
            descriptors: Vec::with_capacity(room),
        });
    }

    /// Looks at everything once. Says whether there was anything to do.
    pub fn round(&mut self, now: u64) -> bool {
        // A lane sleeps only after a round without work, so what has passed since a busy one began is work.
        if let Some(since) = self.busy_since {
            self.counters.round(now.saturating_sub(since));
        } else if self.counters.get(LaneCounter::Started) == 0 {
            self.counters.set(LaneCounter::Started, now);
        }
        self.now = now;
        self.follow_table();
        self.counters.set(LaneCounter::Heartbeat, now);
        let mut busy = false;
        for i in 0..self.ports.n_receivers() {
            if self.is_held_back(i, now) {
                // What was sent meanwhile makes room.
                self.tidy_up();
                busy = true;
            } else if self.take_batch(i) {
                // Read for each batch: no stamp of its packets is later than this.
                self.forward_batch(i, now_ns());
                busy = true;
                continue;
            }
            self.wake_receiver(i);
        }
        if !busy {
            busy = self.tidy_up();
        }
        self.kick();
        self.busy_since = busy.then_some(now);
        busy
    }

    /// Packets that were handed to the kernel and not completed.
    pub fn n_under_way(&self) -> u32 {
        self.ports.iter().map(|socket| socket.port.n_under_way()).sum()
    }

    /// Runs the newest table, and says so.
    #[inline]
    fn follow_table(&mut self) {
        let generation = self.table.generation();
        if generation != self.generation
            && let Some(image) = Image::view(self.table.image(generation))
            && image.header.max_relays <= self.counters.max_relays()
        {
            self.generation = generation;
            self.batch = image.header.batch(self.ring_size, BATCH);
            self.counters.set(LaneCounter::Generation, generation);
            self.find_demands();
            // A link that took nothing may be back: what is void on its ring makes room for the packets of this round.
            self.kick();
        }
    }

    /// Finds for each receive ring what the table says of its link.
    pub(super) fn find_demands(&mut self) {
        let Self { ports, table, generation, .. } = self;
        let demands = Image::view(table.image(*generation)).map_or(&[][..], |image| image.demands);
        for socket in ports.iter_mut() {
            socket.drain.is_worth_a_try();
            socket.demand = demands.iter().position(|demand| demand.ifindex == socket.ifindex);
        }
    }

    /// Whether the packets of a receive ring stay there for now, because a transmit ring that they go to drains a burst.
    #[inline]
    fn is_held_back(&mut self, i: usize, now: u64) -> bool {
        let Self { ports, table, generation, batch, ring_size, .. } = self;
        let Some(socket) = ports.receiver(i) else { return false };
        let (Some(rx), Some(demand)) = (&mut socket.port.rx, socket.demand) else { return false };
        if rx.available() == 0 {
            return false;
        }
        let Some(image) = Image::view(table.image(*generation)) else { return false };
        let Some(demand) = image.demands.get(demand) else { return false };
        let (batch, mut holds_back) = (u32::try_from(*batch).unwrap_or(u32::MAX), false);
        let is_only = demand.links.is_power_of_two();
        for (output, widest) in demand.outputs() {
            if let Some(Socket { port, drain, .. }) = ports.sender(output) {
                holds_back |= drain.holds_back(port, batch, widest, is_only, now);
            }
        }
        holds_back && !drain::is_nearly_full(ports.receiver(i).map_or(0, |socket| socket.port.rx_level()), *ring_size)
    }

    /// Takes up to a batch from a receive ring.
    #[inline]
    pub(super) fn take_batch(&mut self, i: usize) -> bool {
        let Self { ports, frames, received, counters, batch, .. } = self;
        let Some(socket) = ports.receiver(i) else { return false };
        let number = socket.number;
        let Some(rx) = &mut socket.port.rx else { return false };
        let mut n = 0;
        while received.len() < *batch {
            let most = u32::try_from(*batch - received.len()).unwrap_or(u32::MAX);
            let taken = rx.take_each(most, |descriptor| match frames.receive(number, descriptor.at, descriptor.len) {
                Some((frame, at)) => received.push(Received { frame, at, len: descriptor.len }),
                None => counters.add(LaneCounter::Foreign, 1),
            });
            if taken == 0 {
                break;
            }
            n += taken;
        }
        n > 0
    }

    #[inline]
    pub(super) fn forward_batch(&mut self, i: usize, now: u64) {
        self.reap();
        let mut is_copied = false;
        for (output, outbox) in self.outboxes.iter_mut().enumerate() {
            (outbox.is_open, outbox.room) = (false, 0);
            if let Some(Socket { port, drain, .. }) = self.ports.sender(output) {
                (outbox.is_open, outbox.room) = (true, port.tx_room());
                is_copied |= !drain.is_zero_copy(port);
            }
        }
        let Some(socket) = self.ports.receiver(i) else { return };
        let arrival = Arrival { ifindex: socket.ifindex, now };
        self.counters.add(LaneCounter::Received, self.received.len() as u64);
        self.counters.batch(self.received.len());
        if let Some(table) = Image::view(self.table.image(self.generation)).filter(|_| self.generation > 0) {
            let Self { frames, log, outboxes, counters, meters, guards, tap, .. } = self;
            let tap = tap.as_mut().and_then(TapWriter::while_wanted).map(Showing::new);
            let mut bench = Bench { frames, log, outboxes, counters, meters, guards, tap, is_copied };
            forward(&mut self.received, arrival, &table, &mut bench);
        } else {
            for packet in self.received.drain(..) {
                self.counters.dropped(relay_common::drops::Drop::NoRelay);
                self.frames.release(packet.frame, &mut self.log);
            }
        }
        self.load_transmit_rings();
        // Before the fill ring: at no moment the kernel has more frames than its receive ring has places.
        if let Some(socket) = self.ports.receiver(i)
            && let Some(rx) = &socket.port.rx
        {
            self.log.ring(ring_name(socket.number, ring::RX), rx.next());
        }
        self.refill();
        self.commit();
        self.counters.add(LaneCounter::Batches, 1);
        self.kick();
        self.wake_receiver(i);
    }

    /// With nothing to forward: takes completions back and fills up.
    #[inline]
    fn tidy_up(&mut self) -> bool {
        self.reap();
        self.refill();
        if self.log.is_empty() {
            return false;
        }
        self.commit();
        true
    }

    /// Takes back what the kernel has sent.
    #[inline]
    pub(super) fn reap(&mut self) {
        let Self { ports, frames, log, counters, .. } = self;
        let mut left = MAX_COMPLETED;
        let shift = frames.frame_size().trailing_zeros();
        for Socket { number, port, .. } in ports.iter_mut() {
            let mut voids = 0;
            let n = port.take_back(left, shift, |at| {
                if at == NOWHERE {
                    voids += 1;
                } else if !frames.complete(at, log) {
                    counters.add(LaneCounter::Foreign, 1);
                }
            });
            left -= n;
            if n > 0 {
                counters.add(LaneCounter::Completed, u64::from(n));
                log.ring(ring_name(*number, ring::COMPLETION), port.completion.next());
            }
            if voids > 0 {
                let left = log.voids(*number).wrapping_sub(voids);
                log.ring(voids_name(*number), left);
            }
        }
    }

    #[inline]
    fn load_transmit_rings(&mut self) {
        for (output, outbox) in self.outboxes.iter_mut().enumerate() {
            if outbox.descriptors.is_empty() {
                continue;
            }
            if let Some(Socket { number, port, .. }) = self.ports.sender(output) {
                self.counters.add(LaneCounter::Transmitted, outbox.descriptors.len() as u64);
                port.send_each(outbox.descriptors.drain(..));
                if let Some(tx) = &port.tx {
                    self.log.ring(ring_name(*number, ring::TX), tx.next());
                }
            }
        }
    }

    /// Gives every receive ring's kernel side as many frames as it had: never more than the receive ring can bring
    /// back, or the kernel would park one where nobody finds it.
    #[inline]
    fn refill(&mut self) {
        let Self { ports, frames, log, ring_size, .. } = self;
        let mut left = MAX_MOVES;
        for i in 0..ports.n_receivers() {
            let Some(socket) = ports.receiver(i) else { continue };
            let fill = &mut socket.port.fill;
            let wanted = ring_size.saturating_sub(frames.n_filled(socket.number));
            if wanted == 0 {
                continue;
            }
            let n = (wanted.min(fill.room()) as usize).min(left);
            let before = fill.next();
            frames.fill_each(socket.number, n, log, |at| fill.put(at));
            left -= n;
            if fill.next() != before {
                log.ring(ring_name(socket.number, ring::FILL), fill.next());
            }
        }
    }

    #[inline]
    pub(super) fn commit(&mut self) {
        let Self { ports, frames, log, .. } = self;
        frames.commit(log, |ring, to| ports.publish(ring, to));
    }

    /// Asks the kernel to send what waits.
    #[inline]
    fn kick(&mut self) {
        let Self { ports, counters, now, .. } = self;
        let mut is_stalled = false;
        for socket in ports.iter_mut() {
            if let Some(tx) = &socket.port.tx
                && let waiting @ 1.. = tx.n_waiting()
                && tx.needs_wakeup()
            {
                if socket.drain.is_stalled() {
                    is_stalled = true;
                } else {
                    let stuck = drain::send(tx, waiting, counters, || kick(socket.port.socket()));
                    socket.drain.note(stuck, *now);
                }
            }
        }
        if is_stalled {
            self.see_to_stalled();
        }
    }

    /// Asks the kernel to go on receiving, or polls the link: once a round, and after a batch only where that came from.
    #[inline]
    fn wake_receiver(&mut self, i: usize) {
        if let Some(socket) = self.ports.receiver(i)
            && socket.demand.is_some()
            && (socket.busy_polled || socket.port.fill.needs_wakeup())
        {
            self.counters.add(LaneCounter::ReceiveCalls, 1);
            wake_receive(socket.port.socket());
        }
    }
}

#[cfg(test)]
mod tests;
