//! What a node counted: per relay, output, drop reason, lane and socket. Printed when it ends.

use crate::observe::stream;
use crate::view::LaneView;
use anyhow::Context;
use relay_common::counters::{BATCH_BUCKETS, LATENCY_BUCKETS, LaneCounter, output, relay};
use relay_common::decide::Verdict;
use relay_common::drops::Drop;
use relay_common::table::Table;
use relay_engine::memory::counters::Counters;
use relay_engine::memory::frames::Census;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

mod text;

pub use text::Brief;

/// Everything that was counted.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What the XDP program decided, by verdict.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// The relays, by their slots.
    pub relays: Vec<RelayReport>,
    /// Drops that belong to no relay, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// The lanes.
    pub lanes: Vec<LaneReport>,
    /// The sockets.
    pub sockets: Vec<SocketReport>,
}

/// What was counted of a relay.
#[derive(Debug, Serialize)]
pub struct RelayReport {
    /// Its name.
    pub name: String,
    /// What it takes in, for people.
    pub input: String,
    /// Packets in.
    pub packets: u64,
    /// Bytes in, as IP packets.
    pub bytes: u64,
    /// Packets whose UDP checksum came unfinished and was finished.
    pub checksums_completed: u64,
    /// Whether nothing of it is sent.
    pub muted: bool,
    /// What was measured of its input.
    pub input_quality: Quality,
    /// Packets that went to no output, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// Its outputs.
    pub outputs: Vec<OutputReport>,
}

/// What was measured of a relay's input.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Quality {
    /// The jitter of its arrival, where it last came in, in nanoseconds.
    pub jitter_ns: u64,
    /// The longest time between two packets, in nanoseconds.
    pub longest_gap_ns: u64,
    /// How often nothing came for longer than `silence_after`.
    pub interruptions: u64,
    /// Packets that continue an RTP sequence.
    pub rtp_packets: u64,
    /// Packets that are missing of it.
    pub rtp_lost: u64,
    /// Packets of it that had come before.
    pub rtp_duplicates: u64,
    /// Packets of it that others had overtaken.
    pub rtp_reordered: u64,
    /// How often another sequence began.
    pub rtp_restarts: u64,
    /// MPEG-TS packets.
    pub ts_packets: u64,
    /// Their continuity errors.
    pub ts_errors: u64,
}

impl Quality {
    /// Reads it from the counters of all lanes.
    pub fn gather(lanes: &[Arc<LaneView>], slot: u32) -> Self {
        let read = |place: usize| lanes.iter().map(move |lane| lane.counters.get_relay(slot, place));
        let sum = |place: usize| read(place).sum();
        let newest = lanes.iter().max_by_key(|lane| lane.counters.get_relay(slot, relay::LAST));
        Self {
            jitter_ns: newest.map_or(0, |lane| lane.counters.get_relay(slot, relay::JITTER)),
            longest_gap_ns: read(relay::LONGEST_GAP).max().unwrap_or(0),
            interruptions: sum(relay::INTERRUPTIONS),
            rtp_packets: sum(relay::RTP_PACKETS),
            rtp_lost: sum(relay::RTP_LOST),
            rtp_duplicates: sum(relay::RTP_DUPLICATES),
            rtp_reordered: sum(relay::RTP_REORDERED),
            rtp_restarts: sum(relay::RTP_RESTARTS),
            ts_packets: sum(relay::TS_PACKETS),
            ts_errors: sum(relay::TS_ERRORS),
        }
    }
}

/// What was counted of an output.
#[derive(Debug, Serialize)]
pub struct OutputReport {
    /// Where it sends, for people.
    pub to: String,
    /// Packets out.
    pub packets: u64,
    /// Bytes out, as IP packets.
    pub bytes: u64,
    /// Packets that were not sent, by reason.
    pub drops: BTreeMap<&'static str, u64>,
}

/// What was counted of a lane.
#[derive(Debug, Serialize)]
pub struct LaneReport {
    /// Its number.
    pub lane: u32,
    /// The core it was pinned to.
    pub core: Option<u32>,
    /// Whether its frames lay in huge pages.
    pub huge_pages: bool,
    /// Whether the kernel had granted busy polling on all its sockets.
    pub busy_polling: bool,
    /// How often it was started again.
    pub restarts: u64,
    /// Its frames.
    pub frames: u32,
    /// Whose they are.
    pub owners: BTreeMap<&'static str, u64>,
    /// Its own counters.
    pub counters: BTreeMap<&'static str, u64>,
    /// Packets by the time from the XDP program to the transmit ring: those below each power of two of nanoseconds.
    pub latency_below_ns: BTreeMap<u64, u64>,
    /// Batches by their packets: those of fewer than each power of two.
    pub batches_below: BTreeMap<u64, u64>,
    /// Rounds that found something to do, by what they took: those below each power of two of nanoseconds.
    pub rounds_below_ns: BTreeMap<u64, u64>,
}

/// What the kernel counted of a socket.
#[derive(Debug, Serialize)]
pub struct SocketReport {
    /// The link.
    pub link: String,
    /// The queue.
    pub queue: u32,
    /// The lane that has it.
    pub lane: u32,
    /// Whether it was zero-copy.
    pub zero_copy: bool,
    /// Packets that did not fit a frame or found none.
    pub rx_dropped: u64,
    /// Packets that found the receive ring full.
    pub rx_ring_full: u64,
    /// Packets that found the fill ring empty.
    pub fill_ring_empty: u64,
    /// Descriptors that the kernel refused.
    pub invalid: u64,
}

impl Report {
    /// Reads all counters.
    pub fn gather(table: &Table, lanes: &[Arc<LaneView>], verdicts: Vec<(Verdict, u64)>) -> anyhow::Result<Self> {
        let sum = |read: &dyn Fn(&Counters) -> u64| lanes.iter().map(|lane| read(&lane.counters)).sum::<u64>();
        let mut sockets = Vec::new();
        for lane in lanes {
            for socket in &lane.sockets {
                let counted = socket.statistics();
                sockets.push(SocketReport {
                    link: socket.link.clone(),
                    queue: socket.queue,
                    lane: lane.number,
                    zero_copy: socket.zero_copy,
                    rx_dropped: counted.rx_dropped,
                    rx_ring_full: counted.rx_ring_full,
                    fill_ring_empty: counted.fill_ring_empty,
                    invalid: counted.rx_invalid + counted.tx_invalid,
                });
            }
        }
        Ok(Self {
            verdicts: verdicts.into_iter().map(|(verdict, n)| (verdict.name(), n)).collect(),
            relays: relays(table, lanes, &sum),
            drops: named(Drop::ALL, |reason| sum(&|lane| lane.get_dropped(reason))),
            lanes: lanes.iter().map(|lane| lane_report(lane)).collect::<anyhow::Result<_>>()?,
            sockets,
        })
    }
}

fn lane_report(lane: &LaneView) -> anyhow::Result<LaneReport> {
    let Census { free, fill, transmit, lost } = lane.census().context("cannot read whose the frames are")?;
    Ok(LaneReport {
        lane: lane.number,
        core: lane.core,
        huge_pages: lane.huge_pages,
        busy_polling: lane.is_busy_polled(),
        restarts: lane.restarts,
        frames: lane.n_frames,
        owners: [("free", free), ("fill", fill), ("transmit", transmit), ("lost", lost)].into(),
        latency_below_ns: histogram(LATENCY_BUCKETS, |i| lane.counters.get_latency(i)),
        batches_below: histogram(BATCH_BUCKETS, |i| lane.counters.get_batches(i)),
        rounds_below_ns: histogram(LATENCY_BUCKETS, |i| lane.counters.get_rounds(i)),
        counters: LaneCounter::ALL.iter().map(|&c| (c.name(), lane.counters.get(c))).collect(),
    })
}

/// A histogram by powers of two, without its empty buckets.
fn histogram(n_buckets: usize, read: impl Fn(usize) -> u64) -> BTreeMap<u64, u64> {
    (0..n_buckets).map(|i| (1 << i, read(i))).filter(|(_, n)| *n > 0).collect()
}

/// Sums a number over all lanes.
type Sum<'a> = dyn Fn(&dyn Fn(&Counters) -> u64) -> u64 + 'a;

fn relays(table: &Table, lanes: &[Arc<LaneView>], sum: &Sum<'_>) -> Vec<RelayReport> {
    let outputs = |relay: &relay_common::table::SlotRelay| {
        let one = |(wanted, built): (&relay_common::plan::Output, &relay_common::table::SlotOutput)| {
            let read = |place: usize| sum(&|lane| lane.get_output(built.counter, place));
            OutputReport {
                to: stream::output(wanted),
                packets: read(output::PACKETS),
                bytes: read(output::BYTES),
                drops: named(output::REASONS, |reason| read(output::place(reason))),
            }
        };
        relay.relay.outputs.iter().zip(&relay.outputs).map(one).collect()
    };
    table
        .slots()
        .map(|(slot, relay)| {
            let read = |place: usize| sum(&|lane| lane.get_relay(slot, place));
            RelayReport {
                name: relay.relay.name.clone(),
                input: stream::input(&relay.relay),
                packets: read(relay::PACKETS),
                bytes: read(relay::BYTES),
                checksums_completed: read(relay::CHECKSUMS_COMPLETED),
                muted: relay.relay.muted,
                input_quality: Quality::gather(lanes, slot),
                drops: named(Drop::ALL, |reason| read(relay::DROPS + reason as usize)),
                outputs: outputs(relay),
            }
        })
        .collect()
}

/// Reasons with what was counted of them; those that never occurred are left out.
fn named<const N: usize>(reasons: [Drop; N], read: impl Fn(Drop) -> u64) -> BTreeMap<&'static str, u64> {
    reasons.into_iter().map(|reason| (reason.name(), read(reason))).filter(|(_, n)| *n > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::{Brief, Report, relays};
    use crate::observe::fixtures::Node;
    use relay_common::entry::Vlans;
    use relay_engine::memory::counters::Counters;

    #[test]
    fn a_relay_of_a_vlan_is_printed_with_it() {
        let mut node = Node::new(&["one"]);
        let relay = &mut node.relay(0).relay;
        relay.input.vlans = [100, 7];
        relay.outputs[0].vlans = Vlans::Set { n: 1, ids: [200, 0] };
        let sum = |read: &dyn Fn(&Counters) -> u64| node.view.lanes.iter().map(|lane| read(&lane.counters)).sum();
        let found = relays(&node.view.table, &node.view.lanes, &sum).remove(0);
        assert_eq!(found.input, "in0.100.7/239.1.0.1:5000");
        assert_eq!(found.outputs[0].to, "out0.200/239.2.0.1:5001");
    }

    #[test]
    fn in_brief_it_is_as_long_for_four_relays_as_for_one() {
        let of = |names: &[&str]| {
            let node = Node::new(names);
            let report = Report::gather(&node.view.table, &node.view.lanes, Vec::new()).unwrap();
            Brief(&report).to_string()
        };
        let (one, four) = (of(&["a"]), of(&["a", "b", "c", "d"]));
        assert_eq!(one.lines().count(), four.lines().count());
        assert!(one.starts_with("relays 1, packets 0; outputs 2, packets 0; drops: none\n"), "{one}");
        assert!(four.starts_with("relays 4, packets 0; outputs 8, "), "{four}");
    }
}
