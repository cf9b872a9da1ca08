//! The loop of control: wait for an event, decide, carry it out, tell everybody.

mod begin;
mod changes;

use self::begin::Beginning;
use super::book::Book;
use super::crew::Stall;
use super::desk::{Ask, Asked, Desk, Findings, Who};
use super::door;
use super::event::Event;
use super::lane_user::LaneUser;
use super::last_good::LastGood;
use super::lock;
use super::node::{Node, Start};
use super::orphans::Found;
use super::problem::Problem;
use super::sources;
use super::store::Store;
use super::tell;
use super::view::ConfigState;
use crate::api::model::Health;
use crate::clock::now_ns;
use crate::config::{self, Configuration};
use crate::events::streams::Streams;
use crate::events::{self, Kind};
use crate::preflight::features::Feature;
use crate::report::Report;
use crate::{notify, observe, preflight, rights};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// Every so many ticks neighbours are refreshed and what failed is tried again.
const TICKS_TO_REFRESH: u64 = 5;
/// A problem that was mended at once is shown for so long: whoever polls once a second sees it.
const SHOWN_NS: u64 = 2_500_000_000;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Where locks, doors and the API's socket lie.
    pub run_dir: PathBuf,
    /// Where the state file lies, unless the configuration names it.
    pub state_dir: PathBuf,
    /// Whether the XDP program writes a line for each frame of a relay.
    pub debug_ebpf: bool,
}

/// How control ended.
#[derive(Debug)]
pub enum Ended {
    /// It was asked to end; everything is taken down.
    Stopped(Box<Report>),
    /// It becomes this binary; the lanes relay on.
    Becomes(PathBuf),
}

/// Runs a node until somebody wants it to end. `serve` starts whatever looks at the node and asks at its desk; what it
/// returns is dropped before the node goes down.
pub async fn run<S>(
    options: &Options,
    serve: impl FnOnce(&Configuration, Desk, &mut Node) -> anyhow::Result<S>,
) -> anyhow::Result<Ended> {
    let loaded = config::load(&options.config);
    let doors = door::find(&options.run_dir, door::namespace()?)?;
    if let Err(errors) = &loaded
        && doors.is_empty()
        && !begin::can_do_without(options)
    {
        // Nothing is made, and nobody is disturbed.
        return Err(errors.clone().into());
    }
    let kernel = preflight::check()?;
    rights::raise_open_files();
    let lock = lock::take(&options.run_dir)?;
    let (sender, mut events) = mpsc::unbounded_channel();
    sources::signals(&sender)?;
    sources::links(&sender)?;
    let started = now_ns();
    let lanes_user = loaded.as_ref().ok().and_then(|read| read.plan.lanes.user.as_deref());
    let mut start = Start {
        run_dir: options.run_dir.clone(),
        debug: options.debug_ebpf,
        events: sender.clone(),
        rebinds: kernel.lacks(Feature::BoundRings),
        lane_user: LaneUser::choose(lanes_user)?,
    };
    let found = Found::look(&start).await?;
    let is_refused = loaded.is_err();
    let beginning = Beginning::of(options, loaded, found.orphans.as_ref())?;
    let configuration = beginning.configuration.clone();
    if is_refused {
        start.lane_user = LaneUser::choose(configuration.plan.lanes.user.as_deref())?;
    }
    if let Some(warning) = start.lane_user.warning() {
        tracing::warn!("{warning}");
    }
    let (mut control, asks) = Control::begin(options, beginning, found, &start).await?;
    if options.debug_ebpf {
        tokio::spawn(control.node.program_mut().follow_lines()?);
    }
    let served = match serve(&configuration, control.desk.clone(), &mut control.node) {
        Ok(served) => served,
        Err(error) if control.took_over => {
            return Err(error.context("the lanes relay on as they did, without a control"));
        }
        Err(error) => {
            control.node.take_down().await?;
            return Err(error);
        }
    };
    control.tell_ready(started);
    control.keep_what_runs();
    let end = control.follow(&mut events, asks, &sender).await;
    drop(served);
    match end {
        End::Becomes(binary) => {
            control.desk.events.finish();
            drop(lock);
            Ok(Ended::Becomes(binary))
        }
        End::Stops => {
            notify::notify("STOPPING=1");
            control.record(events::Event::new(Kind::NodeStopping, "stopping"));
            control.desk.events.finish();
            Ok(Ended::Stopped(Box::new(control.node.take_down().await?)))
        }
    }
}

enum End {
    Stops,
    Becomes(PathBuf),
}

/// The state of control between two events.
struct Control {
    node: Node,
    book: Book,
    store: Store,
    /// The configuration that ran last, on disk.
    last: LastGood,
    /// The text of the configuration that is in force.
    text: Arc<str>,
    desk: Desk,
    config: ConfigState,
    /// What the kernel's check found, and when.
    found: Vec<(u64, Problem)>,
    file: sources::Watched,
    streams: Streams,
    health: Option<Health>,
    links_due: bool,
    ticks: u64,
    /// Whether the lanes were there before: whatever goes wrong at the start, they are not ours to end.
    took_over: bool,
}

impl Control {
    fn tell_ready(&self, started: u64) {
        let took_ms = (now_ns() - started) / 1_000_000;
        let (relays, lanes) = (self.node.table.slots().count(), self.node.crew.posts.len());
        self.node.crew.tell();
        for pending in &self.node.pending {
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
        self.turned();
        notify::notify("READY=1");
    }

    /// Tells when packets can flow no more, and when they can again.
    fn tell_health(&mut self, now: u64) {
        let health = observe::health(&self.desk, None, now);
        if let Some(before) = self.health.replace(health)
            && let Some(now) = &self.health
        {
            tell::health(&self.desk.events, &before, now);
        }
    }

    fn record(&self, event: events::Event) {
        self.desk.events.record(event);
    }

    /// Keeps the configuration that is in force for a start at which the file is bad. One that was refused is not kept, and
    /// where another mcr keeps its own nothing is.
    fn keep_what_runs(&self) {
        if self.config.refused.is_none() && self.store.is_ours() {
            self.last.keep(Arc::clone(&self.text));
        }
    }

    fn turned(&self) {
        self.desk.pulse.turned.store(now_ns(), Relaxed);
    }

    fn show(&self) {
        self.desk.show(self.node.view(&self.book, self.config.clone()));
    }

    async fn follow(
        &mut self,
        events: &mut UnboundedReceiver<Event>,
        mut asks: mpsc::Receiver<Asked>,
        sender: &mpsc::UnboundedSender<Event>,
    ) -> End {
        let mut ticks = sources::ticks();
        loop {
            let event = tokio::select! {
                event = events.recv() => event.unwrap_or(Event::Stop),
                Some(asked) = asks.recv() => Event::Asked(Box::new(asked)),
                _ = ticks.tick() => Event::Tick,
            };
            match event {
                Event::Stop => return End::Stops,
                Event::Link(event) => {
                    if tell::matters(&mut self.node, &event) && !std::mem::replace(&mut self.links_due, true) {
                        sources::settle(sender);
                    }
                }
                Event::LinksSettled => self.follow_links().await,
                Event::Reported { link, groups } => self.record(tell::reported(&link, groups)),
                Event::LaneUntrue { number, pid, problem } => self.record(tell::lane_untrue(number, pid, &problem)),
                Event::LaneReplaced { number, pid, problem } => self.record(tell::lane_replaced(number, pid, &problem)),
                Event::LaneEnded { number, pid, ending, failed } => self.lane_ended(number, pid, &ending, failed).await,
                Event::LaneStarted { number } => {
                    self.record(tell::lane_started(number));
                    self.give_sockets_again().await;
                    self.show();
                }
                Event::LaneHangs { number } => self.record(tell::stall(number, Stall::Hopeless)),
                Event::LaneWrote { number, line } => tell::lane_wrote(number, &line),
                Event::LaneTrouble { number, text } => tracing::error!(lane = number, "{text}"),
                Event::SocketGone { lane, number } => self.node.crew.reclaim(lane, number).await,
                Event::Reload => _ = self.asked(&Who::File, &Ask::Reload, false).await,
                Event::Tick => self.tick(sender).await,
                Event::Asked(asked) => {
                    let Asked { who, ask, dry, answer } = *asked;
                    let said = self.asked(&who, &ask, dry).await;
                    let becomes = match (&ask, &said) {
                        (Ask::Upgrade { binary }, Ok(_)) if !dry => Some(binary.clone()),
                        _ => None,
                    };
                    // Whoever asked may have gone.
                    let _ = answer.send(said);
                    if let Some(binary) = becomes {
                        return End::Becomes(binary);
                    }
                }
            }
            self.turned();
        }
    }

    async fn follow_links(&mut self) {
        self.links_due = false;
        let before = (self.node.pending.clone(), self.node.facts.clone());
        match self.node.follow_links(&self.book.origins()).await {
            // Whatever could not be taken back has been brought to what should be.
            Ok(()) => self.config.torn = None,
            Err(error) => {
                let text = format!("the links changed and the table could not follow: {error:#}; trying again");
                self.record(events::Event::new(Kind::ConfigFailed, text));
            }
        }
        tell::links(&self.desk.events, &before, &self.node);
        self.show();
    }

    /// A lane that could not take up the sockets of the one before it has none.
    async fn give_sockets_again(&mut self) {
        if self.node.crew.rebinds {
            self.follow_links().await;
        }
    }

    async fn lane_ended(&mut self, number: u32, pid: u32, ending: &str, failed: Option<String>) {
        let failed = failed.map(|error| format!("{ending}, and cannot be started: {error}"));
        self.record(tell::lane_died(number, pid, failed.as_deref().unwrap_or(ending)));
        self.give_sockets_again().await;
        self.show();
    }

    async fn tick(&mut self, sender: &mpsc::UnboundedSender<Event>) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_TO_REFRESH) && !std::mem::replace(&mut self.links_due, true) {
            let _ = sender.send(Event::LinksSettled);
        }
        let now = now_ns();
        for (lane, stall) in self.node.crew.stalls(now) {
            self.record(tell::stall(lane, stall));
        }
        for (lane, n, error) in self.node.crew.give_what_lacks().await {
            tracing::debug!(lane, "a lane still lacks {n} descriptors: {error:#}");
        }
        self.node.follow_unit().await;
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
        self.desk.pulse.found.store(Arc::new(Findings { at: now, problems }));
        for event in self.streams.tick(&self.desk.view(), now) {
            self.record(event);
        }
        self.tell_health(now);
        self.desk.events.tick();
        if self.file.has_changed() {
            let _ = self.asked(&Who::File, &Ask::Reload, false).await;
        }
        // A loop that hangs does not come here, and systemd starts another control, which takes the lanes over.
        if observe::live(&self.desk, now_ns()).status == "ok" {
            notify::alive();
        }
    }
}

/// How long the notices of links have to settle: they come in bursts, and are read once.
pub(super) const SETTLE: Duration = Duration::from_millis(50);
