//! A lane is asked for something. Of one that dies over it, its successor is asked.

use super::Crew;
use crate::process::LaneProcess;
use crate::supervisor::Presence;
use crate::talk::START_PATIENCE;
use anyhow::{Context as _, bail};
use relay_engine::clock::now_ns;
use relay_engine::lane::handoff::{Message, Refusal};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// So many lanes in a row may die over one request.
const MOST_DEATHS: u32 = 3;
/// A lane that works answers within this, or it is given up: see [`LaneProcess::ask`].
const ANSWER_NS: u64 = 1_000_000_000;
/// While a lane is being started it is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl Crew {
    /// The process of a lane. While one is being started it is waited for.
    ///
    /// # Errors
    /// When there is none for a while.
    pub(super) async fn present(&mut self, lane: u32) -> anyhow::Result<&mut LaneProcess> {
        let patience = u64::try_from(START_PATIENCE.as_nanos()).unwrap_or(u64::MAX);
        let began = now_ns();
        self.progress.waits_for(patience);
        loop {
            let post = self.posts.get_mut(lane as usize).context("there is no such lane")?;
            let known = post.process.as_ref().map(|process| process.life);
            match self.supervisor.edit(lane, |life| life.presence(known)).context("there is no such lane")? {
                Presence::Fresh(started) => {
                    post.lacks.extend(self.supervisor.held(&started.lacks));
                    post.process = Some(LaneProcess::of(started)?);
                    continue;
                }
                Presence::Known if post.process.as_ref().is_some_and(LaneProcess::is_alive) => break,
                // It died a moment ago.
                Presence::Known | Presence::Starts => {}
                Presence::Down => bail!("it is being started again"),
            }
            if now_ns().saturating_sub(began) > patience {
                bail!("it takes long to start");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.posts[lane as usize].process.as_mut().context("it is being started again")
    }

    /// Asks a lane for something that may be asked twice, and says which life of it has done it.
    ///
    /// # Errors
    /// As for [`LaneProcess::ask`].
    pub(super) async fn ask(
        &mut self,
        lane: u32,
        message: Message,
        fds: &[BorrowedFd<'_>],
    ) -> anyhow::Result<(Message, u64)> {
        let mut deaths = 0;
        loop {
            let progress = Arc::clone(&self.progress);
            let process = self.present(lane).await?;
            progress.waits_for(ANSWER_NS);
            match process.ask(message, fds).await {
                Ok(answer) => return Ok((answer, process.life)),
                Err(error) if error.is::<Refusal>() || !process.has_died().await => return Err(error),
                Err(error) if deaths == MOST_DEATHS => return Err(error),
                Err(_) => deaths += 1,
            }
        }
    }

    /// After a request that failed nobody knows how far the lane came, unless it refused. Another one begins from what
    /// control knows, and that loses nothing.
    pub(super) fn settle(&self, lane: u32, error: &anyhow::Error) {
        if !error.is::<Refusal>()
            && let Some(process) = self.posts.get(lane as usize).and_then(|post| post.process.as_ref())
            && process.is_alive()
        {
            tracing::warn!(lane, "a lane that does not answer is ended, and started again: {error:#}");
            process.kill();
        }
    }
}
