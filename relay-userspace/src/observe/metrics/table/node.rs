//! Families of the XDP program, of control and of the API.

use super::super::exposition::{Exposition, Value, labels};
use super::super::family::{Family, Read, Tell};
use super::super::scrape::Scrape;
use super::{counter, gauge, histogram, info};
use crate::events::{Kind, logging};
use crate::observe::documents::count_states;
use relay_common::health::{Check, READY_CHECKS};
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
    gauge(
        "mcr_healthy",
        &[],
        "1 while /healthz is 200.",
        Read::Node(|scrape| scrape.is_ok(|name| !READY_CHECKS.contains(&name))),
    ),
    gauge("mcr_ready", &[], "1 while /readyz is 200.", Read::Node(|scrape| scrape.is_ok(|_| true))),
    gauge(
        "mcr_health_check",
        &["check"],
        "1 for a check of health or readiness that is passed.",
        Read::NodeBy(|scrape, tell| {
            scrape.checks.iter().for_each(|check| tell(&check.name, check.is_ok().into()));
        }),
    ),
    gauge(
        "mcr_control_turn_age_seconds",
        &[],
        "Time since control's loop last came round.",
        Read::Node(|scrape| Value::seconds(scrape.now.saturating_sub(scrape.desk.pulse.turned.load(Relaxed)))),
    ),
    gauge(
        "mcr_relays",
        &["state"],
        "Relays by state.",
        Read::NodeBy(|scrape, tell| {
            let counts = count_states(scrape.relays.iter().map(|row| row.state));
            counts.iter().for_each(|(state, n)| tell(state.name(), Value::Count(*n)));
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
        Read::Node(|scrape| {
            let config = &scrape.view.config;
            (config.refused.is_none() && config.trouble().is_none()).into()
        }),
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

impl Scrape<'_> {
    /// Whether all checks of such a name are passed.
    fn is_ok(&self, counts: impl Fn(&str) -> bool) -> Value {
        self.checks.iter().filter(|check| counts(&check.name)).all(Check::is_ok).into()
    }
}

fn pending(scrape: &Scrape<'_>, tell: &mut Tell<'_>) {
    let mut counts: Vec<(&str, u64)> = PendingReason::NAMES.iter().map(|name| (*name, 0)).collect();
    for pending in &scrape.view.pending {
        let name = pending.reason.name();
        match counts.iter_mut().find(|(of, _)| *of == name) {
            Some((_, n)) => *n += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.iter().for_each(|(name, n)| tell(name, Value::Count(*n)));
}
