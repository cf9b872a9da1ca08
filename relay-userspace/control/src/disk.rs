//! What is done with files: on a thread of its own, one after the other, and with a deadline, because nobody can interrupt
//! a disk that hangs.

use super::progress::Progress;
use crate::rights;
use anyhow::Context as _;
use relay_engine::clock::now_ns;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// A disk that is busy takes seconds; one that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long it has when control begins over lanes, which know what runs: until then they have no control.
pub const PATIENCE_OVER_LANES: Duration = Duration::from_secs(5);
/// So long it has for what is only looked at now and then: links and lanes do not wait for a disk that is busy.
const PATIENCE_IN_PASSING: Duration = Duration::from_secs(1);
/// So long it has left when the node is to end: a disk that is well has answered by then.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(1);
/// The log says so of one that has not answered for so long, once.
const TOLD_AFTER: Duration = PATIENCE_OVER_LANES;

/// What becomes of changes while the worker's hangs, for the log.
pub const CHANGES_WAIT: &str = "changes that must be written down wait for it, and are refused after 20 s";

/// Why what was asked of the disk is perhaps not done. It may be done later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It has not answered for so long.
    #[error("the disk has not answered for {} s: see what it does (dmesg)", .0.as_secs())]
    Hangs(Duration),
    /// The node is to end, and does not wait for a disk.
    #[error("mcr is ending, and the disk has not answered by then")]
    Ending,
    /// Whoever did it has panicked.
    #[error("mcr has a defect: what is done with files has failed in a way that nobody foresaw (see the log)")]
    Panicked,
}

type Work = Box<dyn FnOnce() + Send>;

/// The thread.
#[derive(Debug)]
pub struct Disk {
    work: mpsc::Sender<Work>,
    patience: Duration,
    /// One thing is done at a time: whoever asks has this, until that is done.
    turn: Arc<Semaphore>,
    /// When the last thing was begun, in nanoseconds of the monotonic clock.
    began: AtomicU64,
    /// The same of the last of which the log said that it hangs.
    told: AtomicU64,
    /// What becomes of others meanwhile, for the log.
    meanwhile: &'static str,
}

impl Disk {
    /// Starts it, under that name; what becomes of others while the disk hangs is for the log. It ends with this value, once
    /// what it is at is done.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(name: &str, meanwhile: &'static str) -> anyhow::Result<Self> {
        let (work, taken) = mpsc::channel::<Work>();
        let all = move || {
            rights::keep_nothing();
            taken.into_iter().for_each(|work| work());
        };
        thread::Builder::new().name(name.to_owned()).spawn(all).context("no thread for files")?;
        let turn = Arc::new(Semaphore::new(1));
        Ok(Self { work, patience: PATIENCE, turn, began: AtomicU64::new(0), told: AtomicU64::new(0), meanwhile })
    }

    /// Has it do something, and waits for that. What comes too late is dropped there. Whoever asks next waits for that too,
    /// but not for longer than if it had asked for it: links and lanes must not wait for a disk time and again.
    ///
    /// # Errors
    /// When it takes too long, what was asked before does, or the node is to end.
    pub async fn ask<T: Send + 'static>(
        &self,
        progress: &Progress,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.ask_within(self.patience, progress, what, work).await
    }

    /// The same for what is looked at now and then; nothing where the disk is busy.
    pub async fn ask_in_passing<T: Send + 'static>(
        &self,
        progress: &Progress,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.ask_within(PATIENCE_IN_PASSING, progress, what, work).await.ok()
    }

    /// The same as [`ask`](Self::ask), with another deadline.
    ///
    /// # Errors
    /// See there.
    pub async fn ask_within<T: Send + 'static>(
        &self,
        patience: Duration,
        progress: &Progress,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let step = |what| progress.step_within(what, u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
        let done = async {
            if self.turn.available_permits() == 0 {
                step("waiting for a disk that is busy");
            }
            let turn = self.turn(patience, what).await?;
            step(what);
            self.give(turn, patience, what, work).await
        };
        let ends = async {
            progress.asked_to_end().await;
            tokio::time::sleep(PATIENCE_AT_THE_END).await;
        };
        tokio::select! {
            biased;
            done = done => done,
            () = ends => Err(Unanswered::Ending),
        }
    }

    /// The same for whoever is not the worker, and shows no progress.
    ///
    /// # Errors
    /// When it takes too long, or what was asked before does.
    pub async fn ask_beside<T: Send + 'static>(
        &self,
        patience: Duration,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let turn = self.turn(patience, what).await?;
        self.give(turn, patience, what, work).await
    }

    /// Waits until nothing else is done.
    async fn turn(&self, patience: Duration, what: &str) -> Result<OwnedSemaphorePermit, Unanswered> {
        loop {
            let began = self.began.load(Relaxed);
            let left = patience.saturating_sub(since(began));
            match timeout(left, Arc::clone(&self.turn).acquire_owned()).await {
                Ok(Ok(turn)) => {
                    self.began.store(now_ns(), Relaxed);
                    return Ok(turn);
                }
                // Nobody closes it.
                Ok(Err(_)) => return Err(Unanswered::Panicked),
                // Where another one has begun meanwhile the disk answers: that one has its time.
                Err(_) if self.began.load(Relaxed) == began => return Err(self.hangs(began, what)),
                Err(_) => {}
            }
        }
    }

    async fn give<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        patience: Duration,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let began = self.began.load(Relaxed);
        let (answer, answered) = oneshot::channel();
        let work = move || {
            // One thing that fails so is no reason to do nothing more: what it was at is dropped, as where it comes too late.
            let done = catch_unwind(AssertUnwindSafe(work));
            drop(turn);
            if let Ok(done) = done {
                let _ = answer.send(done);
            }
        };
        // A thread that is gone answers nothing either.
        let _ = self.work.send(Box::new(work));
        match timeout(patience, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unanswered::Panicked),
            Err(_) => Err(self.hangs(began, what)),
        }
    }

    /// What was begun then is not done, and somebody waits for it, or for its own turn.
    fn hangs(&self, began: u64, what: &str) -> Unanswered {
        let hangs = since(began);
        let unanswered = Unanswered::Hangs(hangs);
        if hangs >= TOLD_AFTER && self.told.swap(began, Relaxed) != began {
            tracing::warn!("{what}: {unanswered}; until it has, {}", self.meanwhile);
        }
        unanswered
    }
}

fn since(began: u64) -> Duration {
    Duration::from_nanos(now_ns().saturating_sub(began))
}

#[cfg(test)]
mod tests {
    use super::{Disk, PATIENCE, Unanswered};
    use crate::progress::Progress;
    use relay_engine::clock::now_ns;
    use std::sync::mpsc;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3_600);

    fn disk(patience: Duration) -> Disk {
        Disk { patience, ..Disk::start("mcr-disk", "nothing is done").unwrap() }
    }

    fn progress() -> Progress {
        let progress = Progress::default();
        progress.begin(None, "a change");
        progress
    }

    /// It hangs, and says for how long it has done so.
    fn hangs<T>(asked: &Result<T, Unanswered>) -> bool {
        matches!(asked, Err(Unanswered::Hangs(time)) if (SHORT..PATIENCE).contains(time))
    }

    #[tokio::test]
    async fn what_hangs_is_let_hang_and_what_comes_late_is_dropped() {
        let (disk, progress) = (disk(SHORT), progress());
        assert_eq!(disk.ask_within(LONG, &progress, "writing", || 7).await, Ok(7));
        let (goes_on, waits) = mpsc::channel::<()>();
        let (told, dropped) = mpsc::channel::<u8>();
        let asked = disk.ask(&progress, "writing", move || {
            let _ = waits.recv();
            told
        });
        assert!(hangs(&asked.await));
        // Nobody waits again for a disk that hangs.
        let asked = disk.ask(&progress, "writing", || 8).await;
        assert!(hangs(&asked), "{asked:?}");
        drop(goes_on);
        assert!(dropped.recv().is_err(), "its answer is nobody's");
        assert_eq!(disk.ask_within(LONG, &progress, "writing", || 9).await, Ok(9), "as before");
    }

    /// Somebody else has less patience: that is no reason to refuse what would be done.
    #[tokio::test]
    async fn who_asks_while_the_disk_is_busy_waits_for_it() {
        let (disk, progress) = (disk(LONG), progress());
        let (goes_on, waits) = mpsc::channel::<()>();
        let busy = disk.ask_within(SHORT, &progress, "trying to write", move || waits.recv().is_ok());
        assert!(hangs(&busy.await));
        let goes_on = async {
            assert_eq!(progress.doing(now_ns()).unwrap().step.unwrap().what, "waiting for a disk that is busy");
            drop(goes_on);
        };
        let (first, second, ()) =
            tokio::join!(disk.ask(&progress, "writing", || 8), disk.ask_beside(LONG, "reading", || 9), goes_on);
        assert_eq!((first, second), (Ok(8), Ok(9)));
    }

    #[tokio::test]
    async fn one_thing_that_panics_is_told_and_the_next_is_done() {
        let (disk, progress) = (disk(LONG), progress());
        let panics = disk.ask(&progress, "writing", || panic!("a defect that this test has made"));
        assert_eq!(panics.await, Err::<(), _>(Unanswered::Panicked));
        assert_eq!(disk.ask(&progress, "writing", || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn whoever_is_to_end_does_not_wait_for_a_disk_that_hangs() {
        let (disk, progress) = (disk(LONG), progress());
        let (goes_on, waits) = mpsc::channel::<()>();
        let began = now_ns();
        let asked = disk.ask(&progress, "writing", move || waits.recv().is_ok());
        let (asked, ()) = tokio::join!(asked, async { progress.ask_to_end() });
        assert_eq!(asked, Err(Unanswered::Ending));
        // Nor for one that hangs on what somebody else wanted.
        assert_eq!(disk.ask(&progress, "writing", || 7).await, Err(Unanswered::Ending));
        assert!(Duration::from_nanos(now_ns() - began) < PATIENCE / 2);
        drop(goes_on);
        // One that answers is let finish what it has begun.
        assert_eq!(disk.ask(&progress, "writing", || 7).await, Ok(7));
    }
}
