//! The crew: all lanes with their stations, the table they run, and what they hold for a successor of control.

use super::door;
use super::event::Event;
use super::lane_user::LaneUser;
use super::process::LaneProcess;
use super::progress::Progress;
use super::release::Asker;
use super::sockets::{Need, Uses};
use super::station::{self, Station, start_message};
use super::supervisor::{Life, Seen, Supervisor};
use super::vault::{Held, Vault, tag};
use anyhow::{Context, bail, ensure};
use relay_common::counters::LaneCounter;
use relay_common::plan::Lanes;
use relay_common::table::{Lines, Table, image};
use relay_engine::clock::now_ns;
use relay_engine::lane::pin;
use relay_engine::memory;
use relay_engine::memory::table::{TableMemory, TableWriter};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

mod ask; // a lane is asked for something
mod evidence; // what a lane says, and what the kernel does
mod hold; // what lanes hold for a successor
mod lives; // lanes stall, are renewed, and end
mod sockets; // sockets come and go while lanes work
mod reclaim; // and their frames come back
mod taken; // lanes that a dead control left

pub use evidence::{check, check_memo, check_start, check_user, is_its_output};
pub use hold::ToHold;
pub use sockets::{Patience, Trouble};
pub use taken::{check_layout, lanes};

/// A lane has so long to confirm a table.
const CONFIRM_NS: u64 = 1_000_000_000;
/// How often control looks whether it has.
const LOOK_AGAIN: Duration = Duration::from_micros(100);

/// One lane, and control's line to it.
#[derive(Debug)]
pub struct Post {
    /// What it works with.
    pub station: Arc<Station>,
    /// The process that control has talked to last.
    process: Option<LaneProcess>,
    /// Whether it was seen not to come round.
    stalls: bool,
    /// What is to be held and its process does not hold, by tags.
    lacks: BTreeMap<u64, Held>,
}

impl Post {
    fn new(life: &Life, process: Option<LaneProcess>) -> Self {
        Self { station: Arc::clone(&life.station), process, stalls: false, lacks: BTreeMap::new() }
    }
}

/// All lanes.
#[derive(Debug)]
pub struct Crew {
    /// One post a lane.
    pub posts: Vec<Post>,
    /// How lanes run: fixed as long as one of them lives.
    pub lanes: Lanes,
    /// Whether lanes that start have new sockets each time: see [`Start`](super::node::Start).
    pub rebinds: bool,
    memory: TableWriter,
    supervisor: Supervisor,
    events: UnboundedSender<Event>,
    asker: Asker,
    /// Where it is told that a lane, or the kernel, is waited for.
    pub progress: Arc<Progress>,
}

impl Crew {
    /// Builds every lane's station. No lane runs yet. `spare` sockets can come to each while it runs.
    pub fn build(
        (lanes, user): (Lanes, LaneUser),
        needs: &BTreeMap<Need, Uses>,
        frames: impl Fn(u32) -> u32,
        run_dir: &Path,
        events: UnboundedSender<Event>,
        progress: &Arc<Progress>,
    ) -> anyhow::Result<Self> {
        let image = image::image_size(lanes.max_relays, lanes.max_outputs);
        let made = memory::create(c"mcr-table", TableMemory::bytes(image))?;
        let (table, memory) = (memory::read_only(&made)?, TableWriter::open(&made, image)?);
        let namespace = door::namespace()?;
        let doors: Vec<PathBuf> = (0..lanes.n_lanes()).map(|lane| door::path(run_dir, namespace, lane)).collect();
        let build = |(number, path): (u32, &PathBuf)| {
            let own = needs.iter().filter(|(need, _)| need.lane == number).map(|(need, uses)| (need, *uses));
            let (station, sockets) =
                station::build(number, &lanes, &own.collect(), frames(number), path.clone(), progress)?;
            Ok(Life::new(station, sockets))
        };
        let built: anyhow::Result<Vec<Life>> = (0..).zip(&doors).map(build).collect();
        let lives = built.inspect_err(|_| {
            for path in &doors {
                // What stays is replaced by the next mcr.
                let _ = door::remove_stale(path);
            }
        })?;
        let posts = lives.iter().map(|life| Post::new(life, None)).collect();
        let supervisor = Supervisor::new((lanes.clone(), user), table, Vault::default(), lives, events.clone())?;
        let asker = Asker::start(events.clone())?;
        let progress = Arc::clone(progress);
        Ok(Self { posts, lanes, rebinds: false, memory, supervisor, events, asker, progress })
    }

    /// Starts every lane that does not run; from now on each that dies is started again, whatever control does.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.supervisor.begin()
    }

    /// Starts every lane that does not run, of a crew that was taken over: one that does not start is tried again, and the
    /// others relay on.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start_the_missing(&mut self) -> anyhow::Result<()> {
        self.supervisor.begin_with_some()
    }

    /// Gives the lanes a table and waits until each that is alive runs it.
    pub async fn publish(&mut self, table: &Table) -> anyhow::Result<()> {
        // A half is written only while every lane reads the other one. A lane that has not confirmed may read either.
        if let Some(number) = self.first_behind(self.generation(), None) {
            bail!("lane {number} has not confirmed generation {}: the change waits for it", self.generation());
        }
        // Any other number might be written over what lanes read.
        let next = self.generation() + 1;
        ensure!(table.generation == next, "generation {} was to follow, not {next}", table.generation);
        self.memory.publish(table.generation, |bytes| image::write(table, bytes));
        self.confirm(None).await
    }

    /// Whether every lane that is alive runs that generation, and it is the one in force.
    pub fn runs(&self, generation: u64) -> bool {
        self.generation() == generation && self.first_behind(generation, None).is_none()
    }

    /// Sets these lines to 0, on which no lane counts now.
    pub fn clear(&self, lines: &Lines) {
        for counters in self.posts.iter().map(|post| &post.station.counters) {
            lines.relays.iter().for_each(|slot| counters.clear_relay(*slot));
            lines.outputs.iter().for_each(|counter| counters.clear_output(*counter));
        }
    }

    /// Gives the lanes back what they had. A lane that hangs may read either half: none is written then, what is wanted
    /// lies in one of them already, and it is no use to wait for that lane.
    pub async fn publish_back(&mut self, table: &Table) -> anyhow::Result<()> {
        let Some(late) = self.first_behind(self.generation(), None) else { return self.publish(table).await };
        let image = |bytes: &mut [u8]| image::write(table, bytes);
        if !self.memory.holds_already(self.generation(), image) {
            let next = self.generation() + 1;
            if !self.memory.holds_already(next, image) {
                bail!("lane {late} hangs and keeps generation {} in use", self.generation());
            }
            self.memory.publish_again(next);
        }
        self.confirm(Some(late)).await
    }

    async fn confirm(&mut self, but: Option<u32>) -> anyhow::Result<()> {
        self.ring();
        let (generation, deadline) = (self.generation(), now_ns() + CONFIRM_NS);
        loop {
            let Some(number) = self.first_behind(generation, but) else { return Ok(()) };
            if now_ns() > deadline {
                bail!("lane {number} did not confirm generation {generation} within a second: it hangs");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The first lane that is alive and runs another generation, `but` that one. A lane that is started after this has
    /// looked reads the generation that is in force by then; its counter says what the one before it ran, which is no
    /// later.
    fn first_behind(&self, generation: u64, but: Option<u32>) -> Option<u32> {
        let is_behind = |post: &&Post| {
            but != Some(post.station.number)
                && post.station.counters.get(LaneCounter::Generation) != generation
                && self.supervisor.edit(post.station.number, |life| life.is_alive()).unwrap_or_default()
        };
        self.posts.iter().find(is_behind).map(|post| post.station.number)
    }

    /// The generation in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.memory.generation()
    }

    /// Shows every lane the counters of the others: what has come to them was not lost.
    pub async fn show_counters(&mut self) -> anyhow::Result<()> {
        if self.posts.len() < 2 {
            return Ok(());
        }
        let counters = |post: &Post| Ok((post.station.number, memory::read_only(&post.station.counters_fd)?));
        let all: std::io::Result<Vec<(u32, OwnedFd)>> = self.posts.iter().map(counters).collect();
        for (lane, counters) in all.context("no descriptor left: raise LimitNOFILE")? {
            self.hold(tag::COUNTERS + u64::from(lane), counters, "counters").await?;
        }
        Ok(())
    }

    /// How often each lane was started again.
    #[must_use]
    pub fn restarts(&self) -> Vec<u64> {
        (0..self.supervisor.n_lanes()).filter_map(|lane| self.supervisor.edit(lane, |life| life.restarts)).collect()
    }

    /// The user of lanes that are started from now on.
    #[must_use]
    pub fn lane_user(&self) -> &LaneUser {
        self.supervisor.user()
    }

    /// The users that lanes are, or may be in a moment, by number: to be written down, see [`check_user`].
    #[must_use]
    pub fn users(&self) -> BTreeSet<u32> {
        let of = |lane| self.supervisor.edit(lane, |life| life.pid().map(|_| life.uid)).flatten();
        (0..self.supervisor.n_lanes()).filter_map(of).chain([self.lane_user().user().uid]).collect()
    }

    /// The pipes that lanes write to: see [`Supervisor::outputs`].
    #[must_use]
    pub fn outputs(&self) -> Vec<u64> {
        self.supervisor.outputs()
    }

    /// The lanes, for whoever looks at them at any time.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.supervisor.seen()
    }

    /// What each lane is started with, to be written down: see [`check_start`].
    #[must_use]
    pub fn starts(&self) -> Vec<[u32; 8]> {
        self.posts.iter().map(|post| start_message(&post.station, &self.lanes).numbers).collect()
    }

    fn ring(&self) {
        for post in &self.posts {
            // A full counter means that the lane was rung often enough.
            let _ = nix::unistd::write(&post.station.doorbell, &1_u64.to_ne_bytes());
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
