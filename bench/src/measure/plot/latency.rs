//! The latencies of one scenario: a panel for each load, with one scale for all.

use super::axis::{Scale, logarithmic_ticks};
use super::names::{self, Name};
use super::style::Styles;
use super::svg::{Anchor, FAINT_INK, GRID, LABEL, MARGIN, NOTE, Pen, Svg, TOP, WIDTH};
use crate::measure::number;
use crate::measure::results::{ContestantResult, Percentiles, ScenarioResult};

const LOWEST_HEIGHT: f64 = 270.0;
/// Left of the first panel, for the ticks.
const LEFT: f64 = MARGIN + 52.0;
/// Between two panels.
const GAP: f64 = 16.0;
/// Above the panels, for what they are.
const HEAD: f64 = 22.0;
/// More would be too narrow for the names of the percentiles.
const MOST_PANELS: usize = 3;
const PERCENTILES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// Nothing when there is nothing to compare.
pub(super) fn draw(scenario: &ScenarioResult, styles: &Styles) -> Option<String> {
    let contestants: Vec<_> = scenario.contestants.iter().filter(|it| !it.loads.is_empty()).collect();
    if contestants.len() < 2 {
        return None;
    }
    let mut loads: Vec<u8> = contestants.iter().flat_map(|it| &it.loads).map(|load| load.percent).collect();
    loads.sort_unstable();
    loads.dedup();
    loads.truncate(MOST_PANELS);
    let values = contestants.iter().flat_map(|it| &it.loads).flat_map(|load| points(&load.latency));
    let (range, ticks) = logarithmic_ticks(values)?;

    let plot_height = LOWEST_HEIGHT.max(names::height(contestants.len()));
    let (top, bottom) = (TOP + HEAD, TOP + HEAD + plot_height);
    let how = "one-way latency at shares of each one's own highest rate; lower is better";
    let mut svg = Svg::new(bottom + 34.0, &format!("{}: latency", scenario.name), [&scenario.about, how]);
    let right = WIDTH - names::room(contestants.iter().map(|it| it.name.as_str()));
    let n_panels = loads.len() as f64;
    let width = (right - LEFT - GAP * (n_panels - 1.0)) / n_panels;
    let y = Scale::logarithmic(range, (bottom, top));
    for tick in &ticks {
        let text = number::short(&number::nanoseconds(*tick));
        svg.text((LEFT - 8.0, y.at(*tick) + 4.0), Anchor::End, NOTE, &text);
    }
    let mut ends = Vec::new();
    for (at, percent) in loads.into_iter().enumerate() {
        let left = LEFT + (width + GAP) * at as f64;
        frame(&mut svg, percent, (left, width), y, &ticks, (top, bottom));
        // MCR lies on top.
        for contestant in contestants.iter().rev() {
            let Some(end) = line(&mut svg, contestant, percent, styles, (left, width), y) else { continue };
            ends.retain(|name: &Name<'_>| name.name != contestant.name);
            let style = styles.get(&contestant.name);
            ends.push(Name { name: &contestant.name, kind: contestant.kind, style, end });
        }
    }
    names::draw(&mut svg, &ends, right, (top + 6.0, bottom - 6.0));
    Some(svg.finish())
}

fn frame(svg: &mut Svg, percent: u8, (left, width): (f64, f64), y: Scale, ticks: &[f64], (top, bottom): (f64, f64)) {
    svg.text((left + width / 2.0, top - 8.0), Anchor::Middle, LABEL, &format!("at {percent} %"));
    for tick in ticks {
        svg.line((left, y.at(*tick)), (left + width, y.at(*tick)), Pen::thin(GRID));
    }
    svg.line((left, bottom), (left + width, bottom), Pen::thin(FAINT_INK));
    for (at, name) in PERCENTILES.iter().enumerate() {
        svg.text((column(left, width, at), bottom + 18.0), Anchor::Middle, NOTE, name);
    }
}

/// Draws one contestant in one panel; returns where its line ends.
fn line(
    svg: &mut Svg,
    contestant: &ContestantResult,
    percent: u8,
    styles: &Styles,
    (left, width): (f64, f64),
    y: Scale,
) -> Option<(f64, f64)> {
    let load = contestant.load(percent)?;
    let values = points(&load.latency).into_iter().enumerate().filter(|(_, value)| value.is_finite() && *value > 0.0);
    let places: Vec<_> = values.map(|(at, value)| (column(left, width, at), y.at(value))).collect();
    let style = styles.get(&contestant.name);
    svg.path(&places, style.pen);
    for place in &places {
        style.mark(svg, *place);
    }
    places.last().copied()
}

fn points(latency: &Percentiles) -> [f64; 5] {
    let Percentiles { p50, p90, p99, p999, max } = *latency;
    [p50, p90, p99, p999, max]
}

fn column(left: f64, width: f64, at: usize) -> f64 {
    left + width / PERCENTILES.len() as f64 * (at as f64 + 0.5)
}
