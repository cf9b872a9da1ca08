//! The loop of control: wait for an event, decide, carry it out.

use super::event::Event;
use super::lock;
use super::node::Node;
use crate::clock::now_ns;
use crate::link::event::{LinkEvent, LinkEvents};
use crate::link::neighbour::Learned;
use crate::report::Report;
use crate::{config, notify, preflight};
use anyhow::Context;
use nix::sys::signal::SigSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Changes of links come in bursts: they are read once, this long after the first.
const SETTLE: Duration = Duration::from_millis(50);
/// How often control looks whether everybody is well.
const TICK: Duration = Duration::from_secs(1);
/// Every so many ticks neighbours are refreshed and what failed is tried again.
const TICKS_TO_REFRESH: u32 = 5;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Where the lock lies.
    pub run_dir: PathBuf,
    /// Whether the XDP program writes a line for each frame of a relay.
    pub debug_ebpf: bool,
}

/// Runs a node until somebody wants it to end. Returns what it counted.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let plan = config::load(&options.config)?;
    preflight::check()?;
    let _lock = lock::take(&options.run_dir)?;
    let (sender, mut events) = mpsc::unbounded_channel();
    listen_for_signals(&sender)?;
    listen_to_links(&sender)?;
    let started = now_ns();
    let mut node = Node::bring_up(plan, options.debug_ebpf, &options.run_dir, sender.clone()).await?;
    if options.debug_ebpf {
        tokio::spawn(node.program_mut().follow_lines()?);
    }
    let took_ms = (now_ns() - started) / 1_000_000;
    let (relays, lanes) = (node.table.slots().count(), node.crew.posts.len());
    node.crew.tell();
    tracing::info!(relays, lanes, pending = node.pending.len(), generation = node.table.generation, took_ms, "ready");
    notify::notify("READY=1");
    follow(&mut node, &mut events).await?;
    notify::notify("STOPPING=1");
    tracing::info!("stopping");
    node.take_down().await
}

async fn follow(node: &mut Node, events: &mut UnboundedReceiver<Event>) -> anyhow::Result<()> {
    let mut ticks = 0_u32;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut links_due: Option<Instant> = None;
    loop {
        let settled = async {
            match links_due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.recv() => match event {
                None | Some(Event::Stop) => return Ok(()),
                Some(Event::Link(event)) => {
                    if matters(node, &event) {
                        links_due.get_or_insert_with(|| Instant::now() + SETTLE);
                    }
                }
                Some(Event::LaneEnded { number, pid }) => lane_ended(node, number, pid).await,
                Some(Event::LaneDue { number }) => {
                    match node.crew.restart(number).await {
                        Ok(()) => tracing::info!(lane = number, "lane started again"),
                        Err(error) => tracing::error!(lane = number, "{error:#}; trying again"),
                    }
                }
            },
            () = settled => {
                links_due = None;
                if let Err(error) = node.follow_links().await {
                    tracing::error!("the links changed and the table could not follow: {error:#}; trying again");
                }
            }
            _ = tick.tick() => {
                ticks += 1;
                if ticks.is_multiple_of(TICKS_TO_REFRESH) {
                    links_due.get_or_insert_with(Instant::now);
                }
                for (lane, stalls) in node.crew.stalls(now_ns()) {
                    if stalls {
                        tracing::error!(lane, "lane stalled: it has not come round for two seconds");
                    } else {
                        tracing::info!(lane, "lane comes round again");
                    }
                }
            }
        }
    }
}

/// Whether a notice of the kernel can change the table.
fn matters(node: &mut Node, event: &LinkEvent) -> bool {
    match event {
        LinkEvent::NeighbourChanged { .. } => node.neighbours.learn(event) != Learned::Nothing,
        LinkEvent::LinkChanged { .. }
        | LinkEvent::AddressChanged { .. }
        | LinkEvent::RouteChanged
        | LinkEvent::Lost => true,
    }
}

async fn lane_ended(node: &mut Node, number: u32, pid: u32) {
    match node.crew.lane_ended(number, pid).await {
        Ok(None) => {}
        Ok(Some(ending)) => tracing::error!(lane = number, pid, %ending, "lane died: it is started again"),
        Err(error) => {
            tracing::error!(lane = number, pid, "lane died and could not be started again: {error:#}; trying again")
        }
    }
}

fn listen_for_signals(events: &UnboundedSender<Event>) -> anyhow::Result<()> {
    // Whoever started us may have had them blocked, and that is inherited.
    SigSet::all().thread_unblock().context("cannot unblock signals")?;
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
        let mut signal = signal(kind).context("cannot listen for signals")?;
        let events = events.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                let _ = events.send(Event::Stop);
            }
        });
    }
    Ok(())
}

fn listen_to_links(events: &UnboundedSender<Event>) -> anyhow::Result<()> {
    let mut notices = LinkEvents::new().context("cannot listen to the kernel's notices of links")?;
    let events = events.clone();
    tokio::spawn(async move {
        loop {
            match notices.next().await {
                Ok(event) => {
                    if events.send(Event::Link(event)).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the kernel's notices of links have ended: restart mcr");
                    return;
                }
            }
        }
    });
    Ok(())
}
