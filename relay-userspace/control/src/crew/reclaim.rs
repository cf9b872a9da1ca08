//! The frames of sockets that are gone come back, once the kernel has let go of them.

use super::Crew;
use super::sockets::of_socket;
use crate::event::Event;
use crate::release::{HURRY_NS, Parked};
use crate::station::Station;
use crate::supervisor::Life;
use relay_common::journal::Queue;
use relay_engine::clock::now_ns;
use relay_engine::lane::handoff::kind;
use relay_engine::memory::log::Log;
use std::io;
use std::time::Duration;

/// How often somebody who waits for frames looks whether the kernel has answered.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl Crew {
    /// Gives no socket that number until the kernel has let go of the one that had it and its frames are back.
    pub(super) fn park(&self, lane: u32, number: u16, parked: Parked) {
        // One that was left out because its link is gone is parked already, and may wait for more.
        let parked = self.supervisor.edit(lane, |life| life.parked.entry(number).or_insert(parked).clone());
        if let Some(parked) = parked {
            self.asker.ask(lane, number, parked);
        }
    }

    /// The queue of a socket that only the lane remembers.
    pub(super) fn forgotten(&self, station: &Station, number: u16) -> io::Result<Parked> {
        let queue = Log::queue_of(&*station.ledger, number)?;
        // One that is bound now could only be bound because the kernel had let go of the one before.
        let is_bound = |queue: &Queue| self.sockets().iter().any(|socket| socket.need.queue() == *queue);
        Ok(Parked::on(queue.filter(|queue| !is_bound(queue))))
    }

    /// Whether a socket of ours was on that queue, and the kernel may not have let go of it yet.
    pub(super) fn may_be_held_still(&self, queue: Queue) -> bool {
        let waits = |life: &mut Life| life.parked.values().any(|parked| parked.waits_for(queue));
        (0..self.supervisor.n_lanes()).any(|lane| self.supervisor.edit(lane, waits).unwrap_or_default())
    }

    /// A socket could be bound to that queue: the one before is gone.
    pub(super) fn released(&self, queue: Queue) {
        for lane in 0..self.supervisor.n_lanes() {
            let parked = self.supervisor.edit(lane, |life| life.parked.clone()).unwrap_or_default();
            for (number, parked) in parked {
                parked.release(queue);
                if parked.is_released() {
                    // Nobody listens any more when control is ending.
                    let _ = self.events.send(Event::SocketGone { lane, number });
                }
            }
        }
    }

    /// Waits until the frames of any socket that was dropped are back; says whether there was one and they are. One that
    /// the kernel does not let go of holds up nobody who could have those of another.
    pub(super) async fn wait_for_frames(&mut self, lane: u32) -> bool {
        let deadline = now_ns().saturating_add(HURRY_NS);
        self.progress.waits_for(HURRY_NS);
        let parked = self.supervisor.edit(lane, |life| life.parked.clone()).unwrap_or_default();
        parked.iter().for_each(|(number, one)| self.asker.hurry(lane, *number, one.clone()));
        while !parked.is_empty() && now_ns() <= deadline {
            if let Some((number, _)) = parked.iter().find(|(_, one)| one.is_released()) {
                return self.take_back(lane, *number).await;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        false
    }

    /// Waits until the kernel has let go of a socket that is gone and its frames are back, but only so long; says whether
    /// they are.
    pub(super) async fn wait_for(&mut self, lane: u32, number: u16) -> bool {
        let parked = self.supervisor.edit(lane, |life| life.parked.get(&number).cloned()).flatten();
        let Some(parked) = parked else { return true };
        self.asker.hurry(lane, number, parked.clone());
        self.progress.waits_for(HURRY_NS);
        let deadline = now_ns().saturating_add(HURRY_NS);
        while !parked.is_released() {
            if now_ns() > deadline {
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.take_back(lane, number).await
    }

    /// Reclaims, and says whether that was done.
    async fn take_back(&mut self, lane: u32, number: u16) -> bool {
        self.reclaim(lane, number).await;
        self.supervisor.edit(lane, |life| !life.parked.contains_key(&number)).unwrap_or_default()
    }

    /// Has a lane take the frames of a socket back, if the kernel has let go of it. A lane that cannot be reached is asked
    /// again.
    pub async fn reclaim(&mut self, lane: u32, number: u16) {
        let Some(parked) = self.supervisor.edit(lane, |life| life.parked.get(&number).cloned()).flatten() else {
            return;
        };
        if parked.is_released() && self.ask(lane, of_socket(kind::RECLAIM, number), &[]).await.is_ok() {
            self.supervisor.edit(lane, |life| life.parked.remove(&number));
        } else {
            self.asker.ask(lane, number, parked);
        }
    }
}
