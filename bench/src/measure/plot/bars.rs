//! The highest rates of one scenario, as bars.

use super::axis::{Scale, linear_ticks};
use super::style::MCR;
use super::svg::{Anchor, FAINT_INK, Font, GRID, INK, LABEL, MARGIN, NOTE, Pen, STRONG, Svg, TOP, WIDTH};
use crate::measure::number;
use crate::measure::results::{ContestantResult, Kind, ScenarioResult, Spread};

const ROW: f64 = 30.0;
const BAR: f64 = 18.0;
/// Longer names are cut.
const LONGEST_NAME: f64 = 260.0;
/// MCR in another way.
const VARIANT: &str = "#6db3dd";
const PEER: &str = "#9aa3ad";
/// The fill of ceilings.
const HATCH: &str = "ceiling";

/// Nothing when there is nothing to compare.
pub(super) fn draw(scenario: &ScenarioResult) -> Option<String> {
    let drawn: Vec<_> = scenario.contestants.iter().filter_map(|it| Some((it, drawable(it)?))).collect();
    let most = drawn.iter().map(|(_, rate)| rate.high()).fold(0.0, f64::max);
    if drawn.len() < 2 || most == 0.0 {
        return None;
    }
    let height = TOP + ROW * scenario.contestants.len() as f64 + 36.0;
    let title = format!("{}: the highest rate without loss", scenario.name);
    let how =
        "packets per second in, and bits of frames; whiskers from the lowest to the highest repeat; hatched: no relay";
    let mut svg = Svg::new(height, &title, [&scenario.about, how]);
    svg.hatch(HATCH, "#a8b0b9");

    let names = scenario.contestants.iter().map(|it| font(scenario, it).width(&it.name));
    let left = MARGIN + names.fold(0.0, f64::max).min(LONGEST_NAME) + 12.0;
    let values = drawn.iter().map(|(it, rate)| NOTE.width(&value(scenario, it, rate)));
    let right = WIDTH - MARGIN - 10.0 - values.fold(0.0, f64::max);
    let ticks = linear_ticks(most, 5.0);
    // The axis ends where the longest bar does, so that its value has the room behind it.
    let scale = Scale::linear(most, (left, right));
    axis(&mut svg, scale, ticks.iter().copied().filter(|tick| *tick <= most), height);
    for (at, contestant) in scenario.contestants.iter().enumerate() {
        row(&mut svg, scenario, contestant, TOP + ROW * (at as f64 + 0.5), (left, scale));
    }
    svg.line((left, TOP), (left, height - 36.0), Pen::thin(FAINT_INK));
    Some(svg.finish())
}

/// The rate that a bar shows. A ceiling that makes its own packets has no rate in, but one out.
fn drawable(contestant: &ContestantResult) -> Option<&Spread> {
    let is_number = |value: &f64| value.is_finite() && *value >= 0.0;
    let rate = if only_sends(contestant) { &contestant.overload } else { &contestant.rate };
    rate.as_ref().filter(|rate| !rate.values.is_empty() && rate.values.iter().all(is_number))
}

const fn only_sends(contestant: &ContestantResult) -> bool {
    matches!(contestant.kind, Kind::Ceiling) && contestant.rate.is_none()
}

fn axis(svg: &mut Svg, scale: Scale, ticks: impl Iterator<Item = f64>, height: f64) {
    for tick in ticks {
        let x = scale.at(tick);
        svg.line((x, TOP), (x, height - 36.0), Pen::thin(GRID));
        let text = number::short(&number::packets(tick));
        svg.text((x, height - 16.0), Anchor::Middle, NOTE, &text);
    }
}

fn row(svg: &mut Svg, scenario: &ScenarioResult, contestant: &ContestantResult, y: f64, (left, scale): (f64, Scale)) {
    let font = font(scenario, contestant);
    let name = font.fitted(&contestant.name, LONGEST_NAME);
    svg.text((left - 12.0, y + 4.5), Anchor::End, font, &name);
    let Some(rate) = drawable(contestant) else {
        let why =
            contestant.skipped.as_deref().map_or_else(|| "not measured".to_owned(), |why| format!("skipped: {why}"));
        svg.text((left + 8.0, y + 4.5), Anchor::Start, NOTE, &NOTE.fitted(&why, WIDTH - MARGIN - left - 8.0));
        return;
    };
    let (fill, outline) = match contestant.kind {
        Kind::Mcr if is_first(scenario, contestant) => (MCR, None),
        Kind::Mcr => (VARIANT, None),
        Kind::Peer => (PEER, None),
        Kind::Ceiling => ("url(#ceiling)", Some(Pen::thin("#8a939c"))),
    };
    svg.bar((left, y - BAR / 2.0), (scale.at(rate.median()) - left, BAR), fill, outline);
    let (low, high) = (scale.at(rate.low()), scale.at(rate.high()));
    if high - low > 1.0 {
        let pen = Pen { colour: INK, width: 1.2, dash: None };
        svg.line((low, y), (high, y), pen);
        svg.line((low, y - 4.0), (low, y + 4.0), pen);
        svg.line((high, y - 4.0), (high, y + 4.0), pen);
    }
    svg.text((high + 8.0, y + 4.5), Anchor::Start, Font { colour: INK, ..NOTE }, &value(scenario, contestant, rate));
}

fn value(scenario: &ScenarioResult, contestant: &ContestantResult, rate: &Spread) -> String {
    let rate = rate.median();
    let out = if only_sends(contestant) { " out" } else { "" };
    format!("{} · {}{out}", number::packets(rate), number::bits(scenario.bits(rate)))
}

fn font(scenario: &ScenarioResult, contestant: &ContestantResult) -> Font {
    if is_first(scenario, contestant) { STRONG } else { LABEL }
}

fn is_first(scenario: &ScenarioResult, contestant: &ContestantResult) -> bool {
    scenario.mcr().is_some_and(|mcr| mcr.name == contestant.name)
}
