//! What is shown becomes what is seen: a pure function of the state.

mod paint; // texts in their colours, cut to their room
mod spark; // a minute in a few characters
mod head; // the first two lines and the last
mod table; // columns, of which as many are seen as there is room
mod relays; // the pane of the relays
mod lanes; // the pane of the lanes
mod links; // the pane of the links
mod events; // the pane of the events
mod page; // the help, or one relay

use super::state::{Page, Pane, State};
use crate::screen::Tone;
use paint::Brush;
use ratatui::Frame;
use ratatui::layout::Rect;

/// In less room nothing is shown.
const SMALLEST: (u16, u16) = (40, 8);
/// Head, panes, heads of columns, and keys.
const AROUND_PANE: u16 = 4;
/// Head, title, and keys.
const AROUND_PAGE: u16 = 3;
/// The event under the cursor is told in full where there are so many rows.
const TALL: u16 = 16;

/// Draws all of it.
pub(super) fn frame(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let brush = &mut Brush { buffer: frame.buffer_mut(), look: state.look };
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        brush.text(area, &format!("too small: {}x{}", SMALLEST.0, SMALLEST.1), Tone::Plain);
        return;
    }
    head::draw(state, brush, area);
    let body = Rect { y: area.y + 2, height: area.height - AROUND_PAGE, ..area };
    match (&state.page, state.pane) {
        (Page::None, Pane::Relays) => relays::draw(state, brush, body),
        (Page::None, Pane::Lanes) => lanes::draw(state, brush, body),
        (Page::None, Pane::Links) => links::draw(state, brush, body),
        (Page::None, Pane::Events) => events::draw(state, brush, body),
        (Page::Help | Page::Relay(..), _) => page::draw(state, brush, body),
    }
}

/// How many rows of a pane are seen on a screen of this height.
pub(super) fn pane_rows(height: u16, pane: Pane) -> usize {
    let told = if pane == Pane::Events { events_told(height) } else { 0 };
    usize::from(height.saturating_sub(AROUND_PANE + told))
}

/// How many lines of a page are seen on a screen of this height.
pub(super) fn page_rows(height: u16) -> usize {
    usize::from(height.saturating_sub(AROUND_PAGE))
}

/// In how many rows the event under the cursor is told in full.
const fn events_told(height: u16) -> u16 {
    if height >= TALL { 3 } else { 0 }
}

/// How many lines the page has that is open.
pub(super) fn page_length(state: &State) -> usize {
    page::lines(state).len()
}
