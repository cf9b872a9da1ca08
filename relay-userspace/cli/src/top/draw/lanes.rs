//! The pane of the lanes.

use super::super::state::{Pane, State};
use super::paint::{Brush, Line};
use super::table::{self, Column};
use crate::screen::Tone;
use crate::status::{STALE_MS, sockets};
use ratatui::layout::Rect;
use relay_config::model::Lane;

/// Draws it.
pub(super) fn draw(state: &State, brush: &mut Brush<'_>, area: Rect) {
    let Some(status) = state.node().status() else { return };
    let columns = [
        Column::new(">LANE", 0, 4),
        Column::new(">CORE", 1, 4),
        Column::new(">PID", 6, 7),
        Column::new(">BEAT", 2, 7),
        Column::new(">BUSY", 1, 5),
        Column::new(">GEN", 3, 5),
        Column::new(">RESTARTS", 4, 8),
        Column::new(">FREE/FRAMES", 5, 13),
        Column::new("SOCKETS", 7, 16).up_to(24),
    ];
    let cursor = state.cursors[Pane::Lanes as usize];
    table::draw(brush, area, &columns, (status.lanes.len(), cursor), |row, column, _| {
        cell(state, &status.lanes[row], status.generation, column)
    });
}

fn cell(state: &State, lane: &Lane, generation: u64, column: usize) -> Line {
    let or_none = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let warn = |is_odd: bool, tone: Tone| if is_odd { tone } else { Tone::Plain };
    let busy = || state.node().busy.share(lane.number);
    match column {
        0 => Line::new(lane.number.to_string(), Tone::Plain),
        1 => Line::new(or_none(lane.core), Tone::Plain),
        2 => Line::new(or_none(lane.pid), warn(lane.pid.is_none(), Tone::Bad)),
        3 => Line::new(format!("{}ms", lane.heartbeat_age_ms), warn(lane.heartbeat_age_ms > STALE_MS, Tone::Bad)),
        4 => Line::new(busy().map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", share * 100.0)), Tone::Plain),
        5 => Line::new(lane.generation.to_string(), warn(lane.generation != generation, Tone::Warn)),
        6 => Line::new(lane.restarts.to_string(), warn(lane.restarts > 0, Tone::Warn)),
        7 => Line::new(format!("{}/{}", lane.free_frames, lane.frames), Tone::Plain),
        _ => Line::new(sockets(lane), Tone::Plain),
    }
}
