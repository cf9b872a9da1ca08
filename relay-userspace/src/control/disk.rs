//! What is done with files: on a thread of its own, one after the other, and with a deadline, because nobody can interrupt
//! a disk that hangs.

use super::progress::Progress;
use crate::rights;
use anyhow::Context as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A disk that is busy takes seconds; one that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long it has when control begins over lanes, which know what runs: until then they have no control.
pub const PATIENCE_OVER_LANES: Duration = Duration::from_secs(5);
/// So long it has left when the node is to end: a disk that is well has answered by then.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(1);

/// Why what was asked of the disk is perhaps not done. It may be done later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It has not answered in time.
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
    /// Something is being done: whoever asks now would wait behind what nobody waits for any more.
    is_busy: Arc<AtomicBool>,
}

impl Disk {
    /// Starts it. It ends with this value, once what it is at is done.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(PATIENCE)
    }

    fn start_with(patience: Duration) -> anyhow::Result<Self> {
        let (work, taken) = mpsc::channel::<Work>();
        let all = move || {
            rights::keep_nothing();
            taken.into_iter().for_each(|work| work());
        };
        thread::Builder::new().name("mcr-disk".to_owned()).spawn(all).context("no thread for files")?;
        Ok(Self { work, patience, is_busy: Arc::default() })
    }

    /// Has it do something, and waits for that. What comes too late is dropped there. While that is waited for, whoever asks
    /// next is told so at once: links and lanes must not wait for a disk time and again.
    ///
    /// # Errors
    /// When it takes too long, what was asked before still does, or the node is to end.
    pub async fn ask<T: Send + 'static>(
        &self,
        progress: &Progress,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.ask_within(self.patience, progress, what, work).await
    }

    /// The same, with another deadline.
    ///
    /// # Errors
    /// See [`ask`](Self::ask).
    pub async fn ask_within<T: Send + 'static>(
        &self,
        patience: Duration,
        progress: &Progress,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let hangs = Unanswered::Hangs(patience);
        if self.is_busy.swap(true, Relaxed) {
            return Err(hangs);
        }
        progress.step_within(what, u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
        let (answer, answered) = oneshot::channel();
        let is_busy = Arc::clone(&self.is_busy);
        let work = move || {
            // One thing that fails so is no reason to do nothing more: what it was at is dropped, as where it comes too late.
            let done = catch_unwind(AssertUnwindSafe(work));
            is_busy.store(false, Relaxed);
            if let Ok(done) = done {
                let _ = answer.send(done);
            }
        };
        // A thread that is gone answers nothing either.
        let _ = self.work.send(Box::new(work));
        let ends = async {
            progress.asked_to_end().await;
            tokio::time::sleep(PATIENCE_AT_THE_END).await;
        };
        tokio::select! {
            biased;
            answered = timeout(patience, answered) => match answered {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(Unanswered::Panicked),
                Err(_) => {
                    tracing::warn!("{what}: {hangs}; until it has, changes that must be written down are refused");
                    Err(hangs)
                }
            },
            () = ends => Err(Unanswered::Ending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, PATIENCE, Unanswered};
    use crate::clock::now_ns;
    use crate::control::progress::Progress;
    use std::sync::mpsc;
    use std::time::Duration;

    fn progress() -> Progress {
        let progress = Progress::default();
        progress.begin(None, "a change");
        progress
    }

    #[tokio::test]
    async fn what_hangs_is_let_hang_and_what_comes_late_is_dropped() {
        let progress = progress();
        assert_eq!(Disk::start().unwrap().ask(&progress, "writing", || 7).await, Ok(7));
        let patience = Duration::from_millis(20);
        let disk = Disk::start_with(patience).unwrap();
        let (goes_on, waits) = mpsc::channel::<()>();
        let (told, dropped) = mpsc::channel::<u8>();
        let hangs = disk.ask(&progress, "writing", move || {
            let _ = waits.recv();
            told
        });
        assert_eq!(hangs.await.err(), Some(Unanswered::Hangs(patience)));
        // Nobody waits again for a disk that hangs.
        let patient = Disk { patience: Duration::from_secs(3_600), ..disk };
        assert_eq!(patient.ask(&progress, "writing", || 8).await, Err(Unanswered::Hangs(patient.patience)));
        drop(goes_on);
        assert!(dropped.recv().is_err(), "its answer is nobody's");
        // When it has done what was asked, it is as before.
        while patient.is_busy.load(super::Relaxed) {
            tokio::task::yield_now().await;
        }
        assert_eq!(patient.ask(&progress, "writing", || 9).await, Ok(9));
    }

    #[tokio::test]
    async fn one_thing_that_panics_is_told_and_the_next_is_done() {
        let (disk, progress) = (Disk::start().unwrap(), progress());
        let panics = disk.ask(&progress, "writing", || panic!("a defect that this test has made"));
        assert_eq!(panics.await, Err::<(), _>(Unanswered::Panicked));
        assert_eq!(disk.ask(&progress, "writing", || 7).await, Ok(7));
    }

    #[tokio::test]
    async fn whoever_is_to_end_does_not_wait_for_a_disk_that_hangs() {
        let (disk, progress) = (Disk::start().unwrap(), progress());
        let (goes_on, waits) = mpsc::channel::<()>();
        let began = now_ns();
        let hangs = disk.ask(&progress, "writing", move || waits.recv().is_ok());
        let (hangs, ()) = tokio::join!(hangs, async { progress.ask_to_end() });
        assert_eq!(hangs, Err(Unanswered::Ending));
        assert!(Duration::from_nanos(now_ns() - began) < PATIENCE / 2);
        drop(goes_on);
        // One that answers is let finish what it has begun.
        while disk.is_busy.load(super::Relaxed) {
            tokio::task::yield_now().await;
        }
        assert_eq!(disk.ask(&progress, "writing", || 7).await, Ok(7));
    }
}
