//! One scenario: its plots, its rates, and the numbers behind them.

use super::Page;
use super::table::{Table, escaped};
use crate::measure::number::{self, ABSENT};
use crate::measure::plot;
use crate::measure::results::{ContestantResult, Percentiles, ScenarioResult, Spread};

pub(super) fn write(page: &mut Page, scenario: &ScenarioResult) {
    let ScenarioResult { name, about, payload, frame, .. } = scenario;
    page.text(&format!("### {}\n", escaped(name)));
    page.text(&format!("{}: frames of {frame} bytes, {payload} of them payload.\n", sentence(about)));
    page.plot(&plot::rates_file(name), &format!("Highest rates without loss of {}", escaped(name)));
    page.table(&rates(scenario));
    page.plot(&plot::latency_file(name), &format!("Latencies of {}", escaped(name)));

    let (latencies, jitters, losses) = (latencies(scenario), jitters(scenario), losses(scenario));
    if [&latencies, &jitters, &losses].into_iter().all(Table::is_empty) {
        return;
    }
    page.text("<details><summary>Latency, jitter and losses in numbers</summary>\n");
    for (title, table) in [
        ("One-way latency, at shares of the highest rate:\n", latencies),
        ("Jitter, by how much the gap between two packets changed: p50 / p99 / max\n", jitters),
        ("Packets that did not arrive, in all runs, overload included:\n", losses),
    ] {
        if !table.is_empty() {
            page.text(title);
            page.table(&table);
        }
    }
    page.text("</details>\n");
}

/// With a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    escaped(&(first + chars.as_str()))
}

fn measured(scenario: &ScenarioResult) -> impl Iterator<Item = &ContestantResult> + Clone {
    scenario.contestants.iter().filter(|contestant| contestant.skipped.is_none())
}

fn rates(scenario: &ScenarioResult) -> Table {
    // Of one output, what goes out is what comes in.
    let has_copies = scenario.outputs > 1;
    let mut heads = vec!["contestant", "rate in", "±", "bits in"];
    if has_copies {
        heads.extend(["rate out", "bits out"]);
    }
    heads.extend(["overload, out", "core time", "receiving", "ratio"]);
    let mut table = Table::new(1, heads);
    for contestant in measured(scenario) {
        let rate = contestant.highest();
        let bits = |packets| number::bits(scenario.bits(packets));
        let noise = contestant.rate.as_ref().filter(|rate| rate.values.len() > 1).map(Spread::noise);
        let mut cells = vec![
            Some(contestant.name.clone()),
            rate.map(number::packets),
            noise.map(|noise| format!("{:.1} %", noise * 100.0)),
            rate.map(bits),
        ];
        if has_copies {
            let out = rate.map(|rate| scenario.out(rate));
            cells.extend([out.map(number::packets), out.map(bits)]);
        }
        let load = contestant.compared_load();
        cells.extend([
            contestant.overload.as_ref().map(|overload| number::packets(overload.median())),
            load.map(|load| number::core_time(load.core_ns)),
            load.and_then(|load| load.receive_ns).map(number::core_time),
            scenario.ratio_to(contestant).map(number::times),
        ]);
        table.row(cells.into_iter().map(or_absent));
    }
    table
}

fn latencies(scenario: &ScenarioResult) -> Table {
    let mut table = Table::new(2, ["load", "contestant", "rate in", "p50", "p90", "p99", "p99.9", "max"]);
    for percent in loads(scenario) {
        for contestant in measured(scenario) {
            let Some(load) = contestant.load(percent) else { continue };
            let Percentiles { p50, p90, p99, p999, max } = load.latency;
            let figures = [p50, p90, p99, p999, max].map(number::nanoseconds);
            let words = [format!("{percent} %"), contestant.name.clone(), number::packets(load.rate)];
            table.row(words.into_iter().chain(figures));
        }
    }
    table
}

fn jitters(scenario: &ScenarioResult) -> Table {
    let loads = loads(scenario);
    let heads = loads.iter().map(|percent| format!("at {percent} %"));
    let mut table = Table::new(1, ["contestant".to_owned()].into_iter().chain(heads));
    for contestant in measured(scenario).filter(|contestant| !contestant.loads.is_empty()) {
        let cells = loads.iter().map(|percent| {
            let jitter = contestant.load(*percent).map(|load| load.jitter);
            or_absent(jitter.map(|it| [it.p50, it.p99, it.max].map(number::nanoseconds).join(" / ")))
        });
        table.row([contestant.name.clone()].into_iter().chain(cells));
    }
    table
}

/// A line for each counter, a column for each contestant that has one.
fn losses(scenario: &ScenarioResult) -> Table {
    let losers: Vec<_> = measured(scenario).filter(|contestant| !contestant.losses.is_empty()).collect();
    let mut table = Table::new(1, ["counter"].into_iter().chain(losers.iter().map(|loser| loser.name.as_str())));
    let mut counters: Vec<&str> = Vec::new();
    for loss in losers.iter().flat_map(|loser| &loser.losses) {
        if !counters.contains(&loss.name.as_str()) {
            counters.push(&loss.name);
        }
    }
    for counter in counters {
        let cells = losers.iter().map(|loser| {
            let loss = loser.losses.iter().find(|loss| loss.name == counter);
            or_absent(loss.map(|loss| number::count(loss.packets)))
        });
        table.row([counter.to_owned()].into_iter().chain(cells));
    }
    table
}

fn loads(scenario: &ScenarioResult) -> Vec<u8> {
    let mut loads: Vec<u8> = measured(scenario).flat_map(|it| &it.loads).map(|load| load.percent).collect();
    loads.sort_unstable();
    loads.dedup();
    loads
}

fn or_absent(cell: Option<String>) -> String {
    cell.unwrap_or_else(|| ABSENT.to_owned())
}
