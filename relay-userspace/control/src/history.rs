//! The changes that were asked for lately, and what became of each: for whoever had no answer in time.

use super::desk::{Applied, Ask, Refusal, Who};
use crate::events::audit::describe;
use relay_engine::clock::{now_ns, unix_ms};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many changes whose outcome is known are kept.
pub const KEPT: usize = 64;
/// So many lines of what a change did are kept.
const LINES: usize = 100;
/// Numbers count from the beginning of 2025, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_735_689_600_000;

/// A change and what has become of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number.
    pub id: u64,
    /// Who asked, as the audit line calls them.
    pub who: String,
    /// For what: the word of the audit line.
    pub what: &'static str,
    /// Of which relay, if it was one.
    pub relay: Option<String>,
    /// Whether it was only to be said what would change.
    pub dry: bool,
    /// When, in milliseconds since 1970.
    pub asked_ms: u64,
    /// When, in nanoseconds of the monotonic clock.
    pub asked: u64,
    /// When it was begun.
    pub begun: Option<u64>,
    /// When it was over, and how.
    pub over: Option<(u64, Outcome)>,
}

/// How a change ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is in force.
    Done(Arc<Summary>),
    /// Nothing has changed, unless the refusal says otherwise: see [`Refusal::InDoubt`].
    Refused(Arc<Refusal>),
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The generation in force.
    pub generation: u64,
    /// The first lines of what was done.
    pub changes: Vec<String>,
    /// How many relays are new, changed and gone.
    pub created: usize,
    /// See `created`.
    pub changed: usize,
    /// See `created`.
    pub removed: usize,
    /// Why it is in force and not on disk yet, where it was to be made all the same.
    pub not_kept: Option<String>,
}

/// The changes of this control. Clones are the same.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    first: u64,
    next: u64,
    kept: VecDeque<Record>,
}

impl Default for Changes {
    fn default() -> Self {
        Self::begin(unix_ms())
    }
}

impl Changes {
    /// The changes of a control that begins now.
    ///
    /// The first number is the milliseconds since 2025. A control that makes less than a thousand changes a second, all its
    /// life, is followed by one whose numbers are higher; they stay below 2^53, so that JavaScript reads them exactly.
    fn begin(unix_ms: u64) -> Self {
        let first = unix_ms.saturating_sub(EPOCH_MS).max(1);
        Self(Arc::new(Mutex::new(State { first, next: first, kept: VecDeque::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody asks: this is its number from now on.
    #[must_use]
    pub fn ask(&self, who: &Who, ask: &Ask, dry: bool) -> u64 {
        let (what, relay) = crate::events::audit::what(ask);
        let (who, relay) = (describe(who).0, relay.map(str::to_owned));
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let (asked_ms, asked) = (unix_ms(), now_ns());
        state.kept.push_back(Record { id, who, what, relay, dry, asked_ms, asked, begun: None, over: None });
        id
    }

    /// There is no room for it.
    pub fn forget(&self, id: u64) {
        self.state().kept.retain(|record| record.id != id);
    }

    /// It is being carried out.
    pub fn begun(&self, id: u64) {
        self.edit(id, |record| record.begun = Some(now_ns()));
    }

    /// It is over.
    pub fn over(&self, id: u64, outcome: &Result<Applied, Refusal>) {
        let outcome = match outcome {
            Ok(applied) => Outcome::Done(Arc::new(Summary::of(applied))),
            Err(refusal) => Outcome::Refused(Arc::new(refusal.clone())),
        };
        self.edit(id, |record| record.over = Some((now_ns(), outcome)));
        let mut state = self.state();
        let is_over = |record: &Record| record.over.is_some();
        while state.kept.iter().filter(|record| is_over(record)).count() > KEPT {
            let Some(oldest) = state.kept.iter().position(is_over) else { return };
            state.kept.remove(oldest);
        }
    }

    fn edit(&self, id: u64, edit: impl FnOnce(&mut Record)) {
        if let Some(record) = self.state().kept.iter_mut().find(|record| record.id == id) {
            edit(record);
        }
    }

    /// The change of that number.
    ///
    /// # Errors
    /// Why nothing is known of it.
    pub fn get(&self, id: u64) -> Result<Record, Unknown> {
        let state = self.state();
        match state.kept.iter().find(|record| record.id == id) {
            Some(record) => Ok(record.clone()),
            None if id < state.first => Err(Unknown::Before(id)),
            None if id < state.next => Err(Unknown::Forgotten(id)),
            None => Err(Unknown::Never(id)),
        }
    }

    /// The disk has what all of them did.
    pub fn all_kept(&self) {
        for record in &mut self.state().kept {
            if let Some((_, Outcome::Done(summary))) = &mut record.over
                && summary.not_kept.is_some()
            {
                Arc::make_mut(summary).not_kept = None;
            }
        }
    }

    /// What is kept, newest first.
    #[must_use]
    pub fn list(&self) -> Vec<Record> {
        self.state().kept.iter().rev().cloned().collect()
    }
}

/// Why nothing is known of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// Another control was asked for it.
    #[error(
        "change {0} was asked of a control before this one: mcr events --kind audit.change tells what became of it, and \
         mcr relay ls what is in force"
    )]
    Before(u64),
    /// It is over for long.
    #[error("change {0} was followed by {KEPT} others that are over: mcr events --kind audit.change may have it still")]
    Forgotten(u64),
    /// There was none.
    #[error("there was no change {0}: see mcr changes")]
    Never(u64),
}

impl Summary {
    fn of(applied: &Applied) -> Self {
        let Applied { generation, changes, created, changed, removed, not_kept, .. } = applied;
        let changes = changes.iter().take(LINES).cloned().collect();
        let [created, changed, removed] = [created, changed, removed].map(Vec::len);
        Self { generation: *generation, changes, created, changed, removed, not_kept: not_kept.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Changes, KEPT, Outcome, Unknown};
    use crate::desk::{Applied, Ask, Refusal, Who};

    fn applied(n: usize) -> Result<Applied, Refusal> {
        let names: Vec<String> = (0..n).map(|i| format!("r{i}")).collect();
        let changes = names.iter().map(|name| format!("add relay \"{name}\"")).collect();
        Ok(Applied { generation: 9, changes, created: names, ..Applied::default() })
    }

    #[test]
    fn what_became_of_a_change_is_known() {
        let changes = Changes::default();
        let ask = |ask: Ask| changes.ask(&Who::User { uid: 7, pid: 1 }, &ask, false);
        let (reload, remove) = (ask(Ask::Reload), ask(Ask::Remove { name: "a".into(), expected: Default::default() }));
        let waits = changes.get(reload).unwrap();
        assert_eq!(
            (waits.who.as_str(), waits.what, waits.begun, waits.over.is_none()),
            ("uid 7", "reload", None, true)
        );
        changes.begun(reload);
        assert!(changes.get(reload).unwrap().begun.is_some());
        changes.over(reload, &applied(4096));
        let Some((_, Outcome::Done(done))) = changes.get(reload).unwrap().over else { panic!("done") };
        assert_eq!((done.generation, done.created, done.changes.len()), (9, 4096, 100));
        changes.over(remove, &Err(Refusal::NotFound("a".into())));
        let Some((_, Outcome::Refused(refused))) = changes.get(remove).unwrap().over else { panic!("refused") };
        assert!(matches!(&*refused, Refusal::NotFound(name) if name == "a"));
        assert_eq!(changes.list().iter().map(|record| record.id).collect::<Vec<_>>(), [remove, reload]);
    }

    #[test]
    fn what_is_not_on_disk_is_so_until_that_has_it() {
        let changes = Changes::default();
        let id = changes.ask(&Who::File, &Ask::Reload, false);
        changes.over(id, &Ok(Applied { not_kept: Some("it is full".to_owned()), ..Applied::default() }));
        let not_kept = || match changes.get(id).unwrap().over {
            Some((_, Outcome::Done(done))) => done.not_kept.clone(),
            _ => panic!("done"),
        };
        assert_eq!(not_kept().as_deref(), Some("it is full"));
        changes.all_kept();
        assert_eq!(not_kept(), None);
    }

    #[test]
    fn the_last_that_are_over_are_kept_and_all_that_are_not() {
        let changes = Changes::default();
        let all: Vec<u64> = (0..KEPT + 10).map(|_| changes.ask(&Who::File, &Ask::Reload, false)).collect();
        for id in &all[1..] {
            changes.over(*id, &applied(0));
        }
        let kept: Vec<u64> = changes.list().into_iter().map(|record| record.id).rev().collect();
        assert_eq!(kept, [&all[..1], &all[10..]].concat());
        assert_eq!(changes.get(all[5]).unwrap_err(), Unknown::Forgotten(all[5]));
        assert_eq!(changes.get(all[0] - 1).unwrap_err(), Unknown::Before(all[0] - 1));
        let next = all[KEPT + 9] + 1;
        assert_eq!(changes.get(next).unwrap_err(), Unknown::Never(next));
        changes.forget(all[0]);
        assert!(changes.get(all[0]).is_err());
    }

    #[test]
    fn another_control_gives_other_numbers() {
        let before = Changes::begin(1_764_547_200_000);
        let last = (0..900).fold(0, |_, _| before.ask(&Who::File, &Ask::Reload, true));
        let after = Changes::begin(1_764_547_201_000);
        assert!(after.ask(&Who::File, &Ask::Reload, true) > last);
        assert!(last < 1 << 53);
    }
}
