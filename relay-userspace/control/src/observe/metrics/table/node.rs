//! Families of the XDP program, of control and of the API.

use super::super::exposition::{Exposition, Value, labels};
use super::super::family::{Family, Read, Tell};
use super::super::scrape::Scrape;
use super::{counter, gauge, histogram, info};
use crate::events::{Kind, logging};
use crate::observe::documents::{SHADOWED, count_states};
use crate::previous;
use crate::turns::Turn;
use relay_common::health::Verdict;
use relay_common::table::PendingReason;
use std::sync::atomic::Ordering::Relaxed;

pub(super) const FAMILIES: &[Family] = &[
    // Of the XDP program.
    counter(
        "mcr_xdp_frames",
        &["verdict"],
        "Frames by what the XDP program decided.",
        Read::NodeBy(|scrape, tell| {
            scrape.verdicts.iter().for_each(|(verdict, n)| tell(verdict.name(), Value::Count(*n)));
        }),
    ),
    // Of control.
    info(
        "mcr_build",
        &["version"],
        "The version of mcr.",
        Read::Other(|_, out| {
            out.sample(&labels(&[("version", env!("CARGO_PKG_VERSION"))]), Value::Count(1));
        }),
    ),
    gauge(
        "mcr_uptime_seconds",
        &[],
        "Time since control started.",
        Read::Node(|scrape| Value::seconds(scrape.now.saturating_sub(scrape.desk.started))),
    ),
    gauge("mcr_healthy", &[], "1 while /healthz is 200.", Read::Node(|scrape| scrape.health.judgement.is_ok.into())),
    gauge("mcr_ready", &[], "1 while /readyz is 200.", Read::Node(|scrape| scrape.ready.judgement.is_ok.into())),
    gauge(
        "mcr_health_verdict",
        &["verdict"],
        "1 while a check fails that gives this verdict: `fault` (packets cannot be carried), `drift` (they can, but what \
         was asked of the node is not in force or not kept), `partial` (a part waits).",
        Read::NodeBy(|scrape, tell| {
            let gives = |verdict: &Verdict| scrape.ready.judgement.gives(*verdict).into();
            Verdict::ALL.iter().for_each(|verdict| tell(verdict.name(), gives(verdict)));
        }),
    ),
    gauge(
        "mcr_health_check",
        &["check", "verdict"],
        "1 for a check that is passed; `verdict` is what it gives when it fails.",
        Read::Other(|scrape, out| {
            for check in &scrape.ready.judgement.checks {
                let verdict = check.verdict.map_or("", Verdict::name);
                out.sample(&labels(&[("check", &check.name), ("verdict", verdict)]), check.is_ok().into());
            }
        }),
    ),
    gauge(
        "mcr_working_ratio",
        &["of"],
        "How much works, from 0 to 1: of the enabled `relays` (each as much as it has outputs that can send), of the \
         `links` that they use.",
        Read::NodeBy(|scrape, tell| {
            for (of, sum) in [("relays", scrape.ready.relays), ("links", scrape.ready.links)] {
                tell(of, Value::Real(sum.share.ratio()));
            }
        }),
    ),
    gauge(
        "mcr_control_turn_age_seconds",
        &[],
        "Time since control's loop last came round.",
        Read::Node(|scrape| Value::seconds(scrape.now.saturating_sub(scrape.desk.pulse.turned.load(Relaxed)))),
    ),
    gauge(
        "mcr_control_longest_turn_seconds",
        &["time"],
        "The longest turn of control's loop in the last five to ten minutes: in processor time of its thread, by the wall's clock, which is longer where others have the processor, and how long one has waited in calls. It hears nothing for so long.",
        Read::NodeBy(|scrape, tell| {
            let Turn { processor, wall, waited } = scrape.desk.pulse.turns.longest(scrape.now);
            tell("processor", Value::seconds(processor));
            tell("wall", Value::seconds(wall));
            tell("waited", Value::seconds(waited));
        }),
    ),
    gauge(
        "mcr_relays",
        &["state"],
        "Relays by state.",
        Read::NodeBy(|scrape, tell| {
            let counts = count_states(scrape.relays.iter().map(|row| row.state));
            counts.iter().for_each(|(state, n)| tell(state.name(), Value::Count(*n)));
            tell(SHADOWED, Value::Count(scrape.view.shadowed.len() as u64));
        }),
    ),
    gauge(
        "mcr_pending_parts",
        &["reason"],
        "Inputs and outputs that cannot work yet, by reason.",
        Read::NodeBy(pending),
    ),
    gauge(
        "mcr_joined_groups",
        &[],
        "Groups that this node has joined, counted on each link.",
        Read::Node(|scrape| Value::Count(scrape.view.joined.len() as u64)),
    ),
    gauge(
        "mcr_config_generation",
        &[],
        "The generation of the table in force.",
        Read::Node(|scrape| Value::Count(scrape.view.table.generation)),
    ),
    gauge(
        "mcr_config_in_force",
        &[],
        "1 while the configuration file as it is now is in force.",
        Read::Node(|scrape| scrape.view.config.not_in_force().is_none().into()),
    ),
    gauge(
        "mcr_config_on_trial",
        &[],
        "1 while what is in force is given up unless it is confirmed.",
        Read::Node(|scrape| scrape.view.config.trial.is_some().into()),
    ),
    gauge(
        "mcr_config_trial_left_seconds",
        &[],
        "Time until what is on trial is given up; 0 where nothing is.",
        Read::Node(|scrape| {
            let left_ms = scrape.view.config.trial.as_ref().and_then(previous::left).unwrap_or(0);
            Value::seconds(left_ms.saturating_mul(1_000_000))
        }),
    ),
    gauge(
        "mcr_state_kept",
        &[],
        "1 while the state file has what is in force; 0 after a change that was made though it could not be kept.",
        Read::Node(|scrape| scrape.view.config.unkept.is_none().into()),
    ),
    gauge(
        "mcr_state_writable",
        &[],
        "1 while the state file could be written, as far as that was tried.",
        Read::Node(|scrape| scrape.view.config.unwritable.is_none().into()),
    ),
    counter(
        "mcr_config_reads",
        &[],
        "How often the configuration file was taken.",
        Read::Node(|scrape| Value::Count(scrape.view.config.taken)),
    ),
    counter(
        "mcr_config_errors",
        &[],
        "How often the configuration file was refused.",
        Read::Node(|scrape| Value::Count(scrape.view.config.refusals)),
    ),
    gauge(
        "mcr_config_apply_seconds",
        &[],
        "How long the last change took to be in force.",
        Read::Node(|scrape| Value::seconds(scrape.view.config.last_apply_ns)),
    ),
    histogram(
        "mcr_config_apply_duration_seconds",
        "How long changes took to be in force, confirmed by every lane.",
        Read::Other(|scrape, out| {
            let (buckets, beyond, sum) = scrape.desk.pulse.applied.read();
            out.histogram("", buckets, beyond, Some(sum));
        }),
    ),
    counter(
        "mcr_log_dropped",
        &[],
        "Lines that are missing in the log because they came too fast or nobody read them, those that lanes wrote among them.",
        Read::Node(|_| Value::Count(logging::dropped())),
    ),
    counter(
        "mcr_events",
        &["event"],
        "Events that were told, by kind.",
        Read::NodeBy(|scrape, tell| {
            Kind::ALL
                .iter()
                .zip(scrape.events.iter())
                .for_each(|(kind, count)| tell(kind.name(), Value::Count(count.said)));
        }),
    ),
    counter(
        "mcr_events_held_back",
        &["event"],
        "Events that were left out because others followed too fast, by kind.",
        Read::NodeBy(|scrape, tell| {
            Kind::ALL
                .iter()
                .zip(scrape.events.iter())
                .for_each(|(kind, count)| tell(kind.name(), Value::Count(count.held_back)));
        }),
    ),
    counter(
        "mcr_http_requests",
        &["method", "class"],
        "Requests to the API, by method and class of answer.",
        Read::Other(|scrape, out| {
            for (method, class, n) in scrape.sources.requests.counts() {
                out.sample(&labels(&[("method", method), ("class", class)]), Value::Count(n));
            }
        }),
    ),
    counter(
        "mcr_http_turned_away",
        &["reason"],
        "Whom the API did not serve: a wrong token, no room for another client, a silent client that made room for another, a reader that was too slow.",
        Read::NodeBy(|scrape, tell| {
            scrape.sources.requests.refused().iter().for_each(|(reason, n)| tell(reason, Value::Count(*n)));
        }),
    ),
    gauge(
        "mcr_http_certificate_expiry_timestamp_seconds",
        &[],
        "When the certificate of the API ends, or the first of those above it, in seconds since 1970. Not there without TLS.",
        Read::Other(|scrape, out| {
            let expires = scrape.desk.http.certificate.load_full().and_then(|certificate| certificate.expires());
            sample(out, expires.map(|ms| Value::Count(ms / 1000)));
        }),
    ),
    // Of control's process, by the names that every exporter has for it.
    counter(
        "process_cpu_seconds",
        &[],
        "User and system time that control's process has taken.",
        Read::Other(|scrape, out| sample(out, scrape.process.cpu_seconds.map(Value::Real))),
    ),
    gauge(
        "process_resident_memory_bytes",
        &[],
        "Memory that control's process has in RAM.",
        Read::Other(|scrape, out| sample(out, scrape.process.resident_bytes.map(Value::Count))),
    ),
    gauge(
        "process_virtual_memory_bytes",
        &[],
        "Addresses that control's process has in use.",
        Read::Other(|scrape, out| sample(out, scrape.process.virtual_bytes.map(Value::Count))),
    ),
    gauge(
        "process_open_fds",
        &[],
        "Descriptors that control's process has open.",
        Read::Other(|scrape, out| sample(out, scrape.process.open_files.map(Value::Count))),
    ),
    gauge(
        "process_max_fds",
        &[],
        "Descriptors that control's process may have open.",
        Read::Other(|scrape, out| sample(out, scrape.process.most_files.map(Value::Count))),
    ),
    gauge(
        "process_start_time_seconds",
        &[],
        "When control's process started, in seconds since 1970. An upgrade does not change it: see mcr_uptime_seconds.",
        Read::Other(|scrape, out| sample(out, scrape.process.started.map(Value::Real))),
    ),
];

/// A sample, if there is one.
fn sample(out: &mut Exposition<'_>, value: Option<Value>) {
    if let Some(value) = value {
        out.sample("", value);
    }
}

fn pending(scrape: &Scrape<'_>, tell: &mut Tell<'_>) {
    let mut counts: Vec<(&str, u64)> = PendingReason::NAMES.iter().map(|name| (*name, 0)).collect();
    for pending in scrape.view.pending.iter() {
        let name = pending.reason.name();
        match counts.iter_mut().find(|(of, _)| *of == name) {
            Some((_, n)) => *n += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.iter().for_each(|(name, n)| tell(name, Value::Count(*n)));
}
