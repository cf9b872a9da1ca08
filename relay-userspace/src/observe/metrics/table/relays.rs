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
        &["relay", "input", "origin"],
        "What a relay takes in, and where it was written.",
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
    // Of each output.
    counter("mcr_output_packets", OUTPUT, "Packets that an output sent.", Read::OutputSum(output::PACKETS)),
    counter("mcr_output_bytes", OUTPUT, "Bytes that an output sent, as IP packets.", Read::OutputSum(output::BYTES)),
    counter("mcr_output_drops", OUTPUT_REASON, "Packets that an output did not send, by reason.", Read::OutputDrops),
    gauge("mcr_output_pending", OUTPUT, "1 while an output cannot work yet.", Read::Other(output_pending)),
];

fn relay_info(scrape: &Scrape<'_>, out: &mut Exposition) {
    for row in &scrape.relays {
        let name = &row.of.relay.name;
        let origin = scrape.view.origins.get(name).map_or("file", |origin| origin.name());
        let input = stream::input(&row.of.relay);
        out.sample(&labels(&[("relay", name), ("input", &input), ("origin", origin)]), Value::Count(1));
    }
}

fn output_pending(scrape: &Scrape<'_>, out: &mut Exposition) {
    for output in scrape.relays.iter().flat_map(|row| &row.outputs) {
        out.sample(&output.labels, output.pending.into());
    }
}
