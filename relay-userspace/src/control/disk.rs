//! What is done with files: on a thread of its own, one after the other, and with a deadline, because nobody can interrupt
//! a disk that hangs.

use super::progress::Progress;
use crate::rights;
use anyhow::Context as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A disk that is busy takes seconds; one that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// The disk has not answered in time. What was asked of it may be done later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk has not answered for {} s: see what it does (dmesg)", .0.as_secs())]
pub struct Hangs(Duration);

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
    /// When it takes too long, or what was asked before still does.
    pub async fn ask<T: Send + 'static>(
        &self,
        progress: &Progress,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Hangs> {
        let hangs = Hangs(self.patience);
        if self.is_busy.swap(true, Relaxed) {
            return Err(hangs);
        }
        progress.step_within(what, u64::try_from(self.patience.as_nanos()).unwrap_or(u64::MAX));
        let (answer, answered) = oneshot::channel();
        let is_busy = Arc::clone(&self.is_busy);
        let work = move || {
            let done = work();
            is_busy.store(false, Relaxed);
            let _ = answer.send(done);
        };
        // A thread that is gone answers nothing either.
        let _ = self.work.send(Box::new(work));
        let Ok(answered) = timeout(self.patience, answered).await else {
            tracing::warn!("{what}: {hangs}; until it has, changes that must be written down are refused");
            return Err(hangs);
        };
        answered.map_err(|_| hangs)
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, Hangs};
    use crate::control::progress::Progress;
    use std::sync::mpsc;
    use std::time::Duration;

    #[tokio::test]
    async fn what_hangs_is_let_hang_and_what_comes_late_is_dropped() {
        let progress = Progress::default();
        progress.begin(None, "a change");
        assert_eq!(Disk::start().unwrap().ask(&progress, "writing", || 7).await, Ok(7));
        let patience = Duration::from_millis(20);
        let disk = Disk::start_with(patience).unwrap();
        let (goes_on, waits) = mpsc::channel::<()>();
        let (told, dropped) = mpsc::channel::<u8>();
        let hangs = disk.ask(&progress, "writing", move || {
            let _ = waits.recv();
            told
        });
        assert_eq!(hangs.await.err(), Some(Hangs(patience)));
        // Nobody waits again for a disk that hangs.
        let patient = Disk { patience: Duration::from_secs(3_600), ..disk };
        assert_eq!(patient.ask(&progress, "writing", || 8).await, Err(Hangs(patient.patience)));
        drop(goes_on);
        assert!(dropped.recv().is_err(), "its answer is nobody's");
        // When it has done what was asked, it is as before.
        while patient.is_busy.load(super::Relaxed) {
            tokio::task::yield_now().await;
        }
        assert_eq!(patient.ask(&progress, "writing", || 9).await, Ok(9));
    }
}
