//! Families of relays and their outputs.

use super::super::exposition::{Exposition, Value, labels};
use super::super::family::{Family, Read};
use super::super::scrape::Scrape;
use super::{counter, gauge, info};
use crate::observe::stream::{self, State};
use relay_common::counters::{output, relay};

const RELAY: &[&str] = &["relay"];
const RELAY_REASON: &[&str] = &["relay", "reason"];
const OUTPUT: &[&str] = &["relay", "output", "to"];
const OUTPUT_REASON: &[&str] = &["relay", "output", "to", "reason"];

pub(super) const FAMILIES: &[Family] = &[
    // Of each relay.
    info(
        "mcr_relay",
        &["relay", "input", "origin", "label_*"],
        "What a relay takes in, where it was written, and its labels: `group = \"news\"` is `label_group=\"news\"`.",
        Read::Other(relay_info),
    ),
    gauge(
        "mcr_relay_state",
        &["relay", "state"],
        "1 for the state that a relay is in.",
        Read::RelayBy(|row, tell| {
            State::ALL.iter().for_each(|state| tell(state.name(), (*state == row.state).into()));
        }),
    ),
    counter("mcr_relay_packets", RELAY, "Packets that came in for a relay.", Read::RelaySum(relay::PACKETS)),
    counter("mcr_relay_bytes", RELAY, "Bytes that came in for a relay, as IP packets.", Read::RelaySum(relay::BYTES)),
    counter(
        "mcr_relay_drops",
        RELAY_REASON,
        "Packets of a relay that went to none of its outputs, by reason.",
        Read::RelayDrops,
    ),
    gauge(
        "mcr_relay_last_packet_age_seconds",
        RELAY,
        "Time since the last packet of a relay came in; none before the first.",
        Read::Relay(|scrape, row| {
            (row.seen.packets > 0).then(|| Value::seconds(scrape.now.saturating_sub(row.seen.last)))
        }),
    ),
    counter(
        "mcr_relay_interruptions",
        RELAY,
        "Pauses of a relay's input that were longer than its silence_after.",
        Read::RelaySum(relay::INTERRUPTIONS),
    ),
    gauge(
        "mcr_relay_jitter_seconds",
        RELAY,
        "Smoothed variation of the time between a relay's packets (RFC 3550).",
        Read::RelayMostSeconds(relay::JITTER),
    ),
    gauge(
        "mcr_relay_longest_gap_seconds",
        RELAY,
        "The longest time between two packets of a relay.",
        Read::RelayMostSeconds(relay::LONGEST_GAP),
    ),
    counter(
        "mcr_relay_rtp_packets",
        RELAY,
        "Packets of a relay's input that were RTP.",
        Read::RelaySum(relay::RTP_PACKETS),
    ),
    counter(
        "mcr_relay_rtp_lost_packets",
        RELAY,
        "RTP packets that were missing when a relay's input came: lost before this node.",
        Read::RelaySum(relay::RTP_LOST),
    ),
    counter(
        "mcr_relay_rtp_duplicate_packets",
        RELAY,
        "RTP packets that came twice.",
        Read::RelaySum(relay::RTP_DUPLICATES),
    ),
    counter(
        "mcr_relay_rtp_reordered_packets",
        RELAY,
        "RTP packets that were overtaken.",
        Read::RelaySum(relay::RTP_REORDERED),
    ),
    counter(
        "mcr_relay_rtp_restarts",
        RELAY,
        "How often a relay's RTP began anew.",
        Read::RelaySum(relay::RTP_RESTARTS),
    ),
    counter("mcr_relay_ts_packets", RELAY, "MPEG-TS packets of a relay's input.", Read::RelaySum(relay::TS_PACKETS)),
    counter(
        "mcr_relay_ts_continuity_errors",
        RELAY,
        "MPEG-TS continuity errors of a relay's input: it was broken before this node.",
        Read::RelaySum(relay::TS_ERRORS),
    ),
    counter(
        "mcr_relay_checksums_completed",
        RELAY,
        "Packets of a relay whose sender had left the UDP checksum to hardware: it was finished, once for all outputs.",
        Read::RelaySum(relay::CHECKSUMS_COMPLETED),
    ),
    // Of each output.
    counter("mcr_output_packets", OUTPUT, "Packets that an output sent.", Read::OutputSum(output::PACKETS)),
    counter("mcr_output_bytes", OUTPUT, "Bytes that an output sent, as IP packets.", Read::OutputSum(output::BYTES)),
    counter("mcr_output_drops", OUTPUT_REASON, "Packets that an output did not send, by reason.", Read::OutputDrops),
    gauge("mcr_output_pending", OUTPUT, "1 while an output cannot work yet.", Read::Other(output_pending)),
];

fn relay_info(scrape: &Scrape<'_>, out: &mut Exposition<'_>) {
    for row in scrape.relays.iter() {
        let name = &row.of.relay.name;
        let origin = scrape.view.origins.get(name).map_or("file", |origin| origin.name());
        let input = stream::input(&row.of.relay);
        // None of ours, and none that Prometheus adds, begins like this.
        let of_people: Vec<_> =
            row.of.relay.labels.iter().map(|(key, value)| (format!("label_{key}"), value)).collect();
        let mut pairs = vec![("relay", name.as_str()), ("input", &input), ("origin", origin)];
        pairs.extend(of_people.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        out.sample(&labels(&pairs), Value::Count(1));
    }
}

fn output_pending(scrape: &Scrape<'_>, out: &mut Exposition<'_>) {
    for output in scrape.relays.iter().flat_map(|row| &row.outputs) {
        out.sample(&output.labels, output.pending.into());
    }
}
