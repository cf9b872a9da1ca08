//! The report as tables for people.

use super::{LaneReport, Quality, Report, SocketReport};
use std::collections::BTreeMap;
use std::fmt;

/// The same in a few lines, whatever the number of relays.
#[derive(Debug)]
pub struct Brief<'a>(pub &'a Report);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let outputs = || report.relays.iter().flat_map(|relay| &relay.outputs);
        let came = report.relays.iter().map(|relay| relay.packets).sum::<u64>();
        let sent = outputs().map(|output| output.packets).sum::<u64>();
        let mut drops = BTreeMap::new();
        let of_relays = report.relays.iter().map(|relay| &relay.drops).chain(outputs().map(|output| &output.drops));
        for (name, n) in of_relays.flatten() {
            *drops.entry(*name).or_insert(0) += n;
        }
        let (relays, n_outputs, drops) = (report.relays.len(), outputs().count(), list(&drops));
        writeln!(f, "relays {relays}, packets {came}; outputs {n_outputs}, packets {sent}; drops: {drops}")?;
        writeln!(f, "XDP verdicts: {}", list(&report.verdicts))?;
        writeln!(f, "drops of no relay: {}", list(&report.drops))?;
        report.lanes.iter().try_for_each(|lane| {
            let LaneReport { lane: number, restarts, owners, counters, .. } = lane;
            writeln!(f, "lane {number} ({}; {restarts} restarts): {}", list(owners), list(counters))
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = |names: &mut dyn Iterator<Item = usize>| names.max().unwrap_or(0).max(8);
        let name = wide(&mut self.relays.iter().map(|relay| relay.name.len()));
        let place = wide(
            &mut self
                .relays
                .iter()
                .flat_map(|relay| relay.outputs.iter().map(|o| o.to.len() + 2).chain([relay.input.len()])),
        );
        writeln!(f, "{:name$}  {:place$}  {:>12}  {:>15}  drops", "relay", "input, outputs", "packets", "bytes")?;
        for relay in &self.relays {
            let drops = list(&relay.drops);
            writeln!(
                f,
                "{:name$}  {:place$}  {:>12}  {:>15}  {drops}",
                relay.name, relay.input, relay.packets, relay.bytes
            )?;
            for output in &relay.outputs {
                let (to, drops) = (format!("> {}", output.to), list(&output.drops));
                writeln!(f, "{:name$}  {to:place$}  {:>12}  {:>15}  {drops}", "", output.packets, output.bytes)?;
            }
            let muted = if relay.muted { "muted; " } else { "" };
            writeln!(f, "{:name$}  {muted}input: {}", "", relay.input_quality)?;
            if relay.checksums_completed > 0 {
                writeln!(f, "{:name$}  checksums completed: {}", "", relay.checksums_completed)?;
            }
        }
        writeln!(f, "XDP verdicts: {}", list(&self.verdicts))?;
        writeln!(f, "drops of no relay: {}", list(&self.drops))?;
        for lane in &self.lanes {
            let LaneReport { lane: number, restarts, frames, owners, counters, .. } = lane;
            let (owners, counters) = (list(owners), list(counters));
            writeln!(f, "lane {number} ({frames} frames: {owners}; {restarts} restarts): {counters}")?;
            let times = [("from XDP to the transmit ring", &lane.latency_below_ns), ("a round", &lane.rounds_below_ns)];
            for (what, times) in times {
                if let (Some(half), Some(most)) = (below(times, 50), below(times, 99)) {
                    writeln!(f, "lane {number} {what}: p50 < {half} ns, p99 < {most} ns")?;
                }
            }
            if let (Some(half), Some(most)) = (below(&lane.batches_below, 50), below(&lane.batches_below, 99)) {
                writeln!(f, "lane {number} packets a batch: p50 < {half}, p99 < {most}")?;
            }
        }
        self.sockets.iter().try_for_each(|socket| writeln!(f, "{socket}"))
    }
}

impl fmt::Display for SocketReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, queue, lane, zero_copy, rx_dropped, rx_ring_full, fill_ring_empty, invalid } = self;
        let mode = if *zero_copy { "zero-copy" } else { "copy" };
        write!(f, "socket {link} queue {queue} (lane {lane}, {mode}): rx_dropped {rx_dropped}, rx_ring_full ")?;
        write!(f, "{rx_ring_full}, fill_ring_empty {fill_ring_empty}, invalid {invalid}")
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [jitter, gap] = [self.jitter_ns, self.longest_gap_ns].map(|ns| ns / 1000);
        write!(f, "jitter {jitter} us, longest gap {gap} us, interruptions {}", self.interruptions)?;
        if self.rtp_packets > 0 {
            write!(f, "; RTP: lost {}, duplicates {}, ", self.rtp_lost, self.rtp_duplicates)?;
            write!(f, "reordered {}, restarts {}", self.rtp_reordered, self.rtp_restarts)?;
        }
        if self.ts_packets > 0 {
            write!(f, "; MPEG-TS: continuity errors {}", self.ts_errors)?;
        }
        Ok(())
    }
}

/// The bound that so many percent of a histogram are below.
fn below(histogram: &BTreeMap<u64, u64>, percent: u64) -> Option<u64> {
    let all: u64 = histogram.values().sum();
    let mut seen = 0;
    histogram.iter().find_map(|(bound, n)| {
        seen += n;
        (seen * 100 >= all * percent).then_some(*bound)
    })
}

/// What is not zero, by name.
fn list(counts: &BTreeMap<&'static str, u64>) -> String {
    let texts: Vec<String> = counts.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} {n}")).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
