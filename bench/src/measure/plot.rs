//! Plots in SVG, made from results.

mod bars; // rates of a scenario
mod latency; // latencies of a scenario
mod lines; // rates along scenarios
mod names; // names beside lines
mod style; // who looks how
mod axis; // scales and ticks
mod svg; // the file

#[cfg(test)]
mod tests;

use lines::Along;
use style::Styles;

use super::results::Results;

/// The rate against the number of outputs.
pub const OUTPUTS_FILE: &str = "fan-out.svg";
/// The rate against the number of relays.
pub const RELAYS_FILE: &str = "relays.svg";

/// The highest rates of a scenario.
pub fn rates_file(scenario: &str) -> String {
    format!("rates-{}.svg", file_part(scenario))
}

/// The latencies of a scenario.
pub fn latency_file(scenario: &str) -> String {
    format!("latency-{}.svg", file_part(scenario))
}

/// All plots that these results are enough for: the name of the file and what it holds.
pub fn plots(results: &Results) -> Vec<(String, String)> {
    let styles = Styles::of(results);
    let lines = [(OUTPUTS_FILE, Along::Outputs), (RELAYS_FILE, Along::Relays)];
    let lines = lines.map(|(file, along)| (file.to_owned(), lines::draw(results, along, &styles)));
    let of_scenarios = results.scenarios.iter().flat_map(|scenario| {
        let rates = (rates_file(&scenario.name), bars::draw(scenario));
        [rates, (latency_file(&scenario.name), latency::draw(scenario, &styles))]
    });
    lines.into_iter().chain(of_scenarios).filter_map(|(file, svg)| Some((file, svg?))).collect()
}

/// Names of scenarios are no paths.
fn file_part(scenario: &str) -> String {
    scenario.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
