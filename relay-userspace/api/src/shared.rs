//! What all clients share.

use super::limits::{Counts, Limits, SETS, TURNED_AWAY, WRONG_TOKENS};
use super::long::LongAnswers;
use super::problem::{Kind, Problem};
use super::sight::Sight;
use relay_control::desk::Desk;
use relay_control::disk::{Disk, Unanswered};
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// While the disk hangs.
const WITHOUT_FILES: &str = "mcr diff and mcr import are not answered, and a renewed certificate is not taken";

/// The API behind all its addresses. Clones are the same.
#[derive(Clone)]
pub(super) struct Api(Arc<Shared>);

/// See [`Api`].
pub(super) struct Shared {
    pub(super) desk: Desk,
    pub(super) sight: Arc<dyn Sight>,
    pub(super) limits: Limits,
    pub(super) counts: Arc<Counts>,
    /// Streams of events that there is room for.
    pub(super) streams: Arc<Semaphore>,
    /// Bodies that replace all relays that there is room for.
    pub(super) sets: Semaphore,
    /// Clients that can be told that there is no room.
    pub(super) turned_away: Arc<Semaphore>,
    /// Wrong tokens that can be held back.
    pub(super) wrong_tokens: Semaphore,
    /// Answers that are long.
    pub(super) long: LongAnswers,
    /// Where files are read: a disk that hangs takes no other thread.
    files: Disk,
    /// Whether the API ends.
    pub(super) ending: watch::Receiver<bool>,
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    /// # Errors
    /// When there is no thread for files.
    pub(super) fn new(
        desk: Desk,
        sight: Arc<dyn Sight>,
        limits: Limits,
        ending: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Shared {
            desk,
            sight,
            limits,
            counts: Arc::default(),
            streams: Arc::new(Semaphore::new(limits.streams)),
            sets: Semaphore::new(SETS),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            wrong_tokens: Semaphore::new(WRONG_TOKENS),
            long: LongAnswers::default(),
            files: Disk::start("mcr-http-files", WITHOUT_FILES)?,
            ending,
        })))
    }

    /// Does something that takes long on a thread of its own, so that nobody's probe waits for it.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let api = self.clone();
        let done = timeout(self.limits.answer_time, tokio::task::spawn_blocking(move || work(&api))).await;
        let late = |_| Problem::new(Kind::NoAnswer, "the node is too busy to answer this: ask again");
        let broken = |_| Problem::new(Kind::Failed, "this is a fault of mcr itself: please report it");
        done.map_err(late)?.map_err(broken)
    }

    /// Does something with files, or with lists of users, which may lie on one: one thing after the other, on the thread that
    /// is for that. Whoever asks while a disk hangs waits for it no longer than the first.
    pub(super) async fn with_files<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let api = self.clone();
        let done = self.files.ask_beside(self.limits.file_time, what, move || work(&api)).await;
        done.map_err(|unanswered| match unanswered {
            Unanswered::Hangs(_) => Problem::new(Kind::NoAnswer, unanswered.to_string()),
            Unanswered::Ending | Unanswered::Panicked => Problem::new(Kind::Failed, unanswered.to_string()),
        })
    }
}
