//! What stands behind the scenarios: memory, what idling costs, functions by themselves, and who did not run.

use super::Page;
use super::table::Table;
use crate::measure::number;
use crate::measure::results::Results;

const FUNCTIONS: &str = "\
What `cargo bench -p bench` measures: the functions of the data path and of a change, without a kernel, with packets that lie in the
processor's cache. Allocations are those of a batch of packets or of a table.
";

pub(super) fn write(page: &mut Page, results: &Results) {
    resources(page, results);
    functions(page, results);
    skipped(page, results);
}

/// What does not differ from the line above need not be said again: a contestant takes the same in most scenarios.
fn resources(page: &mut Page, results: &Results) {
    let mut table = Table::new(2, ["contestant", "scenarios", "memory", "idle"]);
    let mut rows: Vec<(&str, Vec<&str>, [String; 2])> = Vec::new();
    for scenario in &results.scenarios {
        for it in scenario.contestants.iter().filter(|it| it.memory_kib.is_some() || it.idle_percent.is_some()) {
            let memory = number::kibibytes(it.memory_kib.map_or(f64::NAN, |kib| kib as f64));
            let idle = it.idle_percent.map_or_else(|| number::ABSENT.to_owned(), |percent| format!("{percent:.2} %"));
            let figures = [memory, idle];
            match rows.iter_mut().find(|(name, _, known)| *name == it.name && *known == figures) {
                Some((_, scenarios, _)) => scenarios.push(&scenario.name),
                None => rows.push((&it.name, vec![&scenario.name], figures)),
            }
        }
    }
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in &rows {
        if !names.contains(name) {
            names.push(name);
        }
    }
    for name in names {
        for (_, scenarios, [memory, idle]) in rows.iter().filter(|(other, ..)| *other == name) {
            table.row([name, &scenarios.join(", "), memory, idle]);
        }
    }
    if !table.is_empty() {
        page.text("## Memory, and what idling costs\n");
        page.text(
            "Memory of all processes, each shared page once; processor time when no packet comes, of one core.\n",
        );
        page.table(&table);
    }
}

fn functions(page: &mut Page, results: &Results) {
    let mut units: Vec<&str> = Vec::new();
    for function in &results.functions {
        if !units.contains(&function.unit.as_str()) {
            units.push(&function.unit);
        }
    }
    if units.is_empty() {
        return;
    }
    page.text("## Functions by themselves\n");
    page.text(FUNCTIONS);
    for unit in units {
        let mut table = Table::new(1, [&format!("per {unit}"), "median", "minimum", "allocations"]);
        for it in results.functions.iter().filter(|it| it.unit == unit) {
            let [median, minimum] = [it.median_ns, it.minimum_ns].map(number::core_time);
            table.row([&it.name, &median, &minimum, &format!("{:.0}", it.allocations)]);
        }
        page.table(&table);
    }
}

fn skipped(page: &mut Page, results: &Results) {
    let mut rows: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for scenario in &results.scenarios {
        for contestant in &scenario.contestants {
            let Some(why) = contestant.skipped.as_deref() else { continue };
            match rows.iter_mut().find(|(name, known, _)| *name == contestant.name && *known == why) {
                Some((_, _, scenarios)) => scenarios.push(&scenario.name),
                None => rows.push((&contestant.name, why, vec![&scenario.name])),
            }
        }
    }
    page.text("## What was skipped\n");
    if rows.is_empty() {
        return page.text("Nothing.\n");
    }
    let mut table = Table::new(3, ["contestant", "scenarios", "why"]);
    for (name, why, scenarios) in rows {
        table.row([name, &scenarios.join(", "), why]);
    }
    page.table(&table);
}
