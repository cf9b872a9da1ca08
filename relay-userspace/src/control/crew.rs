//! The crew: all lanes with their stations, and the table they run.

use super::door;
use super::event::Event;
use super::process::LaneProcess;
use super::station::{self, Station};
use crate::clock::now_ns;
use crate::lane::pin;
use crate::memory::{self, table::TableMemory};
use anyhow::{Context, bail};
use relay_common::counters::LaneCounter;
use relay_common::facts::Facts;
use relay_common::plan::{Lanes, Plan};
use relay_common::table::{Placement, Table, image};
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// A lane has so long to confirm a table.
const CONFIRM_NS: u64 = 1_000_000_000;
/// How often control looks whether it has.
const LOOK_AGAIN: Duration = Duration::from_micros(100);
/// A lane that lives shorter than this is started again later and later.
const SHORT_LIFE_NS: u64 = 1_000_000_000;
/// The longest wait before a lane is started again.
const LONGEST_PAUSE_MS: u64 = 2_000;
/// A heartbeat older than this is a stalled lane: twenty of its longest sleeps.
pub const STALLED_NS: u64 = 2_000_000_000;

/// One lane and what is known of its lives.
#[derive(Debug)]
pub struct Post {
    /// What it works with.
    pub station: Station,
    process: Option<LaneProcess>,
    /// How often in a row it died young.
    short_lives: u32,
    /// How often it was started again.
    pub restarts: u64,
    /// Whether it was seen to be stalled.
    pub stalled: bool,
}

/// All lanes.
#[derive(Debug)]
pub struct Crew {
    /// One post a lane.
    pub posts: Vec<Post>,
    lanes: Lanes,
    table: OwnedFd,
    memory: TableMemory,
    events: UnboundedSender<Event>,
    /// What every lane holds for a later control, by tag: a note and the descriptor.
    vault: BTreeMap<u64, (String, OwnedFd)>,
}

impl Crew {
    /// Builds every lane's station. No lane runs yet.
    pub fn build(
        plan: &Plan,
        place: &Placement,
        facts: &Facts,
        run_dir: &Path,
        events: UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let namespace = door::namespace()?;
        let lanes = plan.lanes.clone();
        let image = image::image_size(lanes.max_relays, lanes.max_outputs);
        let table = memory::create(c"mcr-table", TableMemory::bytes(image))?;
        let memory = TableMemory::open(&table, image)?;
        let doors: Vec<_> = (0..lanes.n_lanes()).map(|number| door::path(run_dir, namespace, number)).collect();
        let build = |(number, path): (u32, &PathBuf)| {
            let station = station::build(number, plan, place, facts, path.clone())?;
            Ok(Post { station, process: None, short_lives: 0, restarts: 0, stalled: false })
        };
        let built: anyhow::Result<Vec<Post>> = (0..).zip(&doors).map(build).collect();
        let posts = built.inspect_err(|_| {
            for path in &doors {
                // What stays is replaced by the next mcr.
                let _ = door::remove_stale(path);
            }
        })?;
        Ok(Self { posts, lanes, table, memory, events, vault: BTreeMap::new() })
    }

    /// Starts every lane.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        for number in 0..self.posts.len() {
            let process = self.start_one(number).await?;
            self.posts[number].process = Some(process);
        }
        Ok(())
    }

    async fn start_one(&self, number: usize) -> anyhow::Result<LaneProcess> {
        let station = &self.posts[number].station;
        let mut process = LaneProcess::start(station, &self.lanes, &self.table, now_ns()).await?;
        process.watch(station.number, &self.events);
        for (tag, (note, descriptor)) in &self.vault {
            if let Err(error) = process.hold(*tag, note.as_bytes(), descriptor.as_fd()).await {
                tracing::warn!(lane = number, %note, "a lane does not hold what must outlive mcr: {error:#}");
            }
        }
        Ok(process)
    }

    /// Has every lane hold a descriptor that must outlive control, and every lane that is started later.
    pub async fn hold(&mut self, tag: u64, note: String, descriptor: BorrowedFd<'_>) -> anyhow::Result<()> {
        for post in &mut self.posts {
            let Some(process) = &mut post.process else { continue };
            if let Err(error) = process.hold(tag, note.as_bytes(), descriptor).await {
                let lane = post.station.number;
                tracing::warn!(lane, %note, "a lane does not hold what must outlive mcr: {error:#}");
            }
        }
        self.vault.insert(tag, (note, descriptor.try_clone_to_owned()?));
        Ok(())
    }

    /// Ends every lane at once and removes their doors: nothing is left behind.
    pub async fn end(&mut self) {
        for post in &mut self.posts {
            if let Some(process) = post.process.take() {
                process.end().await;
            }
            let path = &post.station.door_path;
            if let Err(error) = door::remove(path) {
                tracing::warn!(%error, "cannot remove {}", path.display());
            }
        }
    }

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
        let place = number as usize;
        let Some(post) = self.posts.get_mut(place).filter(|post| post.process.is_none()) else {
            return Ok(());
        };
        post.restarts += 1;
        match self.start_one(place).await {
            Ok(process) => self.posts[place].process = Some(process),
            Err(error) => {
                self.posts[place].short_lives += 1;
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

    /// Gives the lanes a table and waits until each that is alive runs it.
    pub async fn publish(&mut self, table: &Table) -> anyhow::Result<()> {
        // A half is written only while every lane reads the other one. A lane that has not confirmed may read either.
        if let Some(number) = self.first_behind(self.generation()) {
            bail!("lane {number} has not confirmed generation {}: the change waits for it", self.generation());
        }
        self.memory.publish(table.generation, |bytes| image::write(table, bytes));
        self.ring();
        let deadline = now_ns() + CONFIRM_NS;
        loop {
            let Some(number) = self.first_behind(table.generation) else { return Ok(()) };
            if now_ns() > deadline {
                bail!("lane {number} did not confirm generation {} within a second: it hangs", table.generation);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The first lane that is alive and runs another generation.
    fn first_behind(&mut self, generation: u64) -> Option<u32> {
        let is_behind = |post: &mut Post| {
            post.station.counters.get(LaneCounter::Generation) != generation
                && post.process.as_mut().is_some_and(LaneProcess::is_alive)
        };
        self.posts.iter_mut().find_map(|post| is_behind(post).then_some(post.station.number))
    }

    /// The generation in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.memory.generation()
    }

    /// Lanes whose heartbeat has just become old, or fresh again: the number and whether it stalls now.
    pub fn stalls(&mut self, now: u64) -> Vec<(u32, bool)> {
        let mut changed = Vec::new();
        for post in &mut self.posts {
            let heartbeat = post.station.counters.get(LaneCounter::Heartbeat);
            let stalled = post.process.is_some() && now.saturating_sub(heartbeat) > STALLED_NS;
            if stalled != post.stalled {
                post.stalled = stalled;
                if post.process.is_some() {
                    changed.push((post.station.number, stalled));
                }
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
            while let Some(process) = &mut post.process {
                if let Some(ending) = process.ending() {
                    if ending.is_failure() {
                        tracing::warn!(lane = post.station.number, %ending, "a lane did not end well");
                    }
                    break;
                }
                if now_ns() > deadline {
                    tracing::warn!(lane = post.station.number, "a lane did not end in time and is killed");
                    break;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        // Who has not ended by now is ended.
        self.end().await;
        Ok(())
    }

    fn ring(&self) {
        for post in &self.posts {
            // A full counter means that the lane was rung often enough.
            let _ = post.station.doorbell.write(1);
        }
    }

    /// Tells what each lane is and what it got.
    pub fn tell(&self) {
        for post in &self.posts {
            let Some(pid) = post.process.as_ref().map(LaneProcess::pid) else { continue };
            let Station { number: lane, core, n_frames, huge, .. } = post.station;
            let (frames, mib) = (n_frames, (u64::from(n_frames) * u64::from(self.lanes.frame_size)) >> 20);
            let busy_polling = post.station.is_busy_polled();
            tracing::info!(lane, pid, core, frames, mib, huge_pages = huge, busy_polling, "lane running");
        }
    }
}

/// The cores that lanes are pinned to must be there before anything else is made. Each is tried, on a thread that ends
/// with it: the cores that mcr was started on say nothing, since where some are isolated all starts on the others.
pub fn check_cores(lanes: &Lanes) -> anyhow::Result<()> {
    let cores = lanes.cores.clone();
    let try_all = move || cores.into_iter().find(|core| pin(*core).is_err());
    let refused = std::thread::spawn(try_all).join().ok().context("cannot try the cores")?;
    if let Some(core) = refused {
        bail!("lanes.cores names core {core}, which this machine does not have or mcr may not use: name others");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
