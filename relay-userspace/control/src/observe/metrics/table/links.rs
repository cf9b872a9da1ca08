//! Families of the links in use: what the kernel and the card lost, most of which no lane could count.

use super::super::exposition::{Exposition, Value, labels};
use super::super::family::{Family, Read};
use super::super::scrape::Scrape;
use super::{counter, gauge};
use relay_common::facts::LinkCounts;

pub(super) const FAMILIES: &[Family] = &[
    gauge(
        "mcr_link_up",
        &["link"],
        "1 for a link in use that is up and has carrier.",
        Read::Other(|scrape, out| {
            for row in scrape.links.iter() {
                out.sample(&labels(&[("link", &row.name)]), row.up.into());
            }
        }),
    ),
    counter(
        "mcr_link_dropped_packets",
        &["link", "direction"],
        "Packets that the card or the kernel dropped on a link in use since it is there, whosever they were: no room, a full ring of a lane, or, on the way in, nobody on this host who wanted them (LLDP, STP).",
        Read::Other(|scrape, out| both_ways(scrape, out, |of| (of.rx_dropped, of.tx_dropped))),
    ),
    counter(
        "mcr_link_errors",
        &["link", "direction"],
        "Packets that came in damaged on a link in use, or that the card failed to send, since it is there.",
        Read::Other(|scrape, out| both_ways(scrape, out, |of| (of.rx_errors, of.tx_errors))),
    ),
];

/// A sample for each direction of each link whose counts can be read.
fn both_ways(scrape: &Scrape<'_>, out: &mut Exposition<'_>, read: fn(&LinkCounts) -> (u64, u64)) {
    for (name, counts) in scrape.links.iter().filter_map(|row| Some((&row.name, row.counts.as_ref()?))) {
        let (incoming, outgoing) = read(counts);
        for (direction, n) in [("in", incoming), ("out", outgoing)] {
            out.sample(&labels(&[("link", name), ("direction", direction)]), Value::Count(n));
        }
    }
}
