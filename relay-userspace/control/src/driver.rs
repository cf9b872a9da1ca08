//! The loop of control: it hears lanes, links, signals, ticks and whoever asks, at all times, and waits for nothing else.
//! What takes long is the worker's: see `driver/worker.rs`.

mod asks; // what waits, is carried out, and is answered
mod begin; // over lanes that run, or anew
mod files; // what is read from the disk for that
mod changes; // what the worker makes of a wish
mod import; // a whole node is taken in
mod hand_over; // another control follows
mod noticed; // a configuration file that has changed
mod trial; // on trial, and back
mod unkept; // in force, and not on disk yet
mod unnoted; // what became of the file, likewise
mod writable; // whether it could be
mod worker; // the thread that does what takes long

use super::agenda::{Agenda, End};
use super::desk::{Asked, Desk, Pulse, Refusal};
use super::door;
use super::event::{Begun, Done, Event};
use super::handover::{Begins, Given, Handover};
use super::lane_user::LaneUser;
use super::lock;
use super::node::{Node, Start};
use super::predecessor;
use super::stalls::{Stall, Stalls};
use super::supervisor::Seen;
use super::tell;
use super::turns::{Mark, Turn};
use super::view::View;
use super::{sources, summary};
use crate::events::streams::Streams;
use crate::events::{self, EventLog, Kind};
use crate::link::event::LinkEvents;
use crate::observe::report::Report;
use crate::preflight::features::Feature;
use crate::{notify, observe, preflight, rights};
use anyhow::Context as _;
use relay_config as config;
use relay_config::Configuration;
use relay_config::model::Health;
use relay_engine::clock::{now_ns, thread_ns};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use worker::Handle;

/// Every so many ticks neighbours are refreshed and what failed is tried again.
const TICKS_TO_REFRESH: u64 = 5;

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
    /// It was asked to end before it was ready; nothing is left of what was begun.
    GaveUp,
    /// It becomes a binary; the lanes relay on.
    Becomes(Becomes),
    /// This process has its place; the lanes relay on.
    Followed(u32),
}

/// How control becomes a binary.
#[derive(Debug)]
pub struct Becomes {
    /// Which.
    pub binary: PathBuf,
    /// What it is given.
    pub handover: Handover,
    /// Whether it becomes this one again when that is not ready in time.
    pub comes_back: bool,
    /// Whether somebody wants it to end.
    pub is_to_end: bool,
}

/// Runs a node until somebody wants it to end. `serve` starts whatever looks at the node and asks at its desk; what it
/// returns is dropped before the node goes down. Something may have been given by the control before this one.
pub async fn run<S>(
    options: &Options,
    given: Given,
    serve: impl FnOnce(&Configuration, Desk, &mut Node, Begins) -> anyhow::Result<S> + Send + 'static,
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
    let Given { lock, before, handover, .. } = given;
    handover.hold(lock::take(&options.run_dir, lock)?);
    let gives = handover.clone();
    let (sender, events) = mpsc::unbounded_channel();
    sources::listen_for_signals(&sender)?;
    // Before anything is read: then nothing falls between the two.
    let notices = LinkEvents::new().context("cannot listen to the kernel's notices of links")?;
    let pulse = Arc::<Pulse>::default();
    let lanes_user = loaded.as_ref().ok().and_then(|read| read.plan.lanes.user.as_deref());
    let start = Start {
        run_dir: options.run_dir.clone(),
        debug: options.debug_ebpf,
        events: sender.clone(),
        rebinds: kernel.lacks(Feature::BoundRings),
        lane_user: LaneUser::choose(lanes_user)?,
        progress: Arc::clone(&pulse.progress),
        unit: handover.unit(),
    };
    let log = EventLog::open(&options.run_dir, door::namespace()?);
    let worker =
        worker::spawn(options.clone(), loaded, start, (log.clone(), Arc::clone(&pulse)), (before, handover), serve)?;
    sources::hear_signals()?;
    let hears = Loop {
        log,
        pulse,
        sender,
        worker,
        gives,
        agenda: Agenda::default(),
        node: None,
        streams: Streams::default(),
        stalls: Stalls::default(),
        health: None,
        ticks: 0,
    };
    hears.follow(events, Some(notices)).await
}

/// The state of the loop between two events.
struct Loop {
    log: EventLog,
    pulse: Arc<Pulse>,
    /// Where whatever happens to the loop is told.
    sender: UnboundedSender<Event>,
    worker: Handle,
    /// What the next control is given.
    gives: Handover,
    agenda: Agenda,
    /// Nothing before the node has begun.
    node: Option<Shown>,
    streams: Streams,
    stalls: Stalls,
    health: Option<Health>,
    ticks: u64,
}

/// What the loop knows of a node that has begun.
struct Shown {
    desk: Desk,
    asks: mpsc::Receiver<Asked>,
    lanes: Seen,
    rebinds: bool,
}

impl Loop {
    async fn follow(
        mut self,
        mut events: UnboundedReceiver<Event>,
        mut notices: Option<LinkEvents>,
    ) -> anyhow::Result<Ended> {
        let mut ticks = sources::ticks();
        self.turned();
        // What the runtime does in this thread between two turns counts for the next.
        let mut processor = thread_ns();
        loop {
            let event = tokio::select! {
                event = events.recv() => event.unwrap_or(Event::Stop),
                asked = next_ask(self.node.as_mut()) => Event::Asked(Box::new(asked)),
                notice = sources::notice(&mut notices) => Event::Link(notice),
                _ = ticks.tick() => Event::Tick,
            };
            let began = Mark::now();
            if matches!(event, Event::WorkerEnded) {
                return self.ended(&mut events).await;
            }
            self.hear(event)?;
            if self.worker.is_free()
                && let Some(job) = self.agenda.take_next()
            {
                self.worker.give(job);
            }
            self.turned();
            let (now, before) = (now_ns(), std::mem::replace(&mut processor, thread_ns()));
            let (processor, wall, waited) = (processor - before, began.wall(now), began.waited());
            self.pulse.turns.note(Turn { processor, wall, waited }, now);
        }
    }

    fn hear(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Stop => self.stop(),
            Event::Link(notice) => {
                if self.agenda.note(notice) {
                    sources::settle(&self.sender);
                }
            }
            Event::LinksSettled => self.agenda.links_settled(),
            Event::Reported { link, groups } => self.record(tell::reported(&link, groups)),
            Event::LaneUntrue { number, pid, problem } => self.record(tell::lane_untrue(number, pid, &problem)),
            Event::LaneEnded { number, pid, ending, failed } => {
                let failed = failed.map(|error| format!("{ending}, and cannot be started: {error}"));
                self.record(tell::lane_died(number, pid, failed.as_deref().unwrap_or(&ending)));
                self.lanes_changed();
            }
            Event::LaneStarted { number } => {
                self.record(tell::lane_started(number));
                self.lanes_changed();
            }
            Event::LaneHangs { number } => self.record(tell::stall(number, Stall::Hopeless)),
            Event::LaneReplaced { number, pid, problem } => self.record(tell::lane_replaced(number, pid, &problem)),
            Event::LaneWrote { number, line } => tell::lane_wrote(number, &line),
            Event::LaneTrouble { number, text } => tracing::error!(lane = number, "{text}"),
            Event::SocketGone { lane, number } => self.agenda.reclaim(lane, number),
            Event::Reload => self.reload(),
            Event::Tick => self.tick(),
            Event::StreamsUntold => self.tell_streams(),
            Event::Asked(asked) => self.asked(asked),
            Event::Begun(begun) => return self.begun(*begun),
            Event::Done(done) => self.done(done),
            Event::WorkerEnded => {}
        }
        Ok(())
    }

    fn stop(&mut self) {
        if !self.agenda.is_ending() {
            notify::stopping();
            self.record(events::Event::new(Kind::NodeStopping, "stopping"));
        }
        self.agenda.end(End::Stops);
        self.pulse.progress.ask_to_end();
        self.give_up(&Refusal::ENDING);
    }

    /// The node has begun. Rights are a thread's own: this one gives up what the worker has given up.
    fn begun(&mut self, Begun { desk, asks, lanes, rebinds, http, go_on }: Begun) -> anyhow::Result<()> {
        rights::keep_what_is_needed(&http)?;
        predecessor::outlive()?;
        self.node = Some(Shown { desk, asks, lanes, rebinds });
        self.worker.is_done();
        // It waits for this.
        let _ = go_on.send(());
        Ok(())
    }

    fn done(&mut self, Done { silenced, end }: Done) {
        self.worker.is_done();
        self.gives.owe_reload(self.agenda.is_reload_due());
        if let Some((by, urgent)) = silenced {
            self.overtaken(by, &urgent);
        }
        if let Some(end) = end {
            // Whoever asks from now on is told so, and nothing is kept of lanes that another control takes over.
            self.give_up(&Refusal::REPLACED);
            self.node = None;
            self.agenda.end(end);
        }
    }

    /// A lane that could not take up the sockets of the one before it has none.
    fn lanes_changed(&mut self) {
        let Some(Shown { desk, lanes, rebinds, .. }) = &self.node else { return };
        desk.show_lanes(|place| lanes.view(place));
        if *rebinds {
            self.agenda.give_sockets_again();
        }
    }

    /// The configuration file is to be taken as it is now. One reload that waits will do.
    fn reload(&mut self) {
        self.agenda.reload();
        self.gives.owe_reload(true);
    }

    fn tick(&mut self) {
        self.ticks += 1;
        let now = now_ns();
        if let Some(desk) = self.node.as_ref().map(|node| node.desk.clone())
            && !self.agenda.is_ending()
        {
            self.look(&desk, now);
        }
        // A control that hangs does not come here, and systemd starts another, which takes the lanes over.
        let progresses = self.pulse.progress.doing(now).is_none_or(|doing| doing.silent <= doing.patience);
        if (self.node.is_some() || self.agenda.is_ending()) && progresses {
            notify::alive();
        }
    }

    fn look(&mut self, desk: &Desk, now: u64) {
        self.agenda.inspect();
        if self.ticks.is_multiple_of(TICKS_TO_REFRESH) {
            self.agenda.look_at_links();
        }
        let view = desk.view();
        for (lane, stall) in self.stalls.look(&view.lanes, now) {
            self.record(tell::stall(lane, stall));
        }
        for event in self.streams.tick(&view, now) {
            self.record(event);
        }
        self.tell_streams();
        self.tell_health(desk, now);
        self.tell_systemd(&view, now);
        self.log.tick();
    }

    /// Tells of streams; what is more than a turn may take is told at the next.
    fn tell_streams(&mut self) {
        self.streams.tell().into_iter().for_each(|event| self.record(event));
        if self.streams.has_more() {
            let _ = self.sender.send(Event::StreamsUntold);
        }
    }

    fn tell_systemd(&self, view: &View, now: u64) {
        if notify::is_wanted()
            && let Some(health) = &self.health
        {
            notify::status(&summary::line(view, health, now));
        }
    }

    /// Tells when packets can flow no more, and when they can again.
    fn tell_health(&mut self, desk: &Desk, now: u64) {
        let health = observe::health(desk, None, now);
        if let Some(before) = self.health.replace(health)
            && let Some(now) = &self.health
        {
            tell::health(&self.log, &before, now);
        }
    }

    fn record(&self, event: events::Event) {
        self.log.record(event);
    }

    fn turned(&self) {
        self.pulse.turned.store(now_ns(), Relaxed);
    }
}

/// What is asked next; never before the node has begun.
async fn next_ask(node: Option<&mut Shown>) -> Asked {
    match node {
        Some(node) => match node.asks.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// How long the notices of links have to settle: they come in bursts, and are read once.
pub(super) const SETTLE: Duration = Duration::from_millis(50);
