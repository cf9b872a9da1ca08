//! What stands before the scenarios: what is measured, on what, of whom, and the outcome in short.

use std::fmt::Write;

use super::table::{Table, escaped};
use super::{Page, possible};
use crate::measure::number::{self, ABSENT};
use crate::measure::plot;
use crate::measure::results::{Kind, Results, ScenarioResult};

const INTRODUCTION: &str = "\
# Benchmarks, in part

A first look, of fewer or shorter runs: these are not the figures that we publish. Those take `cargo xtask bench --full`.
";

/// What a run calls itself that left nothing out.
pub(super) const WHOLE: &str = "full";

pub(super) const METHOD: &str = "\
## What is measured

A generator, a relay and a sink, each in a network namespace, with a veth pair between each two, in copy mode. On core 0 the kernel
itself generates, by test runs of a BPF program with live frames; each frame has a sequence number, a stamp, and checksums that are
right. What the kernel does to receive, up to the relay's ring or socket, runs there too. The relay has core 1, and so has what the
kernel does for it up to the sink. There a tc program counts, checks the order and measures the latency from the stamp.

Contestants take turns, and each has several; the median counts. *Without loss* means that at most one packet of 100 000 is lost, and
that near the end of a trial the relay holds back at most what comes in ten milliseconds: a buffer that fills is no throughput. The
highest such rate is found by binary search. What the generator's own link had no room for never reached a relay: it is no loss, and
stands apart. Every other packet that did not arrive is listed by the counter that says so, and as uncounted if none does. Everything
runs ahead of the machine's other work (nice -10).
";

pub(super) const READING: &str = "\
- Rates are packets per second **in**, unless a column says out: that is the sum of all outputs.
- Bits are those of frames from the first MAC address to the end of the payload. On a wire each frame takes 24 bytes more: checksum,
  preamble and gap.
- ± is half of the range from the lowest to the highest repeat.
- Overload is what goes out while the generator sends as fast as it can. (Of a ceiling that only receives: what it receives.)
- Core time is that of the relay's core per packet in, at the highest load that was measured: its processes and the kernel. A lane
  that waits by spinning counts as busy. Receiving is what the kernel takes for it on the generator's core.
- Latency and jitter are measured at shares of each contestant's *own* highest rate, so a faster one has more to do.
- A ratio is MCR's highest rate divided by the other's. A ceiling is no relay: it shows what the machine could do at most.
- – means not measured.
";

/// Of a run that is not kept.
pub(super) fn write(page: &mut Page, results: &Results) {
    page.text(INTRODUCTION);
    summary(page, results);
    page.text(METHOD);
    page.text(READING);
    machine(page, results);
    contestants(page, results);
}

/// Of the run that is kept of a processor.
pub(super) fn write_processor(page: &mut Page, results: &Results) {
    let (processor, stem) = (escaped(&results.machine.processor_in_short()), results.machine.file_stem());
    page.text(&format!(
        "# Benchmarks: {processor}\n\nMade from `bench/results/{stem}.json`: do not edit it. What is measured, and other \
         processors: [benchmarks](../benchmarks.md).\n"
    ));
    if results.extent != WHOLE {
        page.text("This run was not of all scenarios, or shorter than those are: see its extent.\n");
    }
    summary(page, results);
    machine(page, results);
    contestants(page, results);
}

/// MCR and its peers: one line for each scenario.
fn summary(page: &mut Page, results: &Results) {
    page.text("## In short\n\nThe highest rate without loss, in packets per second in, and in parentheses how many times as much MCR takes.\n");
    page.table(&in_short(results));
    possible::write(page, results);
    page.plot(plot::OUTPUTS_FILE, "Packets per second out against the number of outputs");
    page.plot(plot::RELAYS_FILE, "Packets per second against the number of relays");
}

pub(super) fn in_short(results: &Results) -> Table {
    let peers = names(results, |kind| kind == Kind::Peer);
    let mut table = Table::new(1, ["scenario", "MCR"].into_iter().chain(peers.iter().map(String::as_str)));
    for scenario in &results.scenarios {
        let mcr = scenario.mcr().and_then(|mcr| mcr.highest());
        let mcr = mcr.map_or_else(|| ABSENT.to_owned(), number::packets);
        let cells = peers.iter().map(|peer| peer_in_short(scenario, peer));
        table.row([scenario.name.clone(), mcr].into_iter().chain(cells));
    }
    table
}

fn peer_in_short(scenario: &ScenarioResult, peer: &str) -> String {
    let Some(peer) = scenario.contestant(peer) else { return ABSENT.to_owned() };
    let Some(rate) = peer.highest() else { return ABSENT.to_owned() };
    match scenario.ratio_to(peer) {
        Some(ratio) => format!("{} ({})", number::packets(rate), number::times(ratio)),
        None => number::packets(rate),
    }
}

fn machine(page: &mut Page, results: &Results) {
    let Results { date, commit, extent, seconds, machine, .. } = results;
    let is_virtual = if machine.is_virtual { "a virtual machine" } else { "no virtual machine" };
    let mut table = Table::new(2, ["the run", ""]);
    for (what, value) in [
        ("date", date.clone()),
        ("commit", commit.clone()),
        ("extent", format!("{extent}, {}", number::seconds(*seconds))),
        ("processor", format!("{}, {} cores, {is_virtual}", machine.processor, machine.cores)),
        ("memory", number::kibibytes(machine.memory_mib as f64 * 1024.0)),
        ("kernel", format!("{}, {}", machine.kernel, machine.system)),
        ("mitigations", machine.mitigations.clone()),
        ("compiler", machine.rust.clone()),
    ] {
        table.row([what, &value]);
    }
    page.text("## The machine\n");
    page.table(&table);
}

fn contestants(page: &mut Page, results: &Results) {
    page.text("## Who takes part\n");
    let all = || results.scenarios.iter().flat_map(|scenario| &scenario.contestants);
    let mut text = String::new();
    for name in names(results, |_| true) {
        let Some(contestant) = all().find(|contestant| contestant.name == name) else { continue };
        let kind = match contestant.kind {
            Kind::Mcr => "",
            Kind::Peer => ", a peer",
            Kind::Ceiling => ", a ceiling",
        };
        // Writing into a string cannot fail.
        let about = if contestant.about.is_empty() { "" } else { ": " }.to_owned() + &escaped(&contestant.about);
        let _ = writeln!(text, "- **{}**{kind}{about}", escaped(&name));
    }
    page.text(&text);
}

/// Of all contestants of some kinds, each once.
fn names(results: &Results, is_meant: impl Fn(Kind) -> bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for contestant in results.scenarios.iter().flat_map(|scenario| &scenario.contestants) {
        if is_meant(contestant.kind) && !names.contains(&contestant.name) {
            names.push(contestant.name.clone());
        }
    }
    names
}
