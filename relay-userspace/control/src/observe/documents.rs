//! The node as the API shows it, in the types that go over the wire.

use super::access;
use super::health::{of_node, unwritable};
use super::rates::{Rate, Rates};
use super::round_trip;
use super::stream::{self, State};
use super::warnings::{warnings, warnings_of};
use crate::desk::Desk;
use crate::differs::Differs;
use crate::events::rfc3339;
use crate::link::traffic::{self, NET};
use crate::previous;
use crate::progress::Doing;
use crate::rights;
use crate::tag;
use crate::view::{LaneView, Origin, Unkept, Unnoted, View};
use relay_common::counters::{LaneCounter, output, relay as place};
use relay_common::drops::Drop;
use relay_common::facts::{Link, LinkCounts};
use relay_common::plan::Relay;
use relay_common::table::{Pending, SlotRelay};
use relay_common::trial::Trial;
use relay_config::model;
use relay_config::{ConfigError, relay_to_json};
use relay_engine::clock::unix_ms;
use relay_engine::memory::counters::Counters;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What cannot work yet, by relays.
type ByRelay<'a> = BTreeMap<&'a str, Vec<&'a Pending>>;

/// A node at a glance.
#[must_use]
pub fn status(desk: &Desk, now: u64) -> model::Status {
    let view = desk.view();
    let [health, ready] = [false, true].map(|ready| of_node(desk, &view, ready, now).document());
    let config = &view.config;
    let error = config.error().map(|error| match config.retry {
        Some(retry) => format!("{error}; tried again in {} s", retry.at.saturating_sub(now).div_ceil(1_000_000_000)),
        None => error,
    });
    model::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: now.saturating_sub(desk.started) as f64 / 1e9,
        started_ns: desk.started,
        role: "standalone".to_owned(),
        generation: view.table.generation,
        health,
        ready,
        http: access::document(&desk.http, unix_ms()),
        config: model::Config {
            file: config.path.display().to_string(),
            in_force: config.not_in_force().is_none(),
            error,
            differs: config.differs.as_deref().map(differs),
            not_in_effect: config.not_in_effect(),
            on_trial: config.trial.as_ref().map(on_trial),
            last_good: config.last_good.clone(),
        },
        not_kept: config.unkept.as_ref().map(not_kept),
        doing: desk.pulse.progress.doing(now).map(doing),
        longest_turn_s: desk.pulse.turns.longest(now).processor as f64 / 1e9,
        went_back: desk.handover.went_back(),
        relays: states(&view, now),
        pending: view.pending.iter().map(pending).collect(),
        lanes: view.lanes.iter().map(|of| lane(of, now)).collect(),
        user: view.user.clone(),
        rights: rights::held(),
        warnings: warnings_of_node(desk, &view),
    }
}

fn not_kept(Unkept { file, since_ms, problem }: &Unkept) -> model::NotKept {
    model::NotKept { file: file.display().to_string(), since: rfc3339(*since_ms), problem: problem.clone() }
}

fn on_trial(trial: &Trial) -> model::OnTrial {
    let seconds_left = previous::left(trial).unwrap_or(0).div_ceil(1000);
    model::OnTrial { until: previous::until(trial), seconds_left }
}

fn differs(differs: &Differs) -> model::Differs {
    let Differs { relays, keys, .. } = differs;
    let [added, changed, removed] = [&relays.added, &relays.changed, &relays.removed].map(|names| names.len() as u64);
    model::Differs { text: differs.to_string(), added, changed, removed, keys: keys.clone() }
}

/// What somebody should look at before it hurts.
fn warnings_of_node(desk: &Desk, view: &View) -> Vec<String> {
    let events = desk.events.trouble().into_iter().collect();
    let not_in_effect = view.config.not_in_effect().iter().map(model::ChangedKey::told).collect();
    let unwritable = unwritable(view).into_iter().chain(view.config.unnoted.as_ref().map(Unnoted::told)).collect();
    let went_back = desk.handover.went_back().map(|why| {
        format!("the newer mcr of the last upgrade failed in its place ({why}); this one came back and is in charge")
    });
    let went_back = went_back.into_iter().collect();
    [view.warnings.clone(), access::warnings(&desk.http, unix_ms()), not_in_effect, unwritable, went_back, events]
        .concat()
}

/// What control is at.
fn doing(Doing { change, job, job_age, step, .. }: Doing) -> model::Doing {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let step = step.map(|step| model::Progress {
        what: step.what,
        done: step.done,
        total: step.total,
        since_s: seconds(step.age),
    });
    model::Doing { what: job, change, since_s: seconds(job_age), step }
}
/// The state of relays of the API that do not run beside those of the configuration file.
pub(super) const SHADOWED: &str = "shadowed";

/// How many relays there are in each state.
fn states(view: &View, now: u64) -> BTreeMap<String, u64> {
    let by_relay = by_relay(view);
    let counts = count_states(view.table.slots().map(|(slot, relay)| state(view, slot, relay, &by_relay, now)));
    let counts = counts.into_iter().map(|(state, n)| (state.name(), n));
    counts.chain([(SHADOWED, view.shadowed.len() as u64)]).map(|(state, n)| (state.to_owned(), n)).collect()
}

/// How many there are of each state.
pub(super) fn count_states(states: impl Iterator<Item = State>) -> Vec<(State, u64)> {
    let mut counts = State::ALL.map(|state| (state, 0)).to_vec();
    for state in states {
        counts.iter_mut().filter(|(of, _)| *of == state).for_each(|(_, n)| *n += 1);
    }
    counts
}

pub(super) fn by_relay(view: &View) -> ByRelay<'_> {
    let mut by_relay = ByRelay::new();
    for pending in view.pending.iter() {
        by_relay.entry(pending.relay.as_str()).or_default().push(pending);
    }
    by_relay
}

pub(super) fn state(view: &View, slot: u32, relay: &SlotRelay, by_relay: &ByRelay<'_>, now: u64) -> State {
    let pending = by_relay.get(relay.relay.name.as_str()).into_iter().flatten().copied();
    State::of(relay, stream::seen(&view.lanes, slot), pending, now)
}

/// All relays, by name, and the tag of those that came through the API.
#[must_use]
pub fn relays(desk: &Desk, rates: &Rates, now: u64) -> model::Relays {
    let view = desk.view();
    let by_relay = by_relay(&view);
    let mut warnings = warnings(&view.plan.relays);
    let mut relays: Vec<model::Relay> = view
        .table
        .slots()
        .map(|of| {
            let mut warnings = warnings.remove(of.1.relay.name.as_str()).unwrap_or_default();
            warnings.extend(comes_round(&view, of, now));
            document_of(&view, of, (&by_relay, warnings), rates, now)
        })
        .chain(view.shadowed.iter().map(|(relay, why)| shadowed(relay, why)))
        .collect();
    let name = |relay: &model::Relay| relay.definition.get("name").and_then(Value::as_str).map(str::to_owned);
    relays.sort_by_cached_key(name);
    let of_api = relays.iter().filter(|relay| relay.origin == Origin::Api.name());
    model::Relays { tag: tag::of_tags(of_api.map(|relay| relay.tag.clone()).collect()), relays }
}

/// The relay of that name.
#[must_use]
pub fn relay(desk: &Desk, rates: &Rates, name: &str, now: u64) -> Option<model::Relay> {
    let view = desk.view();
    let Some(of) = view.table.relay(name) else {
        return view.shadowed.iter().find(|(relay, _)| relay.name == name).map(|(relay, why)| shadowed(relay, why));
    };
    let mut warnings = warnings_of(&view.plan.relays, name);
    warnings.extend(comes_round(&view, of, now));
    Some(document_of(&view, of, (&by_relay(&view), warnings), rates, now))
}

/// A relay of the API that does not run.
fn shadowed(relay: &Relay, why: &ConfigError) -> model::Relay {
    let definition = relay_to_json(relay);
    let tag = tag::of_definition(&definition);
    let Value::Object(definition) = definition else { unreachable!("a relay is an object") };
    let nothing = |at| model::Traffic { at, ..model::Traffic::default() };
    model::Relay {
        definition,
        origin: Origin::Api.name().to_owned(),
        tag,
        status: model::RelayStatus {
            state: SHADOWED.to_owned(),
            pending: Vec::new(),
            warnings: vec![format!("it does not run beside the configuration file: {why}")],
            input: nothing(stream::input(relay)),
            outputs: relay.outputs.iter().map(|output| nothing(stream::output(output))).collect(),
        },
    }
}

fn comes_round(view: &View, (slot, built): (u32, &SlotRelay), now: u64) -> Option<String> {
    round_trip::found(&view.lanes, slot, now).map(|found| round_trip::text(&built.relay, found))
}

fn document_of(
    view: &View,
    (slot, built): (u32, &SlotRelay),
    (by_relay, warnings): (&ByRelay<'_>, Vec<String>),
    rates: &Rates,
    now: u64,
) -> model::Relay {
    let relay = &built.relay;
    let definition = relay_to_json(relay);
    let tag = tag::of_definition(&definition);
    let Value::Object(definition) = definition else { unreachable!("a relay is an object") };
    let pending_of = by_relay.get(relay.name.as_str()).into_iter().flatten();
    let origin = view.origins.get(&relay.name).unwrap_or(Origin::File);
    model::Relay {
        definition,
        origin: origin.name().to_owned(),
        tag,
        status: model::RelayStatus {
            state: state(view, slot, built, by_relay, now).name().to_owned(),
            pending: pending_of.map(|of| pending(of)).collect(),
            warnings,
            input: input(view, slot, relay, rates, now),
            outputs: outputs(view, built, rates),
        },
    }
}

fn sum(lanes: &[Arc<LaneView>], read: impl Fn(&Counters) -> u64) -> u64 {
    lanes.iter().map(|lane| read(&lane.counters)).sum()
}

fn input(view: &View, slot: u32, relay: &Relay, rates: &Rates, now: u64) -> model::Traffic {
    let seen = stream::seen(&view.lanes, slot);
    let Rate { pps, bps } = rates.relay(slot);
    let age = now.saturating_sub(seen.last) as f64 / 1e9;
    model::Traffic {
        at: stream::input(relay),
        packets: seen.packets,
        bytes: sum(&view.lanes, |lane| lane.get_relay(slot, place::BYTES)),
        pps,
        bps,
        last_packet_age_s: (seen.packets > 0).then_some(age),
        drops: named(&Drop::ALL, |reason| {
            sum(&view.lanes, |lane| lane.get_relay(slot, place::DROPS + reason as usize))
        }),
    }
}

fn outputs(view: &View, built: &SlotRelay, rates: &Rates) -> Vec<model::Traffic> {
    let one = |(wanted, counter): (&relay_common::plan::Output, u32)| {
        let read = |place: usize| sum(&view.lanes, |lane| lane.get_output(counter, place));
        let Rate { pps, bps } = rates.output(counter);
        model::Traffic {
            at: stream::output(wanted),
            packets: read(output::PACKETS),
            bytes: read(output::BYTES),
            pps,
            bps,
            last_packet_age_s: None,
            drops: named(&output::REASONS, |reason| read(output::place(reason))),
        }
    };
    let counters = built.outputs.iter().map(|output| output.counter);
    built.relay.outputs.iter().zip(counters).map(one).collect()
}

/// Reasons with what was counted of them; those that never occurred are left out.
fn named(reasons: &[Drop], read: impl Fn(Drop) -> u64) -> BTreeMap<String, u64> {
    let all = reasons.iter().map(|reason| (reason.name().to_owned(), read(*reason)));
    all.filter(|(_, n)| *n > 0).collect()
}

/// Something that cannot work yet, as it goes over the wire.
#[must_use]
pub fn pending(pending: &Pending) -> model::Pending {
    let Pending { relay, part, reason } = pending;
    model::Pending {
        relay: relay.clone(),
        part: part.to_string(),
        reason: reason.name().to_owned(),
        text: reason.to_string(),
    }
}

fn lane(lane: &Arc<LaneView>, now: u64) -> model::Lane {
    let heartbeat = lane.counters.get(LaneCounter::Heartbeat);
    model::Lane {
        number: lane.number,
        core: lane.core,
        pid: lane.pid,
        user: lane.user.clone(),
        heartbeat_age_ms: now.saturating_sub(heartbeat) / 1_000_000,
        generation: lane.counters.get(LaneCounter::Generation),
        restarts: lane.restarts,
        frames: lane.n_frames.into(),
        // The lane tells only when it sleeps; the owner words tell always.
        free_frames: lane.census().map_or_else(|_| lane.counters.get(LaneCounter::Free), |census| census.free),
        sockets: lane
            .sockets
            .iter()
            .map(|socket| model::Socket {
                link: socket.link.clone(),
                queue: socket.queue,
                receives: socket.receives,
                sends: socket.sends,
                mode: if socket.zero_copy { "zero-copy" } else { "copy" }.to_owned(),
            })
            .collect(),
    }
}

/// The links of this node, as control last read them, and what is made of each; loopback is left out.
#[must_use]
pub fn links(desk: &Desk) -> Vec<model::Link> {
    let view = desk.view();
    let counts = traffic::read(Path::new(NET)).unwrap_or_default();
    let links = view.facts.links.iter().filter(|link| link.name != "lo");
    links.map(|of| link(&view, of, counts.get(&of.name))).collect()
}

fn link(view: &View, link: &Link, counts: Option<&LinkCounts>) -> model::Link {
    let sockets = || {
        let all = view.lanes.iter().flat_map(|lane| &lane.sockets);
        all.filter(|socket| socket.ifindex == link.ifindex && socket.link == link.name)
    };
    let state = match (link.up, link.carrier) {
        (true, true) => "up",
        (true, false) => "no carrier",
        (false, _) => "down",
    };
    let v4 = link.v4.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
    let v6 = link.v6.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
    model::Link {
        name: link.name.clone(),
        ifindex: link.ifindex,
        state: state.to_owned(),
        mac: link.mac.map(|byte| format!("{byte:02x}")).join(":"),
        mtu: link.mtu,
        addresses: v4.chain(v6).collect(),
        rx_queues: link.n_rx_queues,
        tx_queues: link.n_tx_queues,
        input: view.place.input(&link.name).is_some(),
        output: view.place.output(&link.name).is_some(),
        program: view.attached.iter().find(|at| at.ifindex == link.ifindex).map(|at| at.hook.name().to_owned()),
        zero_copy: (sockets().count() > 0).then(|| sockets().all(|socket| socket.zero_copy)),
        groups: view.joined.iter().filter(|held| held.ifindex == link.ifindex).count() as u64,
        losses: counts.iter().flat_map(|of| of.losses()).map(|(name, n)| (name.to_owned(), n)).collect(),
    }
}

#[cfg(test)]
mod tests;
