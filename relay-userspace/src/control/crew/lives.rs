//! Lanes die and are started again; they stall and come round; in the end they are asked to stop.

use super::{Crew, LOOK_AGAIN, Post};
use crate::clock::now_ns;
use crate::control::door;
use crate::control::event::Event;
use crate::control::process::LaneProcess;
use crate::control::station::Station;
use relay_common::counters::LaneCounter;
use std::time::Duration;

/// A lane that lives shorter than this is started again later and later.
const SHORT_LIFE_NS: u64 = 1_000_000_000;
/// The longest wait before a lane is started again.
const LONGEST_PAUSE_MS: u64 = 2_000;
/// A heartbeat older than this is a stalled lane: ten of its longest sleeps.
const STALLED_NS: u64 = 1_000_000_000;
/// A lane that has stalled for so long will not come round: it is ended, and another goes on where it stood.
const HOPELESS_NS: u64 = 15_000_000_000;

/// What became of a lane that did not come round, or does again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// It stalls.
    Began,
    /// It comes round again.
    Ended,
    /// It stalled for too long and was ended.
    Hopeless,
}

impl Crew {
    /// A lane ended: starts it again at once, or later if it keeps dying young. Says why it ended, if this was the
    /// lane's present process.
    pub async fn lane_ended(&mut self, number: u32, pid: u32) -> anyhow::Result<Option<String>> {
        let Some(post) = self.posts.get_mut(number as usize) else { return Ok(None) };
        let Some(process) = post.process.as_mut().filter(|process| process.pid() == pid) else { return Ok(None) };
        let ending = process.ending().map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        let life = now_ns().saturating_sub(process.started);
        post.process = None;
        post.short_lives = if life < SHORT_LIFE_NS { post.short_lives + 1 } else { 0 };
        // Tests of sudden death kill a lane more often than any bug would.
        if post.short_lives <= 1 || cfg!(feature = "chaos") {
            self.restart(number).await?;
        } else {
            self.restart_later(number);
        }
        Ok(Some(ending))
    }

    /// Starts a lane that is not running. If that fails it is tried again later.
    pub async fn restart(&mut self, number: u32) -> anyhow::Result<()> {
        let at = number as usize;
        if self.posts.get(at).is_none_or(|post| post.process.is_some()) {
            return Ok(());
        }
        self.posts[at].restarts += 1;
        match self.start_lane(at).await {
            Ok(process) => self.posts[at].process = Some(process),
            Err(error) => {
                self.posts[at].short_lives += 1;
                self.restart_later(number);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sends an event when a lane that keeps dying young may be started again: each time it is twice as late.
    fn restart_later(&self, number: u32) {
        let Some(post) = self.posts.get(number as usize) else { return };
        let pause = (10_u64 << post.short_lives.min(10)).min(LONGEST_PAUSE_MS);
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // Nobody listens any more when control is ending.
            let _ = events.send(Event::LaneDue { number });
        });
    }

    /// Lanes whose heartbeat has just become old, or fresh again. One that has stalled for too long is ended.
    pub fn stalls(&mut self, now: u64) -> Vec<(u32, Stall)> {
        let mut changed = Vec::new();
        for post in &mut self.posts {
            let heartbeat = post.station.counters.get(LaneCounter::Heartbeat);
            let stalls = post.process.is_some() && now.saturating_sub(heartbeat) > STALLED_NS;
            match (post.stalled_since, stalls) {
                (None, true) => {
                    post.stalled_since = Some(now);
                    changed.push((post.station.number, Stall::Began));
                }
                (Some(_), false) => {
                    post.stalled_since = None;
                    changed.push((post.station.number, Stall::Ended));
                }
                (Some(since), true) if now.saturating_sub(since) > HOPELESS_NS => {
                    // Its end is an event like any other death.
                    if let Some(process) = &post.process {
                        process.kill();
                    }
                    post.stalled_since = Some(now);
                    changed.push((post.station.number, Stall::Hopeless));
                }
                _ => {}
            }
        }
        changed
    }

    /// Asks all lanes to send what they have and end, and waits for them.
    pub async fn stop(&mut self, patience: Duration) -> anyhow::Result<()> {
        self.memory.ask_to_stop();
        self.ring();
        let deadline = now_ns() + u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        for post in &mut self.posts {
            let Some(mut process) = post.process.take() else { continue };
            loop {
                if let Some(ending) = process.ending() {
                    if ending.is_failure() {
                        tracing::warn!(lane = post.station.number, %ending, "a lane did not end well");
                    }
                    break;
                }
                if now_ns() > deadline {
                    tracing::warn!(lane = post.station.number, "a lane did not end in time and is killed");
                    process.end().await;
                    break;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            let path = &post.station.door_path;
            if let Err(error) = door::remove(path) {
                tracing::warn!(%error, "cannot remove {}", path.display());
            }
        }
        Ok(())
    }

    /// Ends a lane at the edge of a batch and starts it anew, with everything as it stood: for a newer binary.
    pub async fn renew(&mut self, number: u32) -> anyhow::Result<()> {
        let at = number as usize;
        if let Some(process) = self.posts.get_mut(at).and_then(|post| post.process.take())
            && let Err(error) = process.stop_at_edge().await
        {
            anyhow::bail!("lane {number} does not stop at the edge of a batch: {error:#}");
        }
        self.posts[at].process = Some(self.start_lane(at).await?);
        Ok(())
    }

    /// Tells what each lane is and what it got.
    pub fn tell(&self) {
        for Post { station, process, .. } in &self.posts {
            let Some(pid) = process.as_ref().map(LaneProcess::pid) else { continue };
            let Station { number: lane, core, n_frames, huge, .. } = *station;
            let (frames, mib) = (n_frames, (u64::from(n_frames) * u64::from(self.lanes.frame_size)) >> 20);
            let busy_polling = !station.sockets.is_empty() && station.sockets.iter().all(|socket| socket.busy_polled);
            tracing::info!(lane, pid, core, frames, mib, huge_pages = huge, busy_polling, "lane running");
        }
    }
}
