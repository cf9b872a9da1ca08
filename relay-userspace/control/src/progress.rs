//! What the worker is at: its job, the step of it, how far that has come and since when. The worker writes it, and
//! everybody may look: nobody waits for it.

use arc_swap::ArcSwapOption;
use relay_engine::clock::now_ns;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;

/// A step that shows no sign of progress for so long, in nanoseconds, is stuck, unless it has told that it may take longer.
const PATIENCE_NS: u64 = relay_common::health::STALE_NS;

/// What the worker is at.
#[derive(Debug, Default)]
pub struct Progress {
    job: ArcSwapOption<Job>,
    step: ArcSwapOption<Step>,
    /// When it last showed a sign of progress, in nanoseconds of the monotonic clock.
    sign: AtomicU64,
    /// Nanoseconds of all jobs that are done.
    worked: AtomicU64,
    /// Whether the node is to end: whatever takes long gives up.
    ending: AtomicBool,
    /// Tells it to whoever waits.
    ends: Notify,
}

/// What it was given to do.
#[derive(Debug)]
struct Job {
    change: Option<u64>,
    what: Cow<'static, str>,
    since: u64,
}

/// One step of it.
#[derive(Debug)]
struct Step {
    what: Cow<'static, str>,
    since: u64,
    done: AtomicU64,
    /// Of how many; 0 where it is one.
    total: u64,
    patience: u64,
}

/// What the worker is at in this moment. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doing {
    /// The change that it carries out, unless it does something of its own.
    pub change: Option<u64>,
    /// What it was given to do.
    pub job: String,
    /// For how long it has been at that.
    pub job_age: u64,
    /// What it does of that now.
    pub step: Option<StepView>,
    /// For how long there has been no sign of progress.
    pub silent: u64,
    /// For how long that may be.
    pub patience: u64,
}

/// A step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepView {
    /// What is done.
    pub what: String,
    /// How often it was done.
    pub done: u64,
    /// How often it is to be done; 0 where it is done once.
    pub total: u64,
    /// For how long it has been at that.
    pub age: u64,
}

/// The node is to end, and what was begun is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mcr is ending: what was begun is given up")]
pub struct Ending;

impl Progress {
    /// The worker is given something to do.
    pub fn begin(&self, change: Option<u64>, what: impl Into<Cow<'static, str>>) {
        let since = now_ns();
        self.count(since);
        self.step.store(None);
        self.sign.store(since, Relaxed);
        self.job.store(Some(Arc::new(Job { change, what: what.into(), since })));
    }

    /// It has done it.
    pub fn end(&self) {
        self.count(now_ns());
        self.job.store(None);
        self.step.store(None);
    }

    /// Counts the time of a job that is done, before it is gone: whoever looks between may take it for longer than it was.
    fn count(&self, now: u64) {
        if let Some(job) = &*self.job.load() {
            self.worked.fetch_add(now.saturating_sub(job.since), Relaxed);
        }
    }

    /// For how long it has had something to do so far, in nanoseconds.
    #[must_use]
    pub fn worked(&self, now: u64) -> u64 {
        let job = self.job.load().as_ref().map_or(0, |job| now.saturating_sub(job.since));
        job.saturating_add(self.worked.load(Relaxed))
    }

    /// It does something that is one piece.
    pub fn step(&self, what: impl Into<Cow<'static, str>>) {
        self.steps(what, 0);
    }

    /// It does something so many times: see [`advance`](Self::advance).
    pub fn steps(&self, what: impl Into<Cow<'static, str>>, total: usize) {
        self.enter(what.into(), total as u64, PATIENCE_NS);
    }

    /// It does something that has a deadline of its own, so many nanoseconds away: until then it is not stuck.
    pub fn step_within(&self, what: impl Into<Cow<'static, str>>, deadline_ns: u64) {
        self.enter(what.into(), 0, deadline_ns.saturating_add(PATIENCE_NS));
    }

    fn enter(&self, what: Cow<'static, str>, total: u64, patience: u64) {
        let since = now_ns();
        self.sign.store(since, Relaxed);
        self.step.store(Some(Arc::new(Step { what, since, done: AtomicU64::new(0), total, patience })));
    }

    /// It waits for something that has a deadline of its own, so many nanoseconds away: until then it is not stuck,
    /// whatever step it is at.
    pub fn waits_for(&self, deadline_ns: u64) {
        self.sign.store(now_ns().saturating_add(deadline_ns), Relaxed);
    }

    /// It has done one more of what it does.
    ///
    /// # Errors
    /// When the node is to end.
    pub fn advance(&self) -> Result<(), Ending> {
        if let Some(step) = &*self.step.load() {
            step.done.fetch_add(1, Relaxed);
        }
        self.sign.store(now_ns(), Relaxed);
        self.go_on()
    }

    /// Whether it may go on with what takes long.
    ///
    /// # Errors
    /// When the node is to end.
    pub fn go_on(&self) -> Result<(), Ending> {
        if self.is_ending() { Err(Ending) } else { Ok(()) }
    }

    /// The node is to end.
    pub fn ask_to_end(&self) {
        self.ending.store(true, Relaxed);
        self.ends.notify_waiters();
    }

    /// Waits until the node is to end.
    pub async fn asked_to_end(&self) {
        let told = self.ends.notified();
        // One that is told between the look and the wait is heard: what is told counts from here on.
        if !self.is_ending() {
            told.await;
        }
    }

    /// Whether it is to end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// What it is at; nothing while it waits for something to do.
    #[must_use]
    pub fn doing(&self, now: u64) -> Option<Doing> {
        let (job, step) = (self.job.load(), self.step.load());
        let job = (*job).as_ref()?;
        let view = |step: &Arc<Step>| StepView {
            what: step.what.to_string(),
            done: step.done.load(Relaxed),
            total: step.total,
            age: now.saturating_sub(step.since),
        };
        Some(Doing {
            change: job.change,
            job: job.what.to_string(),
            job_age: now.saturating_sub(job.since),
            step: step.as_ref().map(view),
            silent: now.saturating_sub(self.sign.load(Relaxed)),
            patience: step.as_ref().map_or(PATIENCE_NS, |step| step.patience),
        })
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change {
            Some(change) => write!(f, "change {change} ({})", self.job)?,
            None => f.write_str(&self.job)?,
        }
        let age = self.step.as_ref().map_or(self.job_age, |step| step.age);
        match &self.step {
            Some(step) if step.total > 0 => write!(f, ": {} {} of {}", step.what, step.done, step.total)?,
            Some(step) => write!(f, ": {}", step.what)?,
            None => {}
        }
        write!(f, " since {}.{} s", age / 1_000_000_000, age / 100_000_000 % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, PATIENCE_NS, Progress};
    use relay_engine::clock::now_ns;

    #[test]
    fn it_says_what_is_done_and_how_far_it_has_come() {
        let progress = Progress::default();
        assert_eq!(progress.doing(now_ns()), None);
        progress.begin(Some(12), "reload by uid 0");
        let began = now_ns();
        let said = |seconds: u64| progress.doing(began + seconds * 1_000_000_000).map(|doing| doing.to_string());
        assert_eq!(said(3).as_deref(), Some("change 12 (reload by uid 0) since 3.0 s"));
        progress.steps("joining groups", 4096);
        progress.advance().unwrap();
        progress.advance().unwrap();
        assert_eq!(said(0).as_deref(), Some("change 12 (reload by uid 0): joining groups 2 of 4096 since 0.0 s"));
        progress.step("attaching the XDP program to in0");
        let said = said(0).unwrap();
        assert!(said.contains(": attaching the XDP program to in0 since"), "{said}");
        progress.begin(None, "a look at the links");
        assert!(progress.doing(began).unwrap().to_string().starts_with("a look at the links since"));
        progress.end();
        assert_eq!(progress.doing(began), None);
    }

    #[test]
    fn all_that_it_worked_is_counted() {
        let progress = Progress::default();
        assert_eq!(progress.worked(now_ns()), 0);
        progress.begin(None, "start");
        let began = now_ns();
        assert!(progress.worked(began + 7_000_000_000) >= 7_000_000_000);
        progress.begin(None, "a look at the links");
        progress.end();
        let worked = progress.worked(now_ns());
        assert!(worked < now_ns() - began + 1_000_000_000);
        assert_eq!(progress.worked(now_ns() + 9_000_000_000), worked, "nothing is done");
    }

    #[test]
    fn every_sign_of_progress_counts_and_a_deadline_is_waited_for() {
        let progress = Progress::default();
        progress.begin(None, "start");
        progress.steps("joining groups", 2);
        let began = now_ns();
        let doing = progress.doing(began + PATIENCE_NS / 2).unwrap();
        assert!(doing.silent <= doing.patience && doing.patience == PATIENCE_NS, "{doing:?}");
        progress.advance().unwrap();
        let later = progress.doing(began + PATIENCE_NS / 2).unwrap();
        assert!(later.silent <= doing.silent, "{} {}", later.silent, doing.silent);
        progress.step_within("writing the state file", 10 * PATIENCE_NS);
        assert_eq!(progress.doing(began).unwrap().patience, 11 * PATIENCE_NS);
    }

    #[test]
    fn who_is_to_end_gives_up() {
        let progress = Progress::default();
        progress.begin(None, "start");
        progress.ask_to_end();
        assert_eq!((progress.advance(), progress.go_on()), (Err(Ending), Err(Ending)));
    }
}
