//! The pane of the events, the newest first; the one under the cursor is told in full.

use super::super::state::{Pane, State};
use super::super::text::{clean, wrap};
use super::paint::{Brush, Line};
use super::table::{self, Column};
use crate::screen::Tone;
use ratatui::layout::Rect;
use relay_config::model::Event;

/// Draws it.
pub(super) fn draw(state: &State, brush: &mut Brush<'_>, area: Rect) {
    let events = &state.node().events;
    let told = super::events_told(state.size.1).min(area.height);
    let list = Rect { height: area.height - told, ..area };
    let columns = [
        Column::new("TIME", 1, 8),
        Column::new("LEVEL", 2, 5),
        Column::new("EVENT", 3, 20),
        Column::new("TEXT", 0, 20).up_to(u16::MAX),
    ];
    let cursor = state.cursors[Pane::Events as usize];
    table::draw(brush, list, &columns, (events.len(), cursor), |row, column, _| cell(&events[row], column));
    let Some(event) = events.get(cursor.row).filter(|_| told > 0) else { return };
    let lines = wrap(&format!("{} {}", event.time, clean(&event.text)), usize::from(area.width), 0);
    for (y, line) in (list.bottom()..area.bottom()).zip(lines) {
        brush.text(Rect { y, height: 1, ..area }, &line, tone(event));
    }
}

fn cell(event: &Event, column: usize) -> Line {
    match column {
        0 => Line::new(time(&event.time), Tone::Dim),
        1 => Line::new(event.level.as_str(), tone(event)),
        2 => Line::new(event.event.as_str(), Tone::Plain),
        _ => Line::new(event.text.as_str(), tone(event)),
    }
}

fn tone(event: &Event) -> Tone {
    match event.level.as_str() {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// The time of day; the day is told with the event under the cursor.
fn time(rfc3339: &str) -> &str {
    rfc3339.split_once('T').and_then(|(_, time)| time.get(..8)).unwrap_or(rfc3339)
}
