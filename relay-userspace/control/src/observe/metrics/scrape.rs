//! What is read once for all families: whose numbers there are, with their labels written out, and what the kernel
//! has to be asked for.

use super::Sources;
use super::exposition::labels;
use super::process::Process;
use crate::desk::Desk;
use crate::events::Count;
use crate::link::traffic::{self, NET};
use crate::observe::documents::{by_relay, state};
use crate::observe::health::{Said, of_node};
use crate::observe::stream::{self, State};
use crate::view::{LaneView, SocketView, View};
use relay_common::decide::Verdict;
use relay_common::facts::LinkCounts;
use relay_common::silence::Seen;
use relay_common::table::SlotRelay;
use relay_engine::memory::frames::Census;
use relay_engine::xsk::levels::{Levels, levels};
use relay_engine::xsk::options::{Statistics, statistics};
use std::cell::LazyCell;
use std::os::fd::AsFd as _;
use std::path::Path;

/// A relay.
pub(super) struct RelayRow<'a> {
    pub(super) labels: String,
    pub(super) slot: u32,
    pub(super) of: &'a SlotRelay,
    pub(super) state: State,
    pub(super) seen: Seen,
    pub(super) outputs: Vec<OutputRow>,
}

/// An output of a relay.
pub(super) struct OutputRow {
    pub(super) labels: String,
    pub(super) counter: u32,
    pub(super) pending: bool,
}

/// A lane.
pub(super) struct LaneRow<'a> {
    pub(super) labels: String,
    pub(super) of: &'a LaneView,
    /// Whose its frames are, when that can be read.
    pub(super) census: Option<Census>,
}

/// A socket, with what the kernel says of it.
pub(super) struct SocketRow {
    pub(super) labels: String,
    pub(super) zero_copy: bool,
    pub(super) statistics: Statistics,
    pub(super) levels: Levels,
}

/// A link that relays take in from or send to.
pub(super) struct LinkRow {
    pub(super) name: String,
    pub(super) up: bool,
    /// What the kernel counts of it, when that can be read.
    pub(super) counts: Option<LinkCounts>,
}

/// Something that is read when a family first asks for it: who chooses few families pays for few.
pub(super) type Lazy<'a, T> = LazyCell<T, Box<dyn FnOnce() -> T + 'a>>;

fn lazy<'a, T>(read: impl FnOnce() -> T + 'a) -> Lazy<'a, T> {
    LazyCell::new(Box::new(read))
}

/// Everything that families read from.
pub(super) struct Scrape<'a> {
    pub(super) desk: &'a Desk,
    pub(super) view: &'a View,
    pub(super) sources: &'a Sources,
    pub(super) now: u64,
    pub(super) relays: Lazy<'a, Vec<RelayRow<'a>>>,
    pub(super) lanes: Lazy<'a, Vec<LaneRow<'a>>>,
    pub(super) sockets: Lazy<'a, Vec<SocketRow>>,
    pub(super) links: Lazy<'a, Vec<LinkRow>>,
    pub(super) verdicts: Lazy<'a, Vec<(Verdict, u64)>>,
    pub(super) events: Lazy<'a, Vec<Count>>,
    /// What `/healthz` says, and what `/readyz` does.
    pub(super) health: Lazy<'a, Said>,
    pub(super) ready: Lazy<'a, Said>,
    pub(super) process: Lazy<'a, Process>,
}

impl<'a> Scrape<'a> {
    pub(super) fn new(desk: &'a Desk, view: &'a View, sources: &'a Sources, now: u64) -> Self {
        let lane = |of: &'a std::sync::Arc<LaneView>| LaneRow {
            labels: labels(&[("lane", &of.number.to_string())]),
            of,
            census: of.census().ok(),
        };
        Self {
            desk,
            view,
            sources,
            now,
            relays: lazy(move || relays(view, now)),
            lanes: lazy(move || view.lanes.iter().map(lane).collect()),
            sockets: lazy(move || {
                let all = view.lanes.iter().flat_map(|lane| lane.sockets.iter().map(move |socket| (lane, socket)));
                all.filter_map(|(lane, of)| socket(lane.number, of)).collect()
            }),
            links: lazy(move || links(view)),
            verdicts: lazy(move || (sources.verdicts)()),
            events: lazy(move || desk.events.counts()),
            health: lazy(move || of_node(desk, view, false, now)),
            ready: lazy(move || of_node(desk, view, true, now)),
            process: lazy(Process::own),
        }
    }

    /// A word of a relay's line, added over the lanes.
    pub(super) fn relay_sum(&self, slot: u32, place: usize) -> u64 {
        self.lanes.iter().map(|lane| lane.of.counters.get_relay(slot, place)).sum()
    }

    /// A word of an output's line, added over the lanes.
    pub(super) fn output_sum(&self, counter: u32, place: usize) -> u64 {
        self.lanes.iter().map(|lane| lane.of.counters.get_output(counter, place)).sum()
    }
}

fn relays(view: &View, now: u64) -> Vec<RelayRow<'_>> {
    let pending = by_relay(view);
    let mut rows = Vec::new();
    for (slot, of) in view.table.slots() {
        rows.push(RelayRow {
            labels: labels(&[("relay", &of.relay.name)]),
            slot,
            of,
            state: state(view, slot, of, &pending, now),
            seen: stream::seen(&view.lanes, slot),
            outputs: outputs(of),
        });
    }
    rows
}

pub(super) fn links(view: &View) -> Vec<LinkRow> {
    let counts = traffic::read(Path::new(NET)).unwrap_or_default();
    let row = |name: &str| LinkRow {
        up: view.facts.link(name).is_some_and(|link| link.up && link.carrier),
        counts: counts.get(name).copied(),
        name: name.to_owned(),
    };
    view.plan.links_in_use().into_iter().map(row).collect()
}

fn outputs(relay: &SlotRelay) -> Vec<OutputRow> {
    let wanted = relay.relay.outputs.iter().zip(&relay.outputs).enumerate();
    wanted
        .map(|(i, (wanted, built))| OutputRow {
            // Two outputs may lead to one place, with different headers: the number tells them apart.
            labels: labels(&[
                ("relay", &relay.relay.name),
                ("output", &i.to_string()),
                ("to", &stream::output(wanted)),
            ]),
            counter: built.counter,
            pending: built.pending.is_some(),
        })
        .collect()
}

/// A socket that the kernel does not answer for is gone: control will tell.
fn socket(lane: u32, of: &SocketView) -> Option<SocketRow> {
    let bound = of.bound()?;
    let fd = bound.fd.as_fd();
    Some(SocketRow {
        labels: labels(&[("lane", &lane.to_string()), ("link", &of.link), ("queue", &of.queue.to_string())]),
        zero_copy: of.zero_copy,
        statistics: statistics(fd).ok()?,
        levels: levels(fd, of.receives, of.has_transmit_ring).ok()?,
    })
}
