//! How near MCR comes to what the machine could do at most.

use super::Page;
use super::table::Table;
use crate::measure::number::{self, ABSENT};
use crate::measure::results::{ContestantResult, Results, ScenarioResult, Spread};

const ABOUT: &str = "\
How near that is to what AF_XDP can do here at most: a socket that only sends, from frames that lie in its core's cache, and a pair of
them that passes on what another core has received and looks at nothing. Packets per second out, MCR's in parts of each.
";

/// What the ceilings are called.
const SENDS: &str = "xsk-transmit";
const PASSES_ON: &str = "xsk-pass";

pub(super) fn write(page: &mut Page, results: &Results) {
    let heads =
        ["scenario", "only sends", "MCR without loss", "MCR flooded", "passes on", "MCR without loss", "MCR flooded"];
    let mut table = Table::new(1, heads);
    for scenario in &results.scenarios {
        let [sends, passes_on] = [SENDS, PASSES_ON].map(|name| scenario.contestant(name).and_then(flooded));
        if sends.or(passes_on).is_some() {
            let cells = [sends, passes_on].into_iter().flat_map(|ceiling| cells(scenario, ceiling));
            table.row([scenario.name.clone()].into_iter().chain(cells));
        }
    }
    if !table.is_empty() {
        page.text(ABOUT);
        page.table(&table);
    }
}

/// A ceiling, and MCR's share of it.
fn cells(scenario: &ScenarioResult, ceiling: Option<f64>) -> [String; 3] {
    let mcr = scenario.mcr();
    let rate = mcr.and_then(ContestantResult::highest).map(|rate| scenario.out(rate));
    let share =
        |of: Option<f64>| of.zip(ceiling).map_or_else(|| ABSENT.to_owned(), |(of, all)| number::times(of / all));
    let ceiling = ceiling.map_or_else(|| ABSENT.to_owned(), number::packets);
    [ceiling, share(rate), share(mcr.and_then(flooded))]
}

/// Packets per second out when there was more than enough to do.
fn flooded(contestant: &ContestantResult) -> Option<f64> {
    contestant.overload.as_ref().filter(|overload| !overload.values.is_empty()).map(Spread::median)
}
