//! Lanes stall; they are renewed; in the end they are asked to stop.

use super::{Crew, LOOK_AGAIN, Post};
use crate::chaos;
use crate::door;
use crate::process::LaneProcess;
use crate::stalls::is_old;
use crate::station::Station;
use crate::supervisor::Presence;
use crate::tell;
use anyhow::bail;
use relay_common::counters::LaneCounter;
use relay_engine::clock::now_ns;
use std::time::Duration;

impl Crew {
    /// Notes which lanes stall: they are not waited for again and again.
    pub fn note_stalls(&mut self, now: u64) {
        for post in &mut self.posts {
            let heartbeat = post.station.counters.get(LaneCounter::Heartbeat);
            let pid = self.supervisor.edit(post.station.number, |life| life.pid()).flatten();
            post.stalls = pid.is_some() && is_old(heartbeat, now);
        }
    }

    /// Asks all lanes to send what they have and end, and waits for them.
    pub async fn stop(&mut self, patience: Duration) -> anyhow::Result<()> {
        // One that was asked to end is not followed by another.
        self.supervisor.retire();
        self.memory.ask_to_stop();
        self.ring();
        let deadline = now_ns() + u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        for post in &mut self.posts {
            let known = post.process.as_ref().map(|process| process.life);
            if let Some(Presence::Fresh(started)) =
                self.supervisor.edit(post.station.number, |life| life.presence(known))
            {
                post.process = Some(LaneProcess::of(started)?);
            }
            let Some(process) = post.process.take() else { continue };
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
            for line in self.supervisor.last_words(post.station.number) {
                tell::lane_wrote(post.station.number, &line);
            }
            let path = &post.station.door_path;
            if let Err(error) = door::remove(path) {
                tracing::warn!(%error, "cannot remove {}", path.display());
            }
        }
        Ok(())
    }

    /// Whether a lane runs as another user than it should.
    pub fn is_another_user(&self, number: u32) -> bool {
        let wanted = self.lane_user().user().uid;
        self.supervisor.edit(number, |life| life.pid().is_some() && life.uid != wanted).unwrap_or_default()
    }

    /// Has another process go on in a lane's place, with everything as it stands: of a newer binary. At every instant one
    /// of the two holds all that a control that follows needs.
    ///
    /// # Errors
    /// When the other one does not go on. The lane relays on as it did.
    pub async fn renew(&mut self, number: u32) -> anyhow::Result<()> {
        // One that keeps dying is started from the newer binary anyway, when it is due.
        if self.present(number).await.is_err() {
            return Ok(());
        }
        let renewal = self.supervisor.renew(number).await?;
        chaos::at("renew.next");
        let Some(process) = self.posts.get_mut(number as usize).and_then(|post| post.process.as_mut()) else {
            return Ok(());
        };
        let turn = match process.pause().await {
            Ok(turn) => Some(turn),
            // In a dead one's place it goes on as well.
            Err(_) if process.has_died().await => None,
            Err(error) => bail!("lane {number} does not pause at the edge of a batch: {error:#}"),
        };
        chaos::at("renew.pause");
        if let Err(error) = renewal.go_on(turn).await {
            // It would do so by itself, a second later.
            let _ = process.resume().await;
            return Err(error);
        }
        chaos::at("renew.go");
        if let Some(before) = self.posts.get_mut(number as usize).and_then(|post| post.process.take()) {
            before.leave().await;
        }
        self.present(number).await.map(drop)
    }

    /// Tells what each lane is and what it got.
    pub fn tell(&self) {
        for Post { station, .. } in &self.posts {
            let now = self.supervisor.edit(station.number, |life| Some((life.pid()?, life.uid, life.sockets.clone())));
            let Some((pid, uid, sockets)) = now.flatten() else { continue };
            let Station { number: lane, core, n_frames, huge, .. } = **station;
            let (frames, mib) = (n_frames, (u64::from(n_frames) * u64::from(self.lanes.frame_size)) >> 20);
            let busy_polling = !sockets.is_empty() && sockets.iter().all(|socket| socket.busy_polled);
            let user = self.lane_user().name_of(uid);
            tracing::info!(lane, pid, %user, core, frames, mib, huge_pages = huge, busy_polling, "lane running");
        }
    }
}
