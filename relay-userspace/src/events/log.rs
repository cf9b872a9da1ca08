//! The log of events: the last thousand, and whoever follows.

use super::event::HELD_BACK;
use super::logging::AUDIT;
use super::{Event, Kind, Level, time::rfc3339};
use crate::api::model;
use crate::clock::{now_ns, unix_ms};
use relay_common::throttle::{Answer, Rate, Said, Throttle};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Events that are kept for whoever comes later.
pub const KEPT: usize = 1000;
const SECOND: u64 = 1_000_000_000;
/// Of one subject, of one topic: what an incident says at once, and then one every five seconds, which a person can
/// read.
const PER_SUBJECT: Rate = Rate { burst: 8, every: 5 * SECOND };
/// Of one topic, of all subjects: a link that takes two hundred relays with it is told of whole; more than that comes
/// bit by bit, so that neither the log nor what is kept of it drowns.
const PER_TOPIC: Rate = Rate { burst: 200, every: SECOND / 20 };
/// Of the requests of one client that changed nothing, and of those of all.
const PER_CLIENT: Rate = Rate { burst: 20, every: 5 * SECOND };
const ALL_CLIENTS: Rate = Rate { burst: 100, every: 2 * SECOND };
/// Clients that are told apart.
const MAX_CLIENTS: usize = 1024;
/// Subjects that are told apart: more than any node has relays, links and lanes by default.
const MAX_SUBJECTS: usize = 8192;

/// An event with its number and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Its number. Numbers grow, also over restarts: the first of a run is the time of its start.
    pub id: u64,
    /// When it happened, in milliseconds since 1970.
    pub unix_ms: u64,
    /// When it was told: later, if it was held back.
    pub told_ms: u64,
    /// What.
    pub event: Event,
}

impl From<&Logged> for model::Event {
    fn from(logged: &Logged) -> Self {
        let Logged { id, unix_ms, told_ms, event } = logged;
        Self {
            id: *id,
            time: rfc3339(*unix_ms),
            told_at: rfc3339(*told_ms),
            event: event.kind.name().to_owned(),
            level: event.level.name().to_owned(),
            text: event.text.clone(),
            fields: event.fields.clone(),
        }
    }
}

/// How often a kind of event was said, and how often it was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Said.
    pub said: u64,
    /// Left out, because others of its topic and subject followed too fast.
    pub held_back: u64,
}

/// The log. Clones are the same log.
#[derive(Clone, Debug)]
pub struct EventLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    followers: broadcast::Sender<Arc<Logged>>,
}

/// An event, and when it happened, in milliseconds since 1970.
#[derive(Clone, Debug)]
struct Happened {
    unix_ms: u64,
    event: Event,
}

struct State {
    kept: VecDeque<Arc<Logged>>,
    last_id: u64,
    throttle: Throttle<Happened>,
    clients: Throttle<Happened>,
    counts: Vec<Count>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self::begin(unix_ms())
    }
}

impl EventLog {
    /// The log of a run that begins now.
    ///
    /// The first number is the seconds since 1970, shifted so far that no run writes its way into the next second's:
    /// a follower that comes back after a restart with the last number it saw gets all there is, never nothing. The
    /// numbers stay below 2^53 until 2242, so that JavaScript reads them exactly.
    fn begin(unix_ms: u64) -> Self {
        let (followers, _) = broadcast::channel(KEPT);
        let state = State {
            kept: VecDeque::with_capacity(KEPT),
            last_id: (unix_ms / 1000) << 20,
            throttle: Throttle::new(PER_SUBJECT, PER_TOPIC, MAX_SUBJECTS),
            clients: Throttle::new(PER_CLIENT, ALL_CLIENTS, MAX_CLIENTS),
            counts: vec![Count::default(); Kind::ALL.len()],
        };
        Self(Arc::new(Inner { state: Mutex::new(state), followers }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event down, says it in the log, and tells whoever follows; or holds it back when there are too many.
    pub fn record(&self, event: Event) {
        self.record_at(event, now_ns(), unix_ms());
    }

    /// Says what was held back and may be said now. Control does this on each of its rounds.
    pub fn tick(&self) {
        self.tick_at(now_ns(), unix_ms());
    }

    /// Says everything that is still held back: the node ends.
    pub fn finish(&self) {
        let mut rest = {
            let mut state = self.state();
            [state.throttle.rest(), state.clients.rest()].concat()
        };
        rest.sort_by_key(|said| said.thing.unix_ms);
        for said in rest {
            self.say(said, unix_ms());
        }
    }

    fn record_at(&self, event: Event, now: u64, unix_ms: u64) {
        let (kind, client) = (event.kind, event.client.clone());
        let subject = client.clone().unwrap_or_else(|| event.subject());
        let thing = Happened { unix_ms, event };
        if client.is_none() && kind.is_always_said() {
            return self.say(Said { thing, held_back: 0 }, unix_ms);
        }
        let said = {
            let mut state = self.state();
            let throttle = if client.is_some() { &mut state.clients } else { &mut state.throttle };
            let Answer { said, left_out } = throttle.offer(kind.topic(), subject, thing, kind.displaced(), now);
            for left_out in left_out {
                state.counts[left_out.event.kind.index()].held_back += 1;
            }
            said
        };
        for said in said {
            self.say(said, unix_ms);
        }
    }

    fn tick_at(&self, now: u64, unix_ms: u64) {
        let due = {
            let mut state = self.state();
            [state.throttle.due(now), state.clients.due(now)].concat()
        };
        for said in due {
            self.say(said, unix_ms);
        }
    }

    fn say(&self, said: Said<Happened>, told_ms: u64) {
        let Said { thing: Happened { unix_ms, mut event }, held_back } = said;
        if held_back > 0 {
            event.fields.insert(HELD_BACK.to_owned(), held_back.into());
        }
        // Outside of the lock: whoever reads our log may be slow.
        let (name, fields, text) = (event.kind.name(), super::logging::Fields(&event.fields), &event.text);
        let happened_ms = (told_ms != unix_ms).then_some(unix_ms);
        match (event.level, event.kind.is_audit()) {
            (Level::Info, false) => tracing::info!(event = name, happened_ms, %fields, "{text}"),
            (Level::Warn, false) => tracing::warn!(event = name, happened_ms, %fields, "{text}"),
            (Level::Error, false) => tracing::error!(event = name, happened_ms, %fields, "{text}"),
            (Level::Info, true) => tracing::info!(target: AUDIT, event = name, happened_ms, %fields, "{text}"),
            (_, true) => tracing::warn!(target: AUDIT, event = name, happened_ms, %fields, "{text}"),
        }
        let mut state = self.state();
        state.counts[event.kind.index()].said += 1;
        state.last_id += 1;
        let logged = Arc::new(Logged { id: state.last_id, unix_ms, told_ms, event });
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(Arc::clone(&logged));
        // Nobody follows: nothing to tell.
        let _ = self.0.followers.send(logged);
    }

    /// What is kept of everything after that number, and whatever comes: nothing is missed between the two. A number
    /// that this run has not reached is of another run, before the clock was set back: everything is after it.
    #[must_use]
    pub fn follow(&self, after: u64) -> (Vec<Arc<Logged>>, broadcast::Receiver<Arc<Logged>>) {
        let state = self.state();
        let is_other_run = after > state.last_id;
        let since = state.kept.iter().filter(|logged| is_other_run || logged.id > after).cloned().collect();
        (since, self.0.followers.subscribe())
    }

    /// How often each kind was said and left out, in the order of [`Kind::ALL`].
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        self.state().counts.clone()
    }
}

#[cfg(test)]
mod tests;
