//! What the thread of a lane does: it waits for the lane's end and starts another. One that hangs it ends.

use super::output::Output;
use super::start::{Next, prepare};
use super::{Life, Process, Shared};
use crate::chaos;
use crate::event::Event;
use crate::rights;
use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use relay_common::counters::LaneCounter;
use relay_common::hang::Watch;
use relay_common::written::Line;
use relay_engine::clock::now_ns;
use relay_engine::sys::process;
use relay_engine::xsk::port;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// A lane that lives shorter than this is started again later and later.
const SHORT_LIFE_NS: u64 = 1_000_000_000;
/// The longest wait before a lane is started again.
const LONGEST_PAUSE_MS: u64 = 2_000;

/// How often a lane is looked at.
const LOOK_MS: u16 = 100;

/// What is to be done next.
enum Task {
    Wait { pid: u32, process: Arc<OwnedFd> },
    Pause { due: u64 },
}

/// Why a lane is started again.
enum Why {
    /// It died: who died, and how.
    Died { pid: u32, ending: String },
    /// It kept dying and was let wait.
    Due,
}

impl Shared {
    /// Follows a lane until the threads are to end.
    pub(super) fn follow(&self, lane: u32) {
        let Some(counters) = self.edit(lane, |life| Arc::clone(&life.station.counters)) else { return };
        let mut watch = Watch::default();
        // It was started before control gave up the rest, and rights are a thread's own.
        if let Err(error) = rights::keep_what_lanes_take() {
            tracing::warn!(lane, "the thread of a lane has rights that it does not need: {error:#}");
        }
        while let Some(task) = self.next(lane) {
            match task {
                Task::Wait { pid, process } => {
                    if self.is_retired(Some(&process), PollTimeout::from(LOOK_MS)) {
                        return;
                    }
                    self.tell_what_was_written(lane, Output::hear);
                    if process::has_ended(process.as_fd()) {
                        self.ended(lane, &process);
                        watch = Watch::default();
                    } else if let Some((activity, ran)) = process::activity(pid)
                        && watch.look(now_ns(), counters.get(LaneCounter::Heartbeat), activity, ran)
                        && process::kill(process.as_fd()).is_ok()
                    {
                        // Its end is a death like any other.
                        self.tell(Event::LaneHangs { number: lane });
                        watch = Watch::default();
                    }
                }
                Task::Pause { due } => {
                    let left = due.saturating_sub(now_ns()).div_ceil(1_000_000);
                    if self.is_retired(None, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
                        return;
                    }
                    if due <= now_ns() {
                        self.start_again(lane, Why::Due);
                    }
                }
            }
        }
    }

    fn next(&self, lane: u32) -> Option<Task> {
        match &self.lock().lives.get(lane as usize)?.process {
            Process::Runs { pid, process, .. } => Some(Task::Wait { pid: *pid, process: Arc::clone(process) }),
            Process::Down { due } => Some(Task::Pause { due: *due }),
            // Only this thread starts its lane.
            Process::Starts => None,
        }
    }

    /// Waits until the process ends, time is up, or the threads are to end: says whether it is that.
    fn is_retired(&self, process: Option<&OwnedFd>, timeout: PollTimeout) -> bool {
        let mut fds = vec![PollFd::new(self.retired.as_fd(), PollFlags::POLLIN)];
        fds.extend(process.map(|process| PollFd::new(process.as_fd(), PollFlags::POLLIN)));
        // A signal may come in between: whoever asks looks again.
        let _ = poll(&mut fds, timeout);
        fds[0].revents().is_some_and(|events| !events.is_empty())
    }

    /// A lane ended: another is started at once, or later if it keeps dying young.
    fn ended(&self, lane: u32, process: &OwnedFd) {
        // First: it may say why.
        self.tell_what_was_written(lane, Output::hear_the_last);
        let ending = process::ending(process.as_fd()).map_or_else(|| "unknown".to_owned(), |ending| ending.to_string());
        let now = now_ns();
        let why = self.edit(lane, |life| {
            let Process::Runs { pid, since, process: ref present } = life.process else { return None };
            // It has ended because another has taken its place, or that one is about to.
            if !std::ptr::eq(present.as_ref(), process) || life.is_renewed {
                return None;
            }
            life.fresh = None;
            let is_short = now.saturating_sub(since) < SHORT_LIFE_NS;
            life.short_lives = if is_short { life.short_lives + 1 } else { 0 };
            // Tests of sudden death kill a lane more often than any bug would.
            let at_once = life.short_lives <= 1 || cfg!(feature = "chaos");
            life.process = if at_once { Process::Starts } else { Process::Down { due: due(now, life.short_lives) } };
            Some((Why::Died { pid, ending }, at_once))
        });
        match why.flatten() {
            None => _ = self.is_retired(None, PollTimeout::from(1_u8)),
            Some((Why::Died { pid, ending }, false)) => {
                self.tell(Event::LaneEnded { number: lane, pid, ending, failed: None });
            }
            Some((why, _)) => self.start_again(lane, why),
        }
    }

    fn start_again(&self, lane: u32, why: Why) {
        self.edit(lane, |life| life.restarts += 1);
        let failed = self.start(lane).err().map(|error| format!("{error:#}"));
        if failed.is_some() {
            self.is_down_again(lane);
        }
        match (why, failed) {
            (Why::Died { pid, ending }, failed) => {
                self.tell(Event::LaneEnded { number: lane, pid, ending, failed });
            }
            (Why::Due, None) => self.tell(Event::LaneStarted { number: lane }),
            (Why::Due, Some(error)) => {
                self.tell(Event::LaneTrouble { number: lane, text: format!("{error}; trying again") });
            }
        }
    }

    /// A lane did not start: it is tried again, later and later.
    pub(super) fn is_down_again(&self, lane: u32) {
        let now = now_ns();
        self.edit(lane, |life| {
            life.short_lives += 1;
            life.process = Process::Down { due: due(now, life.short_lives) };
        });
    }

    /// Starts a lane from what stands in its life. When this returns it relays.
    pub(super) fn start(&self, lane: u32) -> anyhow::Result<()> {
        self.edit(lane, |life| life.process = Process::Starts);
        match self.prepare(lane)? {
            Some(next) => self.let_go(lane, next, None),
            None => Ok(()),
        }
    }

    /// Starts a process for a lane and gives it everything but the sockets: not all of it is answered when this returns.
    pub(super) fn prepare(&self, lane: u32) -> anyhow::Result<Option<Next>> {
        let Some(station) = self.edit(lane, |life| Arc::clone(&life.station)) else { return Ok(None) };
        let vault = self.lock().vault.clone();
        let stderr = self.output(lane, |output| output.end_to_write()).transpose();
        let stderr =
            stderr.context("no pipe for what a lane writes: raise LimitNOFILE")?.context("there is no such lane")?;
        let prepared = prepare(&station, (&self.lanes, &self.user), self.table.as_fd(), &vault, stderr);
        prepared.map(Some).map_err(|error| self.with_its_words(lane, error))
    }

    /// Gives a lane that waits its sockets and lets it go, in the place of the one whose turn that is. When this returns it
    /// relays; when it fails it is gone, and everything is as it was.
    ///
    /// It is not given the sockets of links that are gone: no lane that starts could map their rings. On kernels that let nobody
    /// map the rings of a bound socket that is all of them, and control gives the lane others. They are written off only once it
    /// relays: the lane that goes on where this one fails has them still.
    pub(super) fn let_go(&self, lane: u32, next: Next, turn: Option<u32>) -> anyhow::Result<()> {
        let Some((sockets, life)) = self.edit(lane, Life::give) else {
            next.end();
            return Ok(());
        };
        let (gone, sockets): (Vec<_>, Vec<_>) =
            sockets.into_iter().partition(|socket| port::is_gone(socket.bound.fd.as_fd()));
        let started = next.go(&sockets, turn, life).map_err(|error| {
            // The one before has them still.
            self.edit(lane, |now| now.given = now.life);
            self.with_its_words(lane, error)
        });
        let (started, watched) = started?;
        chaos::at("lane");
        if !started.lacks.is_empty() {
            let n = started.lacks.len();
            let text =
                format!("a lane has no descriptor left for {n} of those that must outlive mcr: raise LimitNOFILE");
            self.tell(Event::LaneTrouble { number: lane, text });
        }
        let (process, since) = (Arc::new(watched), now_ns());
        // A socket closes with `gone`, after the lock.
        self.edit(lane, |now| {
            now.life = life;
            now.process = Process::Runs { pid: started.pid, process, since };
            now.uid = self.user.user().uid;
            now.fresh = Some(started);
            now.leave_out(&gone);
        });
        for socket in gone {
            self.tell(Event::SocketGone { lane, number: socket.number });
        }
        Ok(())
    }

    /// Why a lane did not start, and what it wrote itself.
    fn with_its_words(&self, lane: u32, error: anyhow::Error) -> anyhow::Error {
        let lines = self.hear(lane, Output::hear_the_last);
        if lines.is_empty() {
            return error;
        }
        let words: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        anyhow::anyhow!("{error:#}: {}", words.join(" / "))
    }

    fn tell_what_was_written(&self, lane: u32, hear: impl FnOnce(&mut Output, u64) -> Vec<Line>) {
        for line in self.hear(lane, hear) {
            self.tell(Event::LaneWrote { number: lane, line });
        }
    }

    pub(super) fn edit<T>(&self, lane: u32, edit: impl FnOnce(&mut Life) -> T) -> Option<T> {
        self.lock().lives.get_mut(lane as usize).map(edit)
    }

    fn tell(&self, event: Event) {
        // Nobody listens any more when control is ending.
        let _ = self.events.send(event);
    }
}

/// When a lane that has died young so often in a row is started again: each time it is twice as late.
fn due(now: u64, short_lives: u32) -> u64 {
    now + (10_u64 << short_lives.min(10)).min(LONGEST_PAUSE_MS) * 1_000_000
}
