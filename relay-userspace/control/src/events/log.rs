//! The log of events: those that are kept, and whoever follows.

use super::event::HELD_BACK;
use super::journal::{Journal, new_history};
use super::logged::Logged;
use super::logging::AUDIT;
use super::{Event, Kind, Level};
use relay_common::throttle::{Answer, Rate, Said, Throttle};
use relay_config::event_id::{After, Id};
use relay_engine::clock::{now_ns, unix_ms};
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Events that are kept for whoever comes later, and their bytes.
pub const KEPT: usize = 4096;
const KEPT_BYTES: usize = 4 << 20;
/// Events that a follower may be behind of what happens.
const BEHIND: usize = 1024;
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
/// So long after events could not be written down it is tried again.
pub(super) const RETRY: u64 = 5 * SECOND;
/// Clients that are told apart.
const MAX_CLIENTS: usize = 1024;
/// Subjects that are told apart: more than any node has relays, links and lanes by default.
const MAX_SUBJECTS: usize = 8192;

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
    kept_bytes: usize,
    /// The last event of all.
    last: Id,
    /// Where events outlive this control; if they do not, why. Nothing where nobody asked for it.
    journal: Result<Journal, String>,
    /// The folder and the name of the journal, if it is to be one.
    place: Option<(PathBuf, String)>,
    /// Without a journal it is tried again from then on, in nanoseconds of the monotonic clock.
    retry_at: u64,
    throttle: Throttle<Happened>,
    clients: Throttle<Happened>,
    counts: Vec<Count>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("last", &self.last).finish_non_exhaustive()
    }
}

/// What a follower is told first, and what comes then.
#[derive(Debug)]
pub struct Followed {
    /// What is kept of everything after the event that it saw last; where events are missing, one that says so.
    pub since: Vec<Arc<Logged>>,
    /// Whatever comes: nothing is missed between the two.
    pub coming: broadcast::Receiver<Arc<Logged>>,
}

impl Default for EventLog {
    /// A log that ends with this process.
    fn default() -> Self {
        Self::begin(Err(String::new()), None, Vec::new())
    }
}

impl EventLog {
    /// The log of a node: what was told before this control is in it.
    #[must_use]
    pub fn open(folder: &Path, node: u64) -> Self {
        let name = format!("events.{node}");
        let opened = Journal::open(folder, &name);
        let place = Some((folder.to_owned(), name));
        match opened {
            Ok((journal, found)) => Self::begin(Ok(journal), place, found),
            Err(error) => {
                let trouble = trouble(&error);
                tracing::warn!("{trouble}");
                Self::begin(Err(trouble), place, Vec::new())
            }
        }
    }

    fn begin(journal: Result<Journal, String>, place: Option<(PathBuf, String)>, found: Vec<Logged>) -> Self {
        let (followers, _) = broadcast::channel(BEHIND);
        let new = || Id { history: new_history(), number: 0 };
        let mut state = State {
            kept: VecDeque::new(),
            kept_bytes: 0,
            last: journal.as_ref().map_or_else(|_| new(), Journal::last),
            journal,
            place,
            retry_at: now_ns() + RETRY,
            throttle: Throttle::new(PER_SUBJECT, PER_TOPIC, MAX_SUBJECTS),
            clients: Throttle::new(PER_CLIENT, ALL_CLIENTS, MAX_CLIENTS),
            counts: vec![Count::default(); Kind::ALL.len()],
        };
        found.into_iter().for_each(|logged| state.keep(Arc::new(logged)));
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
            self.say(said, now_ns(), unix_ms());
        }
    }

    pub(super) fn record_at(&self, event: Event, now: u64, unix_ms: u64) {
        let (kind, client) = (event.kind, event.client.clone());
        let subject = client.clone().unwrap_or_else(|| event.subject());
        let thing = Happened { unix_ms, event };
        if client.is_none() && kind.is_always_said() {
            return self.say(Said { thing, held_back: 0 }, now, unix_ms);
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
            self.say(said, now, unix_ms);
        }
    }

    fn tick_at(&self, now: u64, unix_ms: u64) {
        let due = {
            let mut state = self.state();
            [state.throttle.due(now), state.clients.due(now)].concat()
        };
        for said in due {
            self.say(said, now, unix_ms);
        }
    }

    fn say(&self, said: Said<Happened>, now: u64, told_ms: u64) {
        let Said { thing: Happened { unix_ms, mut event }, held_back } = said;
        if held_back > 0 {
            event.fields.insert(HELD_BACK.to_owned(), held_back.into());
        }
        // Outside of the lock: whoever reads our log may be slow.
        write_line(&event, (told_ms != unix_ms).then_some(unix_ms));
        let mut state = self.state();
        state.counts[event.kind.index()].said += 1;
        state.try_again(now);
        for logged in state.write_down(now, |id| Logged::new(id, unix_ms, told_ms, &event)) {
            let logged = Arc::new(logged);
            state.keep(Arc::clone(&logged));
            // Nobody follows: nothing to tell.
            let _ = self.0.followers.send(logged);
        }
    }

    /// What is kept of everything after that event, or all of it, and whatever comes: nothing is missed between the two.
    #[must_use]
    pub fn follow(&self, after: Option<After>) -> Followed {
        let mut state = self.state();
        let news = state.journal.as_mut().ok().and_then(|journal| journal.news().ok()).unwrap_or_default();
        for logged in news {
            state.last = logged.id;
            let logged = Arc::new(logged);
            state.keep(Arc::clone(&logged));
            let _ = self.0.followers.send(logged);
        }
        let since = state.since(after, unix_ms());
        let lost = since.iter().filter(|logged| logged.is_for_everybody()).count() as u64;
        state.counts[Kind::EventsLost.index()].said += lost;
        Followed { since, coming: self.0.followers.subscribe() }
    }

    /// How often each kind was said and left out, in the order of [`Kind::ALL`].
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        self.state().counts.clone()
    }

    /// Why events do not outlive this control, if they do not, and what to do.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state().journal.as_ref().err().filter(|trouble| !trouble.is_empty()).cloned()
    }
}

impl State {
    /// Gives an event its name, and writes it down where it outlives this control. What another control has written before
    /// it comes first.
    fn write_down(&mut self, now: u64, make: impl Fn(Id) -> Logged) -> Vec<Logged> {
        let written = self.journal.as_mut().map(|journal| journal.append(&make));
        let told = match written {
            Ok(Ok(told)) => told,
            Ok(Err(error)) => {
                // The next control knows nothing of what is told from now on, and would give the same numbers again.
                let trouble = trouble(&error);
                tracing::error!("{trouble}");
                (self.journal, self.last) = (Err(trouble), Id { history: new_history(), number: 0 });
                self.retry_at = now + RETRY;
                vec![make(self.next())]
            }
            Err(_) => vec![make(self.next())],
        };
        self.last = told.last().map_or(self.last, |logged| logged.id);
        told
    }

    /// Writes events down again, once what kept it from that is over. What was told meanwhile is a history of its own.
    fn try_again(&mut self, now: u64) {
        if self.journal.is_ok() || now < self.retry_at {
            return;
        }
        let Some((folder, name)) = &self.place else { return };
        self.retry_at = now + RETRY;
        match Journal::open(folder, name) {
            Ok((journal, _)) => {
                tracing::info!("events outlive this control again");
                self.last = journal.last();
                self.journal = Ok(journal);
            }
            Err(error) => self.journal = Err(trouble(&error)),
        }
    }

    const fn next(&self) -> Id {
        Id { history: self.last.history, number: self.last.number + 1 }
    }

    fn keep(&mut self, logged: Arc<Logged>) {
        self.kept_bytes += logged.json.len();
        self.kept.push_back(logged);
        while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            let Some(gone) = self.kept.pop_front() else { break };
            self.kept_bytes -= gone.json.len();
        }
    }

    /// What is kept after that event, with a word wherever events are missing.
    fn since(&self, after: Option<After>, now_ms: u64) -> Vec<Arc<Logged>> {
        let history = self.last.history;
        let after = after.map(|after| match after {
            After::Id(id) => id,
            After::Number(number) => Id { history, number },
        });
        let seen = after.and_then(|after| self.kept.iter().position(|logged| logged.id == after));
        // Only whoever names what it saw can miss something before the first.
        let mut before = after;
        // Where one history follows another in what is kept, nothing is missing between them.
        let mut is_kept = seen.is_some();
        let mut since = Vec::new();
        for logged in self.kept.iter().skip(seen.map_or(0, |at| at + 1)) {
            let follows = is_kept && before.is_some_and(|before| before.history != logged.id.history);
            let gap = before.filter(|_| !follows).and_then(|before| missing(before, logged.id, now_ms));
            since.extend(gap.map(Arc::new));
            (before, is_kept) = (Some(logged.id), true);
            since.push(Arc::clone(logged));
        }
        if let Some(after) = after.filter(|after| since.is_empty() && *after != self.last) {
            // What was seen is of another history, and in this one nothing has happened yet.
            since.extend(missing(after, self.next(), now_ms).map(Arc::new));
        }
        since
    }
}

/// What tells that events are missing between two that are told, if they are.
fn missing(before: Id, next: Id, now_ms: u64) -> Option<Logged> {
    let first = Id { number: before.number + 1, ..before };
    let last = Id { number: next.number.saturating_sub(1), ..next };
    if before.history != next.history {
        // How far the other went nobody knows.
        return Some(Logged::lost(&first.to_string(), last, None, now_ms));
    }
    match next.number.checked_sub(first.number) {
        Some(0) => None,
        // None: it saw what this history has not reached, and how that can be nobody knows.
        n => Some(Logged::lost(&first.to_string(), last, n, now_ms)),
    }
}

fn trouble(error: &std::io::Error) -> String {
    format!(
        "events are kept in memory only and end with this control: {error}: make room in the run folder, or mend it; it is \
         tried again"
    )
}

/// Says an event in the log.
fn write_line(event: &Event, happened_ms: Option<u64>) {
    let (name, fields, text) = (event.kind.name(), super::logging::Fields(&event.fields), &event.text);
    match (event.level, event.kind.is_audit()) {
        (Level::Info, false) => tracing::info!(event = name, happened_ms, %fields, "{text}"),
        (Level::Warn, false) => tracing::warn!(event = name, happened_ms, %fields, "{text}"),
        (Level::Error, false) => tracing::error!(event = name, happened_ms, %fields, "{text}"),
        (Level::Info, true) => tracing::info!(target: AUDIT, event = name, happened_ms, %fields, "{text}"),
        (_, true) => tracing::warn!(target: AUDIT, event = name, happened_ms, %fields, "{text}"),
    }
}

#[cfg(test)]
mod tests;
