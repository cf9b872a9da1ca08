//! The supervisor: a thread for each lane, which starts it, waits for its end, and starts another in its place within
//! milliseconds, whatever control is busy with at that moment.
//!
//! What a lane is started from is its [`Life`], which control and the thread share under a lock. The lock is never held
//! over anything that waits. A [`Life`] is what the lane really has: control changes it only after the lane has done
//! what it was asked, and only if no other lane was given what stands there since ([`Life::is_last_given`]).

use super::event::Event;
use super::lane_user::LaneUser;
use super::release::Parked;
use super::station::{LaneSocket, Station};
use super::vault::{Held, Vault};
use anyhow::Context as _;
use nix::sys::eventfd::{EfdFlags, EventFd};
use output::Output;
use relay_common::counters::LaneCounter;
use relay_common::plan::Lanes;
use relay_common::written::Line;
use relay_engine::clock::now_ns;
use relay_engine::sys::process;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::mpsc::UnboundedSender;

mod follow; // what a thread does
mod output; // what lanes write on their standard error
mod renew; // another process takes the place of one that relays
mod seen; // the lanes as others may see them
mod start; // a process is started and handed everything

pub use renew::Renewal;
pub use seen::Seen;
pub use start::Started;

/// Everything that a lane is started from, and the process that runs.
#[derive(Debug)]
pub struct Life {
    /// Its memory and its door.
    pub station: Arc<Station>,
    /// Its sockets.
    pub sockets: Vec<Arc<LaneSocket>>,
    /// Numbers of its sockets that are going away. Nobody knows how far the lane came with one whose drop failed: it is
    /// dropped before anything else is done, and never used again.
    pub leaving: BTreeSet<u16>,
    /// Numbers of sockets that are gone while the kernel may still look at their frames.
    pub parked: BTreeMap<u16, Parked>,
    /// Rises with each process that is started: what one was given, the next has only if it stands here.
    pub life: u64,
    /// The life that these sockets were given to last: the next one's, from the moment at which they are read for it.
    given: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// The number of the user that the present process is.
    pub uid: u32,
    /// Whether another process is about to take the place of the present one, whose end is no death then.
    is_renewed: bool,
    process: Process,
    /// The present process as it is handed to control, until control takes it.
    fresh: Option<Started>,
    /// How often in a row it died young.
    short_lives: u32,
}

/// The process of a lane.
#[derive(Debug)]
enum Process {
    /// It relays, or hangs, or has died a moment ago.
    Runs { pid: u32, process: Arc<OwnedFd>, since: u64 },
    /// It is being started, from the [`Life`] as it was then.
    Starts,
    /// There is none until then, in nanoseconds of the monotonic clock.
    Down { due: u64 },
}

/// How a lane is, for control.
#[derive(Debug)]
pub enum Presence {
    /// Another process than control knows: here it is.
    Fresh(Started),
    /// The one that control knows, dead or alive.
    Known,
    /// One is being started.
    Starts,
    /// There is none for a while, because it keeps dying.
    Down,
}

impl Life {
    /// A lane that does not run yet.
    #[must_use]
    pub fn new(station: Station, sockets: Vec<Arc<LaneSocket>>) -> Self {
        Self {
            station: Arc::new(station),
            sockets,
            leaving: BTreeSet::new(),
            parked: BTreeMap::new(),
            life: 0,
            given: 0,
            restarts: 0,
            uid: 0,
            is_renewed: false,
            process: Process::Down { due: 0 },
            fresh: None,
            short_lives: 0,
        }
    }

    /// A lane that runs already, as a process of that user that control knows.
    #[must_use]
    pub fn running(self, pid: u32, uid: u32, process: OwnedFd, since: u64) -> Self {
        Self { uid, process: Process::Runs { pid, process: Arc::new(process), since }, ..self }
    }

    /// Whether what the process of that life has done with its sockets is to be written down: no other one was given them since.
    #[must_use]
    pub const fn is_last_given(&self, life: u64) -> bool {
        self.given == life
    }

    /// Its sockets for a process that is started now, and the number of its life.
    fn give(&mut self) -> (Vec<Arc<LaneSocket>>, u64) {
        self.given = self.life + 1;
        (self.sockets.clone(), self.given)
    }

    /// Writes off sockets that the process which runs now does not have. What was under way on them is counted.
    fn leave_out(&mut self, gone: &[Arc<LaneSocket>]) {
        // On a link that is gone nothing was left to take; elsewhere it was.
        let lost: u64 = gone.iter().map(|socket| socket.unfinished()).sum();
        self.station.counters.add(LaneCounter::DroppedWithSocket, lost);
        // A lane without sockets cannot tell on which of these a frame was that it was to send.
        let parked = Parked::on(gone.iter().map(|socket| socket.need.queue()));
        for socket in gone {
            self.sockets.retain(|other| other.number != socket.number);
            self.leaving.remove(&socket.number);
            self.parked.insert(socket.number, parked.clone());
        }
    }

    /// A number that no socket has, and none had whose frames are not back.
    #[must_use]
    pub fn free_number(&self) -> Option<u16> {
        let taken = |number: &u16| {
            self.parked.contains_key(number) || self.sockets.iter().any(|socket| socket.number == *number)
        };
        (0..super::station::MAX_SOCKETS).find(|number| !taken(number))
    }

    /// Its sockets but those that are going away.
    pub fn staying(&self) -> impl Iterator<Item = &Arc<LaneSocket>> {
        self.sockets.iter().filter(|socket| !self.leaving.contains(&socket.number))
    }

    /// Its process, unless there is none now.
    #[must_use]
    pub const fn pid(&self) -> Option<u32> {
        match self.process {
            Process::Runs { pid, .. } => Some(pid),
            Process::Starts | Process::Down { .. } => None,
        }
    }

    /// Whether packets may be in work: it runs, or is about to.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.process {
            Process::Runs { process, .. } => !process::has_ended(process.as_fd()),
            Process::Starts => true,
            Process::Down { .. } => false,
        }
    }

    /// Whether there is a process that control has not taken yet.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fresh.is_some()
    }

    /// How it is for a control that knows the process of that life.
    pub fn presence(&mut self, known: Option<u64>) -> Presence {
        match (self.fresh.take(), &self.process) {
            (Some(started), _) => Presence::Fresh(started),
            (None, Process::Runs { .. }) if known == Some(self.life) => Presence::Known,
            (None, Process::Down { .. }) => Presence::Down,
            (None, _) => Presence::Starts,
        }
    }
}

/// All lanes, and the threads that follow them.
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    lanes: Lanes,
    user: LaneUser,
    table: OwnedFd,
    events: UnboundedSender<Event>,
    /// Readable once the threads are to end.
    retired: EventFd,
    outputs: Vec<Mutex<Output>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lives: Vec<Life>,
    vault: Vault,
}

impl Supervisor {
    /// Knows all lanes, and follows none yet.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn new(
        (lanes, user): (Lanes, LaneUser),
        table: OwnedFd,
        mut vault: Vault,
        lives: Vec<Life>,
        events: UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let retired = EventFd::from_value_and_flags(0, flags).context("no descriptor left: raise LimitNOFILE")?;
        let n_lanes = u32::try_from(lives.len()).unwrap_or(u32::MAX);
        let outputs = Output::of_lanes(n_lanes, &mut vault).context("no pipe for what lanes write")?;
        let outputs = outputs.into_iter().map(Mutex::new).collect();
        let shared = Shared { lanes, user, table, events, retired, outputs, state: Mutex::new(State { lives, vault }) };
        Ok(Self { shared: Arc::new(shared), threads: Vec::new() })
    }

    /// Starts every lane that does not run, and follows all of them from now on. Returns when they relay.
    ///
    /// # Errors
    /// When one does not start.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        for lane in 0..self.n_lanes() {
            let is_down = self.edit(lane, |life| matches!(life.process, Process::Down { .. })).unwrap_or_default();
            if is_down {
                self.shared.start(lane)?;
            }
        }
        self.follow()
    }

    /// The same for lanes of which some run: one that does not start is tried again.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn begin_with_some(&mut self) -> anyhow::Result<()> {
        for lane in 0..self.n_lanes() {
            let is_down = self.edit(lane, |life| matches!(life.process, Process::Down { .. })).unwrap_or_default();
            if is_down && let Err(error) = self.shared.start(lane) {
                self.shared.is_down_again(lane);
                let text = format!("{error:#}; trying again");
                let _ = self.shared.events.send(Event::LaneTrouble { number: lane, text });
            }
        }
        self.follow()
    }

    fn follow(&mut self) -> anyhow::Result<()> {
        for lane in 0..self.n_lanes() {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name(format!("supervisor-{lane}"));
            self.threads.push(thread.spawn(move || shared.follow(lane)).context("no thread for a lane's supervisor")?);
        }
        Ok(())
    }

    /// Lets the lanes alone from now on: one that dies is not followed by another. One that is being started relays
    /// when this returns.
    pub fn retire(&mut self) {
        // A full counter means that they were told before.
        let _ = self.shared.retired.write(1);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a lane's supervisor has panicked: its lane was not followed");
            }
        }
    }

    /// How many lanes there are.
    #[must_use]
    pub fn n_lanes(&self) -> u32 {
        u32::try_from(self.shared.lock().lives.len()).unwrap_or(u32::MAX)
    }

    /// The user of lanes that are started from now on.
    #[must_use]
    pub fn user(&self) -> &LaneUser {
        &self.shared.user
    }

    /// What a lane has written, that has ended and is not followed any more.
    #[must_use]
    pub fn last_words(&self, lane: u32) -> Vec<Line> {
        self.shared.hear(lane, Output::hear_the_last)
    }

    /// The pipes that lanes write to, by inode and in the order of the lanes: to be written down.
    #[must_use]
    pub fn outputs(&self) -> Vec<u64> {
        (0..self.n_lanes()).filter_map(|lane| self.shared.output(lane, |output| output.inode())).collect()
    }

    /// Looks at what a lane is started from, or changes it. Nothing that waits may happen meanwhile, and what is taken out
    /// is dropped by the caller, after this: closing a socket waits in the kernel.
    pub fn edit<T>(&self, lane: u32, edit: impl FnOnce(&mut Life) -> T) -> Option<T> {
        self.shared.lock().lives.get_mut(lane as usize).map(edit)
    }

    /// Has every lane that is started from now on hold a descriptor. Gives back what was held by that tag.
    pub fn hold(&self, tag: u64, held: Held) -> Option<Held> {
        self.shared.lock().vault.0.insert(tag, held)
    }

    /// What is held by these tags.
    #[must_use]
    pub fn held(&self, tags: &[u64]) -> Vec<(u64, Held)> {
        let state = self.shared.lock();
        tags.iter().filter_map(|tag| Some((*tag, state.vault.0.get(tag)?.clone()))).collect()
    }

    /// Has no lane that is started from now on hold the descriptor of that tag.
    pub fn forget(&self, tag: u64) -> Option<Held> {
        self.shared.lock().vault.0.remove(&tag)
    }
}

impl Drop for Supervisor {
    /// A lane whose start is left half-way would end.
    fn drop(&mut self) {
        self.retire();
    }
}

impl Shared {
    /// Nothing here panics with the lock held; were it otherwise, what stands there is still what the lanes have.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn output<T>(&self, lane: u32, look: impl FnOnce(&mut Output) -> T) -> Option<T> {
        let output = self.outputs.get(lane as usize)?;
        Some(look(&mut output.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// What a lane has written since it was heard before.
    fn hear(&self, lane: u32, hear: impl FnOnce(&mut Output, u64) -> Vec<Line>) -> Vec<Line> {
        self.output(lane, |output| hear(output, now_ns())).unwrap_or_default()
    }
}
