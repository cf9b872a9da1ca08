//! Sockets that are gone: their frames wait until the kernel has let go of them, and a thread asks it for that.
//!
//! The kernel answers when it gets its lock of all network settings, which may be held for seconds. So nobody else asks, and
//! who needs frames at once waits for the answer only so long.

use super::event::Event;
use crate::rights;
use anyhow::Context as _;
use relay_common::journal::Queue;
use relay_engine::clock::now_ns;
use relay_engine::xsk::release::{is_free, name_of};
use relay_engine::xsk::socket::SocketError;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// How long nobody asks about a queue that most likely has another socket by then: that it could be bound is an answer.
const FIRST_NS: u64 = 250_000_000;
/// A queue that is not free is asked about later and later, but so often.
const LONGEST_NS: u64 = 2_000_000_000;
/// And as often as this while somebody waits.
const HURRIED_NS: u64 = 5_000_000;
/// How long somebody waits.
pub(super) const HURRY_NS: u64 = 3_000_000_000;
/// What takes longer is told once.
const LATE_NS: u64 = 10_000_000_000;

/// The queues of sockets that are gone and that the kernel has not let go of, as far as is known.
#[derive(Clone, Debug)]
pub struct Parked(Arc<Mutex<BTreeSet<Queue>>>);

impl Parked {
    /// The kernel has let go when it has let go of these. Without any, it never had a frame.
    #[must_use]
    pub fn on(queues: impl IntoIterator<Item = Queue>) -> Self {
        Self(Arc::new(Mutex::new(queues.into_iter().collect())))
    }

    /// Whether the kernel has let go.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.queues().is_empty()
    }

    /// Whether it may not have let go of the socket on that queue.
    #[must_use]
    pub fn waits_for(&self, queue: Queue) -> bool {
        self.queues().contains(&queue)
    }

    /// It has let go of the socket on one queue.
    pub fn release(&self, queue: Queue) {
        self.queues().remove(&queue);
    }

    fn queues(&self) -> MutexGuard<'_, BTreeSet<Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that asks. It ends when this is dropped and nothing is asked for any more.
#[derive(Debug)]
pub struct Asker(Sender<Wanted>);

/// Sockets of a lane that are gone: an event tells when the kernel has let go of them.
#[derive(Debug)]
struct Wanted {
    lane: u32,
    number: u16,
    parked: Parked,
    since: u64,
    due: u64,
    /// How long after that it is asked again.
    pause: u64,
    hurried_until: u64,
    is_late: bool,
}

impl Asker {
    /// Starts it.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub fn start(events: UnboundedSender<Event>) -> anyhow::Result<Self> {
        let (sender, wanted) = channel();
        let thread = std::thread::Builder::new().name("release".to_owned());
        let work = move || {
            // It was started before control gave up the rest, and rights are a thread's own.
            if let Err(error) = rights::keep_what_a_bind_takes() {
                tracing::warn!("the thread that asks for frames has rights that it does not need: {error:#}");
            }
            ask(&wanted, &events);
        };
        thread.spawn(work).context("no thread to ask for frames")?;
        Ok(Self(sender))
    }

    /// Has an event tell when the frames of a socket can be had back.
    pub fn ask(&self, lane: u32, number: u16, parked: Parked) {
        self.want(lane, number, parked, FIRST_NS, 0);
    }

    /// The same for somebody who waits.
    pub fn hurry(&self, lane: u32, number: u16, parked: Parked) {
        self.want(lane, number, parked, 0, HURRY_NS);
    }

    fn want(&self, lane: u32, number: u16, parked: Parked, first: u64, hurry: u64) {
        let now = now_ns();
        let (since, due, hurried_until) = (now, now + first, now + hurry);
        let wanted = Wanted { lane, number, parked, since, due, pause: FIRST_NS, hurried_until, is_late: false };
        // It ends only with its last sender.
        let _ = self.0.send(wanted);
    }
}

fn ask(wanted: &Receiver<Wanted>, events: &UnboundedSender<Event>) {
    let mut all: Vec<Wanted> = Vec::new();
    loop {
        let now = now_ns();
        let next = all.iter().map(|one| one.due.saturating_sub(now)).min();
        let heard = match next {
            Some(left) => wanted.recv_timeout(Duration::from_nanos(left)),
            None => wanted.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match heard {
            Ok(one) => {
                enter(&mut all, one);
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        ask_what_is_due(&mut all, now_ns());
        for Wanted { lane, number, .. } in all.extract_if(.., |one| one.parked.is_released()) {
            if events.send(Event::SocketGone { lane, number }).is_err() {
                return;
            }
        }
    }
}

/// What is asked for already is asked for sooner.
fn enter(all: &mut Vec<Wanted>, one: Wanted) {
    // Several numbers of a lane may wait for the same queues, and each is told of.
    let is_same = |other: &&mut Wanted| {
        (other.lane, other.number) == (one.lane, one.number) && Arc::ptr_eq(&other.parked.0, &one.parked.0)
    };
    match all.iter_mut().find(is_same) {
        Some(known) => {
            known.due = known.due.min(one.due);
            known.hurried_until = known.hurried_until.max(one.hurried_until);
        }
        None => all.push(one),
    }
}

/// Each queue is asked about once, for all who want to know.
fn ask_what_is_due(all: &mut [Wanted], now: u64) {
    let is_due = |one: &&Wanted| one.due <= now;
    let queues: BTreeSet<Queue> =
        all.iter().filter(is_due).flat_map(|one| one.parked.queues().iter().copied().collect::<Vec<_>>()).collect();
    let mut why = None;
    for queue in queues {
        match is_free(queue) {
            Ok(true) => all.iter().for_each(|one| one.parked.release(queue)),
            Ok(false) => {}
            Err(error) => why = Some(error),
        }
    }
    let now = now_ns();
    for one in all.iter_mut().filter(|one| one.due <= now) {
        let is_hurried = now < one.hurried_until;
        one.due = now + if is_hurried { HURRIED_NS } else { one.pause };
        if !is_hurried {
            one.pause = (2 * one.pause).min(LONGEST_NS);
        }
        if !one.parked.is_released() && now - one.since > LATE_NS && !std::mem::replace(&mut one.is_late, true) {
            tell(one, why.as_ref());
        }
    }
}

fn tell(one: &Wanted, why: Option<&SocketError>) {
    let seconds = (now_ns() - one.since) / 1_000_000_000;
    let on = one.parked.queues().iter().next().copied().unwrap_or_default();
    let link = name_of(on.ifindex).unwrap_or_else(|| on.ifindex.to_string());
    let why = why.map_or_else(
        || "another AF_XDP program has that queue, or something holds the kernel's lock of network settings".to_owned(),
        ToString::to_string,
    );
    tracing::warn!(
        lane = one.lane,
        %link,
        queue = on.number,
        "frames of a socket that was dropped are not to be had back since {seconds} s ({why}): they wait"
    );
}

#[cfg(test)]
mod tests {
    use super::{Parked, Wanted, enter};
    use relay_common::journal::Queue;

    #[test]
    fn what_was_on_several_queues_waits_for_each() {
        let queue = |number| Queue { ifindex: 7, number };
        let parked = Parked::on([queue(0), queue(1)]);
        parked.release(queue(2));
        parked.release(queue(0));
        assert!(!parked.is_released() && parked.waits_for(queue(1)) && !parked.waits_for(queue(0)));
        parked.clone().release(queue(1));
        assert!(parked.is_released() && Parked::on([]).is_released());
    }

    /// Two sockets that went together wait for the same queues.
    #[test]
    fn each_number_is_told_of_and_once() {
        let parked = Parked::on([Queue { ifindex: 7, number: 0 }]);
        let wanted = |number, due| Wanted {
            lane: 0,
            number,
            parked: parked.clone(),
            since: 0,
            due,
            pause: 1,
            hurried_until: 0,
            is_late: false,
        };
        let mut all = Vec::new();
        [wanted(1, 5), wanted(2, 5), wanted(1, 3)].into_iter().for_each(|one| enter(&mut all, one));
        let found: Vec<(u16, u64)> = all.iter().map(|one| (one.number, one.due)).collect();
        assert_eq!(found, [(1, 3), (2, 5)]);
    }
}
