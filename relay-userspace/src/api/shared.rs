//! What all clients share.

use super::limits::{Counts, LONG_ANSWERS, Limits, SETS, TURNED_AWAY, WRONG_TOKENS};
use super::problem::{Kind, Problem};
use super::sight::Sight;
use crate::control::desk::Desk;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

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
    /// Long answers that there is room for.
    long_answers: Arc<Semaphore>,
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
    pub(super) fn new(
        desk: Desk,
        sight: Arc<dyn Sight>,
        limits: Limits,
        ending: watch::Receiver<bool>,
    ) -> Self {
        Self(Arc::new(Shared {
            desk,
            sight,
            limits,
            counts: Arc::default(),
            streams: Arc::new(Semaphore::new(limits.streams)),
            sets: Semaphore::new(SETS),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY)),
            wrong_tokens: Semaphore::new(WRONG_TOKENS),
            long_answers: Arc::new(Semaphore::new(LONG_ANSWERS)),
            ending,
        }))
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

    /// An answer that may be long. It is made apart, and there are only so many until their readers have read them.
    pub(super) async fn long_answer(
        &self,
        kind: HeaderValue,
        work: impl FnOnce(&Self) -> Vec<u8> + Send + 'static,
    ) -> Result<Response, Problem> {
        let room = timeout(self.limits.answer_time, Arc::clone(&self.long_answers).acquire_owned()).await;
        let Ok(Ok(permit)) = room else {
            return Err(Problem::new(Kind::Unavailable, "too many clients read long answers already: ask again"));
        };
        let body = self.apart(work).await?;
        let body = Bytes::from_owner(Answer { body, _permit: permit });
        Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
    }
}

/// The bytes of a long answer, and the room they take.
struct Answer {
    body: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
