//! How rates change with the number of outputs, or of relays.

use super::axis::{Scale, linear_ticks};
use super::names::{self, Name};
use super::style::Styles;
use super::svg::{Anchor, FAINT_INK, GRID, MARGIN, NOTE, Pen, Svg, TOP, WIDTH};
use crate::measure::number;
use crate::measure::results::{Kind, Results, ScenarioResult};

const LOWEST_HEIGHT: f64 = 280.0;
/// Left of the plot, for the ticks.
const LEFT: f64 = MARGIN + 70.0;

/// What is counted along the plot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Along {
    Outputs,
    Relays,
}

/// One contestant.
struct Series<'a> {
    name: &'a str,
    kind: Kind,
    points: Vec<Point>,
}

struct Point {
    along: u16,
    rate: f64,
    low: f64,
    high: f64,
}

/// Nothing when nobody was measured at two places at least.
pub(super) fn draw(results: &Results, along: Along, styles: &Styles) -> Option<String> {
    let (payload, scenarios) = comparable(results, along);
    let series = series(&scenarios, along);
    if series.is_empty() {
        return None;
    }
    let (title, unit, alike, counted) = match along {
        Along::Outputs => ("Rate and number of outputs", "packets per second out", "one relay, one link", "outputs"),
        Along::Relays => ("Rate and number of relays", "packets per second", "one output each", "relays"),
    };
    let alike = format!("{alike}, {payload} bytes of payload");
    let how = format!("{unit} at the highest rate without loss; whiskers from the lowest to the highest repeat");
    let bottom = TOP + 8.0 + LOWEST_HEIGHT.max(names::height(series.len()));
    let mut svg = Svg::new(bottom + 34.0, title, [&alike, &how]);
    let right = WIDTH - names::room(series.iter().map(|it| it.name));
    let points = || series.iter().flat_map(|it| &it.points);
    let y_ticks = linear_ticks(points().map(|point| point.high).fold(0.0, f64::max), 5.0);
    let y = Scale::linear(y_ticks.last().copied().unwrap_or(1.0), (bottom, TOP + 8.0));
    let mut x_ticks: Vec<u16> = points().map(|point| point.along).collect();
    x_ticks.sort_unstable();
    x_ticks.dedup();
    let ends = (*x_ticks.first()?, *x_ticks.last()?);
    let x = Scale::logarithmic((f64::from(ends.0), f64::from(ends.1)), (LEFT + 24.0, right - 14.0));
    svg.text((LEFT - 8.0, bottom + 19.0), Anchor::End, NOTE, counted);
    axes(&mut svg, (x, &x_ticks), (y, &y_ticks), (right, bottom));
    let mut ends = Vec::new();
    // MCR lies on top.
    for it in series.iter().rev() {
        let style = styles.get(it.name);
        let at = |along: u16, rate: f64| (x.at(f64::from(along)), y.at(rate));
        let places: Vec<_> = it.points.iter().map(|point| at(point.along, point.rate)).collect();
        svg.path(&places, style.pen);
        for (point, place) in it.points.iter().zip(&places) {
            svg.line(at(point.along, point.low), at(point.along, point.high), Pen::thin(style.pen.colour));
            style.mark(&mut svg, *place);
        }
        ends.extend(places.last().map(|end| Name { name: it.name, kind: it.kind, style, end: *end }));
    }
    names::draw(&mut svg, &ends, right, (TOP + 14.0, bottom - 6.0));
    Some(svg.finish())
}

/// Scenarios that differ in nothing else, of the payload that most of them have.
fn comparable(results: &Results, along: Along) -> (u16, Vec<&ScenarioResult>) {
    let is_alike = |it: &&ScenarioResult| {
        it.links == 1 && it.is_ordinary() && if along == Along::Outputs { it.relays == 1 } else { it.outputs == 1 }
    };
    let alike: Vec<_> = results.scenarios.iter().filter(is_alike).collect();
    let of_payload = |payload: u16| alike.iter().copied().filter(move |it| it.payload == payload);
    // The first of those that are alike in number.
    let payload = alike.iter().rev().map(|it| it.payload).max_by_key(|payload| of_payload(*payload).count());
    payload.map_or_else(|| (0, Vec::new()), |payload| (payload, of_payload(payload).collect()))
}

fn series<'a>(scenarios: &[&'a ScenarioResult], along: Along) -> Vec<Series<'a>> {
    let mut series: Vec<Series<'a>> = Vec::new();
    for scenario in scenarios {
        let place = if along == Along::Outputs { scenario.outputs } else { scenario.relays };
        for contestant in &scenario.contestants {
            let Some(rate) = contestant.rate.as_ref().filter(|rate| rate.values.iter().all(|it| it.is_finite())) else {
                continue;
            };
            let [middle, low, high] = [rate.median(), rate.low(), rate.high()].map(|rate| scenario.out(rate));
            let point = Point { along: place, rate: middle, low, high };
            match series.iter_mut().find(|it| it.name == contestant.name) {
                // Another scenario may be the same but for its contestants.
                Some(known) if known.points.iter().any(|point| point.along == place) => {}
                Some(known) => known.points.push(point),
                None => series.push(Series { name: &contestant.name, kind: contestant.kind, points: vec![point] }),
            }
        }
    }
    series.retain(|it| it.points.len() > 1);
    for it in &mut series {
        it.points.sort_by_key(|point| point.along);
    }
    series
}

fn axes(svg: &mut Svg, (x, x_ticks): (Scale, &[u16]), (y, y_ticks): (Scale, &[f64]), (right, bottom): (f64, f64)) {
    for tick in y_ticks {
        svg.line((LEFT, y.at(*tick)), (right, y.at(*tick)), Pen::thin(GRID));
        let text = number::short(&number::packets(*tick));
        svg.text((LEFT - 8.0, y.at(*tick) + 4.0), Anchor::End, NOTE, &text);
    }
    svg.line((LEFT, bottom), (right, bottom), Pen::thin(FAINT_INK));
    let mut free_from = f64::MIN;
    for tick in x_ticks {
        let (place, text) = (x.at(f64::from(*tick)), tick.to_string());
        svg.line((place, bottom), (place, bottom + 4.0), Pen::thin(FAINT_INK));
        let half = NOTE.width(&text) / 2.0;
        if place - half >= free_from {
            svg.text((place, bottom + 19.0), Anchor::Middle, NOTE, &text);
            free_from = place + half + 6.0;
        }
    }
}
