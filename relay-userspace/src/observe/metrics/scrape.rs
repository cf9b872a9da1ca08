//! What is read once for all families: whose numbers there are, with their labels written out, and what the kernel
//! has to be asked for.

use super::Sources;
use super::exposition::labels;
use crate::control::desk::Desk;
use crate::control::view::{LaneView, SocketView, View};
use crate::events::Count;
use crate::link::traffic::{self, NET};
use crate::memory::frames::Census;
use crate::observe::documents::{by_relay, state};
use crate::observe::health::ready_checks;
use crate::observe::stream::{self, State};
use crate::xsk::levels::{Levels, levels};
use crate::xsk::options::{Statistics, statistics};
use relay_common::decide::Verdict;
use relay_common::facts::LinkCounts;
use relay_common::health::Check;
use relay_common::silence::Seen;
use relay_common::table::SlotRelay;
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

/// Everything that families read from.
pub(super) struct Scrape<'a> {
    pub(super) desk: &'a Desk,
    pub(super) view: &'a View,
    pub(super) sources: &'a Sources,
    pub(super) now: u64,
    pub(super) relays: Vec<RelayRow<'a>>,
    pub(super) lanes: Vec<LaneRow<'a>>,
    pub(super) sockets: Vec<SocketRow>,
    pub(super) links: Vec<LinkRow>,
    pub(super) verdicts: Vec<(Verdict, u64)>,
    pub(super) events: Vec<Count>,
    pub(super) checks: Vec<Check>,
}

impl<'a> Scrape<'a> {
    pub(super) fn new(desk: &'a Desk, view: &'a View, sources: &'a Sources, now: u64) -> Self {
        let pending = by_relay(view);
        let relay = |(slot, of): (u32, &'a SlotRelay)| RelayRow {
            labels: labels(&[("relay", &of.relay.name)]),
            slot,
            of,
            state: state(view, slot, of, &pending, now),
            seen: stream::seen(&view.lanes, slot),
            outputs: outputs(of),
        };
        let lane = |of: &'a std::sync::Arc<LaneView>| LaneRow {
            labels: labels(&[("lane", &of.number.to_string())]),
            of,
            census: of.census().ok(),
        };
        let sockets = view.lanes.iter().flat_map(|lane| lane.sockets.iter().map(move |socket| (lane, socket)));
        Self {
            desk,
            view,
            sources,
            now,
            relays: view.table.slots().map(relay).collect(),
            lanes: view.lanes.iter().map(lane).collect(),
            sockets: sockets.filter_map(|(lane, of)| socket(lane.number, of)).collect(),
            links: links(view),
            verdicts: (sources.verdicts)(),
            events: desk.events.counts(),
            checks: ready_checks(desk, view, now),
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

fn links(view: &View) -> Vec<LinkRow> {
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
