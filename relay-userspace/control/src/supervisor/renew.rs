//! Another process takes the place of one that relays. It is started beside it and given everything; only then does the
//! first one wait at the edge of a batch, and whichever of the two goes on has what a control that follows needs.

use super::start::Next;
use super::{Shared, Supervisor};
use anyhow::Context as _;
use std::sync::Arc;

/// A lane that is being renewed. As long as this lives, the end of its present process is not followed by another one.
#[derive(Debug)]
pub struct Renewal {
    shared: Arc<Shared>,
    lane: u32,
    next: Option<Next>,
}

impl Supervisor {
    /// Starts another process for a lane, which holds everything when this returns, and waits.
    ///
    /// # Errors
    /// When it does not start. The present one relays on.
    pub async fn renew(&self, lane: u32) -> anyhow::Result<Renewal> {
        self.edit(lane, |life| life.is_renewed = true).context("there is no such lane")?;
        let mut renewal = Renewal { shared: Arc::clone(&self.shared), lane, next: None };
        let shared = Arc::clone(&self.shared);
        renewal.next = wait_for(move || shared.prepare(lane)?.map(Next::when_there).transpose()).await?;
        Ok(renewal)
    }
}

impl Renewal {
    /// Lets the other process go on, in the place of the present one: of one that waits and has told its turn, or of one that
    /// has died.
    ///
    /// # Errors
    /// When it does not go on. It is gone then.
    pub async fn go_on(mut self, turn: Option<u32>) -> anyhow::Result<()> {
        let Some(next) = self.next.take() else { return Ok(()) };
        let (shared, lane) = (Arc::clone(&self.shared), self.lane);
        wait_for(move || shared.let_go(lane, next, turn)).await
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        if let Some(next) = self.next.take() {
            next.end();
        }
        self.shared.edit(self.lane, |life| life.is_renewed = false);
    }
}

/// Does something that waits, elsewhere.
async fn wait_for<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("a thread has ended")?
}
