//! The pane of the relays.

use super::super::sort::By;
use super::super::state::{Pane, State};
use super::super::text::width;
use super::paint::{Brush, Line};
use super::spark;
use super::table::{self, Column};
use crate::document::name_of;
use crate::number::{megabits, rate, span};
use crate::relay::{drops, tone};
use crate::screen::Tone;
use ratatui::layout::Rect;
use relay_config::model::Relay;

/// Names have at least so much room, and at most so much of what other columns need; inputs too.
const NAMES: (usize, usize) = (10, 18);
const INPUTS: (usize, usize) = (12, 24);
/// In a narrower terminal names leave their room to what else there is.
const WIDE: u16 = 80;
/// A relay's drops are told one by one up to here.
const COUNTED: u64 = 99_999;

/// Draws it.
pub(super) fn draw(state: &State, brush: &mut Brush<'_>, area: Rect) {
    let relays = state.listed();
    if relays.is_empty() {
        let text = match (state.node().answer.is_some(), state.filter.is_empty() && state.selector.is_all()) {
            (false, _) => "",
            (true, true) => "there are no relays: mcr relay add NAME --in IFACE/GROUP:PORT --out IFACE/GROUP:PORT",
            (true, false) => "no relay is as the filter says",
        };
        brush.text(area, text, Tone::Plain);
        return;
    }
    let cursor = state.cursors[Pane::Relays as usize];
    table::draw(brush, area, &columns(state, &relays), (relays.len(), cursor), |row, column, room| {
        cell(state, relays[row], column, room)
    });
}

fn columns(state: &State, relays: &[&Relay]) -> Vec<Column> {
    let longest = |of: &dyn Fn(&Relay) -> usize| relays.iter().map(|relay| of(relay)).max().unwrap_or(0);
    let names = longest(&|relay| width(name_of(&relay.definition)));
    let inputs = longest(&|relay| width(&relay.status.input.at));
    let most = if state.size.0 < WIDE { NAMES.0 } else { NAMES.1 };
    let fitting = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let sorted = |column: Column, by: By| {
        let is_sorted = state.order.by == by;
        if is_sorted { column.marked(state.look.arrow(state.order.is_rising())) } else { column }
    };
    vec![
        sorted(Column::new("NAME", 0, fitting(names.clamp(NAMES.0, most))).up_to(fitting(names)), By::Name),
        sorted(Column::new("STATE", 0, 8), By::State),
        Column::new("INPUT", 8, fitting(inputs.clamp(INPUTS.0, INPUTS.1))).up_to(fitting(inputs)),
        sorted(Column::new(">IN PPS", 1, 7), By::Input),
        Column::new(">MB/S", 5, 5),
        Column::new("MINUTE", 2, 10).up_to(30),
        sorted(Column::new(">OUT PPS", 6, 8), By::Output),
        Column::new(">MB/S", 7, 5),
        sorted(Column::new(">DROPS", 3, 6), By::Drops),
        sorted(Column::new(">AGE", 4, 5), By::Age),
        Column::new("FROM", 9, 4),
    ]
}

fn cell(state: &State, relay: &Relay, column: usize, room: u16) -> Line {
    let (status, input) = (&relay.status, &relay.status.input);
    let sent = |of: fn(&relay_config::model::Traffic) -> f64| status.outputs.iter().map(of).sum::<f64>();
    let name = name_of(&relay.definition);
    let text = match column {
        0 => name.to_owned(),
        1 => return Line::new(status.state.as_str(), tone(&status.state)),
        2 => input.at.clone(),
        3 => rate(input.pps),
        4 => megabits(input.bps),
        5 => {
            let minute = state.node().minute(name, usize::from(room), state.interval);
            return Line::new(spark::line(&minute, state.look), Tone::Plain);
        }
        6 => rate(sent(|output| output.pps)),
        7 => megabits(sent(|output| output.bps)),
        8 => {
            let drops = drops(status);
            return Line::new(count(drops), if drops > 0 { Tone::Warn } else { Tone::Plain });
        }
        9 => input.last_packet_age_s.map_or_else(|| "-".to_owned(), span),
        _ => relay.origin.clone(),
    };
    Line::new(text, Tone::Plain)
}

/// A number as it is, or, where it is a great one, as it is read.
fn count(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
    let short = || rate(n as f64);
    if n <= COUNTED { n.to_string() } else { short() }
}
