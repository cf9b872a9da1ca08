//! The worker: a thread of its own that owns the node and does what takes long, one job after the other. The loop gives it
//! the next when it has done the last, and sees meanwhile what it is at.

use super::begin::Beginning;
use super::files::Files;
use super::hand_over::Follows;
use super::{Ended, Options};
use crate::agenda::Job;
use crate::book::Book;
use crate::desk::{Desk, Findings, Pulse};
use crate::disk::{CHANGES_WAIT, Disk};
use crate::event::{Begun, Done, Event};
use crate::events::{self, EventLog, Kind};
use crate::handover::{Begins, Handover};
use crate::lane_user::LaneUser;
use crate::last_good::LastGood;
use crate::link::event::LinkEvent;
use crate::node::{Node, Start};
use crate::notify;
use crate::orphans::Found;
use crate::predecessor::Predecessor;
use crate::previous::Previous;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::running::Running;
use crate::sources;
use crate::store::Store;
use crate::tell;
use crate::view::{ConfigState, Retry};
use anyhow::{Context as _, bail};
use relay_config::{Configuration, Errors};
use relay_engine::clock::now_ns;
use relay_engine::memory;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

/// A problem that was mended at once is shown for so long: whoever polls once a second sees it.
const SHOWN_NS: u64 = 2_500_000_000;
/// All routes are looked up again after so long, whether or not anybody told of one.
const ROUTES_ANEW_NS: u64 = 60_000_000_000;
/// After so many looks, one a second, at which nothing was another, memory is given back.
const QUIET_LOOKS: u32 = 3;
/// Threads for what hangs where nobody can interrupt it, as a binary that does not answer.
const THREADS: usize = 4;

/// The loop's end of the worker.
pub(super) struct Handle {
    jobs: UnboundedSender<Job>,
    thread: Option<JoinHandle<anyhow::Result<Ended>>>,
    is_busy: bool,
}

/// What the worker owns.
pub(super) struct Worker {
    pub(super) node: Node,
    pub(super) book: Book,
    pub(super) store: Store,
    /// The configuration that ran last, on disk.
    pub(super) last: LastGood,
    /// What ran before, and whether what runs is on trial, on disk.
    pub(super) previous: Previous,
    /// When the way back is tried again that has failed.
    pub(super) back_at: Option<Retry>,
    /// When the API's relays are written down again, where that has failed.
    pub(super) keep_at: Option<Retry>,
    /// The configuration that runs, for whoever takes over.
    pub(super) running: Running,
    /// The text of the configuration that is in force.
    pub(super) text: Arc<str>,
    pub(super) desk: Desk,
    pub(super) config: ConfigState,
    /// What the kernel's check found, and when.
    pub(super) found: Vec<(u64, Problem)>,
    pub(super) file: sources::Watched,
    pub(super) disk: Disk,
    /// When all routes were last looked up again, in nanoseconds of the monotonic clock.
    pub(super) doubted: u64,
    /// When it was last tried whether the state file can be written; likewise.
    pub(super) tried_to_write: u64,
    /// Whether the lanes were there before: whatever goes wrong at the start, they are not ours to end.
    pub(super) took_over: bool,
    /// Which view was there when the kernel was last looked at, and at how many looks.
    pub(super) quiet: Option<(usize, u32)>,
    /// The control that is to follow, and has proved itself so far.
    pub(super) follows: Option<Follows>,
}

impl Handle {
    /// Whether it waits for something to do.
    pub(super) const fn is_free(&self) -> bool {
        !self.is_busy
    }

    /// Gives it something to do.
    pub(super) fn give(&mut self, job: Job) {
        self.is_busy = true;
        // One that has ended says so.
        let _ = self.jobs.send(job);
    }

    /// It has done it.
    pub(super) const fn is_done(&mut self) {
        self.is_busy = false;
    }

    /// How it ended.
    pub(super) fn ended(&mut self) -> anyhow::Result<Ended> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            _ => bail!("control's worker has panicked: the lanes relay on, and the next mcr takes them over"),
        }
    }
}

/// Starts it; it begins with the node. What is wrong with that it says when it ends.
pub(super) fn spawn<S>(
    options: Options,
    loaded: Result<Configuration, Errors>,
    start: Start,
    tells: (EventLog, Arc<Pulse>),
    given: (Option<Predecessor>, Handover),
    serve: impl FnOnce(&Configuration, Desk, &mut Node, Begins) -> anyhow::Result<S> + Send + 'static,
) -> anyhow::Result<Handle> {
    let (jobs, taken) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_name("mcr-waits")
        .build()
        .context("cannot start the worker")?;
    let thread = std::thread::Builder::new().name("mcr-worker".to_owned()).spawn(move || {
        let _says_so = SaysThatItEnded(start.events.clone());
        let ended = runtime.block_on(work(&options, loaded, start, tells, given, taken, serve));
        // What cannot be interrupted is not waited for.
        runtime.shutdown_background();
        ended
    });
    Ok(Handle { jobs, thread: Some(thread.context("no thread for the worker")?), is_busy: true })
}

/// Says that the thread has ended, however it did.
struct SaysThatItEnded(UnboundedSender<Event>);

impl Drop for SaysThatItEnded {
    fn drop(&mut self) {
        let _ = self.0.send(Event::WorkerEnded);
    }
}

async fn work<S>(
    options: &Options,
    loaded: Result<Configuration, Errors>,
    mut start: Start,
    (log, pulse): (EventLog, Arc<Pulse>),
    (before, handover): (Option<Predecessor>, Handover),
    mut jobs: UnboundedReceiver<Job>,
    serve: impl FnOnce(&Configuration, Desk, &mut Node, Begins) -> anyhow::Result<S>,
) -> anyhow::Result<Ended> {
    let (started, progress) = (now_ns(), Arc::clone(&pulse.progress));
    progress.begin(None, "start");
    progress.step("looking for lanes that run");
    let (disk, found) = (Disk::start("mcr-disk", CHANGES_WAIT)?, Found::look(&start).await?);
    let lanes_user = loaded.as_ref().ok().and_then(|file| file.plan.lanes.user.clone());
    let files = Files { disk: &disk, progress: &progress, lanes_run: found.orphans.is_some() };
    let beginning = Beginning::of(options, loaded, found.orphans.as_ref(), &files).await?;
    let configuration = beginning.configuration.clone();
    if configuration.plan.lanes.user != lanes_user {
        start.lane_user = LaneUser::choose(configuration.plan.lanes.user.as_deref())?;
    }
    start.lane_user.warning().into_iter().for_each(|warning| tracing::warn!("{warning}"));
    let lanes_run = found.orphans.is_some();
    let (mut worker, asks) = match Worker::begin(options, beginning, found, &start, (log, pulse), disk).await {
        Ok(begun) => begun,
        // Somebody wanted it to end meanwhile, and nothing is left of what was begun.
        Err(error) if progress.is_ending() && !lanes_run => {
            tracing::warn!("{error:#}");
            return Ok(Ended::GaveUp);
        }
        Err(error) => return Err(error),
    };
    worker.take_handover(handover).await;
    before.as_ref().map_or(Ok(()), Predecessor::ready)?;
    if options.debug_ebpf {
        tokio::spawn(worker.node.program_mut().follow_lines()?);
    }
    let is_in_charge = worker.took_over || before.is_some();
    let begins = if is_in_charge { Begins::InCharge } else { Begins::Anew };
    let served = match serve(&configuration, worker.desk.clone(), &mut worker.node, begins) {
        Ok(served) => served,
        Err(error) if is_in_charge => {
            return Err(error.context("the lanes relay on as they did, without a control"));
        }
        Err(error) => {
            worker.node.take_down().await?;
            return Err(error);
        }
    };
    before.as_ref().map_or(Ok(()), Predecessor::answers)?;
    let (go_on, goes_on) = oneshot::channel();
    let (desk, lanes, rebinds) = (worker.desk.clone(), worker.node.crew.seen(), worker.node.crew.rebinds);
    let http = configuration.settings.http;
    let _ = start.events.send(Event::Begun(Box::new(Begun { desk, asks, lanes, rebinds, http, go_on })));
    goes_on.await.context("the loop has ended")?;
    if let Some(before) = &before {
        worker.leads(before).await?;
    }
    worker.tell_ready(started);
    worker.keep_what_runs();
    progress.end();
    worker.follow(&mut jobs, served, &start, &progress).await
}

impl Worker {
    /// Carries out one job after the other until one is the end.
    async fn follow<S>(
        mut self,
        jobs: &mut UnboundedReceiver<Job>,
        served: S,
        start: &Start,
        progress: &Progress,
    ) -> anyhow::Result<Ended> {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::End(end) => {
                    progress.begin(None, "end");
                    self.desk.events.finish();
                    return self.end(end, served, progress).await;
                }
                job => {
                    let done = self.carry_out(job, progress).await;
                    progress.end();
                    let _ = start.events.send(Event::Done(done));
                }
            }
        }
        bail!("the loop has ended")
    }

    async fn carry_out(&mut self, job: Job, progress: &Progress) -> Done {
        match job {
            Job::Change(asked, urgent) => return self.carry_out_change(*asked, urgent, progress).await,
            Job::Reload => return self.carry_out_change(self.desk.file_asks(), None, progress).await,
            Job::FollowLinks { notices, anyway } => {
                progress.begin(None, "a look at the links");
                self.doubt_routes_now_and_then();
                self.follow_notices(&notices, anyway).await;
            }
            Job::GiveSocketsAgain => {
                progress.begin(None, "sockets for a lane that was started again");
                self.follow_links(true).await;
            }
            Job::Reclaim { lane, number } => {
                progress.begin(None, "frames of a socket that is gone");
                self.node.crew.reclaim(lane, number).await;
            }
            Job::Inspect => {
                progress.begin(None, "a look at what the kernel holds");
                self.inspect().await;
                self.end_trial_in_time().await;
                self.keep_what_waits().await;
                self.look_at_file(progress).await;
                self.give_memory_back();
                self.try_to_write(progress).await;
            }
            Job::End(_) => {}
        }
        Done::default()
    }

    /// What was shown is what it was for some seconds: the last change is over, and whatever it took is free.
    fn give_memory_back(&mut self) {
        let shown = Arc::as_ptr(&self.desk.view()) as usize;
        match self.quiet {
            Some((of, looks)) if of == shown => {
                self.quiet = Some((of, looks.saturating_add(1)));
                if looks == QUIET_LOOKS {
                    memory::give_back();
                }
            }
            _ => self.quiet = Some((shown, 0)),
        }
    }

    fn tell_ready(&self, started: u64) {
        let took_ms = (now_ns() - started) / 1_000_000;
        let (relays, lanes) = (self.node.table.slots().count(), self.node.crew.posts.len());
        self.node.crew.tell();
        for pending in self.node.pending.iter() {
            self.record(tell::pending(pending));
        }
        tracing::info!(
            relays,
            lanes,
            pending = self.node.pending.len(),
            generation = self.node.table.generation,
            took_ms,
            "ready"
        );
        self.record(
            events::Event::new(Kind::NodeReady, format!("ready after {took_ms} ms"))
                .with("relays", relays)
                .with("lanes", lanes)
                .with("pending", self.node.pending.len())
                .with("generation", self.node.table.generation)
                .with("took_ms", took_ms),
        );
        self.desk.handover.went_back().iter().for_each(|why| self.record(tell::went_back(why)));
        self.desk.handover.is_ready();
        notify::notify("READY=1");
    }

    /// The text of the configuration that is in force from now on. It is written down for whoever takes the lanes over before
    /// anybody hears that it is.
    pub(super) fn runs(&mut self, text: Arc<str>) {
        self.running.keep(&text);
        self.text = text;
    }

    /// Keeps the configuration that is in force for a start at which the file is bad: what that says, or what runs in its
    /// place. Where only the lanes know what runs nothing is kept, nor where another mcr keeps its own.
    pub(super) fn keep_what_runs(&self) {
        let is_the_file = self.config.refused.is_none() && self.config.differs.is_none();
        let is_known = || !self.text.is_empty() && self.text_that_runs().is_some();
        if self.store.is_ours() && (is_the_file || is_known()) {
            self.last.keep(Arc::clone(&self.text));
        }
    }

    pub(super) fn record(&self, event: events::Event) {
        self.desk.events.record(event);
    }

    pub(super) fn show(&self) {
        let lanes = self.node.crew.seen();
        let view = self.node.view(&self.book, self.config.clone());
        // Found here: of thousands of relays it takes longer than a turn of the loop may.
        view.works();
        self.desk.show(view, |place| lanes.view(place));
    }

    /// A redirect, or another rule of routing, changes a route without a notice.
    fn doubt_routes_now_and_then(&mut self) {
        let now = now_ns();
        if now.saturating_sub(self.doubted) >= ROUTES_ANEW_NS {
            self.doubted = now;
            self.node.doubt_routes();
        }
    }

    async fn follow_notices(&mut self, notices: &[LinkEvent], anyway: bool) {
        let mut matters = false;
        for notice in notices {
            // Each is learned from, whether or not one before it matters.
            matters |= tell::matters(&mut self.node, notice);
        }
        if matters || anyway {
            self.follow_links(matters).await;
        }
    }

    async fn follow_links(&mut self, anyway: bool) {
        let before = (self.node.pending.clone(), self.node.facts.clone());
        match self.node.follow_links(self.book.origins(), anyway).await {
            Ok(false) => return,
            // Whatever could not be taken back has been brought to what should be.
            Ok(true) => self.config.torn = None,
            Err(error) => {
                let text = format!("the links changed and the table could not follow: {error:#}; trying again");
                self.record(events::Event::new(Kind::ConfigFailed, text));
            }
        }
        tell::links(&self.desk.events, &before, &self.node);
        self.show();
    }

    /// Looks whether the kernel holds what it should.
    async fn inspect(&mut self) {
        let now = now_ns();
        let worked = self.desk.pulse.progress.worked(now);
        self.node.crew.note_stalls(now);
        for (lane, n, error) in self.node.crew.give_what_lacks().await {
            tracing::debug!(lane, "a lane still lacks {n} descriptors: {error:#}");
        }
        self.follow_unit().await;
        self.node.mend_programs_found(&self.found).await;
        let problems = self.node.inspect().await;
        for problem in &problems {
            if !self.found.iter().any(|(_, known)| known == problem) {
                self.record(tell::problem(problem));
            }
        }
        self.found.retain(|(at, known)| now.saturating_sub(*at) < SHOWN_NS && !problems.contains(known));
        self.found.extend(problems.into_iter().map(|problem| (now, problem)));
        let problems = self.found.iter().map(|(_, problem)| problem.clone()).collect();
        self.desk.pulse.found.store(Arc::new(Findings { at: now, worked, problems }));
    }
}
