//! Texts in their colours, cut to their room.

use super::super::state::Look;
use super::super::text::{clean, width};
use crate::screen::Tone;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

/// A text in its colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl Line {
    pub(super) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

/// What draws.
pub(super) struct Brush<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) look: Look,
}

impl Brush<'_> {
    /// Draws a text into the first row of an area, and marks where it was cut. Gives how many columns it took.
    pub(super) fn text(&mut self, area: Rect, text: &str, tone: Tone) -> u16 {
        let text = clean(text);
        let room = usize::from(area.width);
        if area.height == 0 || room == 0 {
            return 0;
        }
        let style = self.style(tone);
        if width(&text) <= room {
            let (x, _) = self.buffer.set_stringn(area.x, area.y, &text, room, style);
            return x - area.x;
        }
        let (x, y) = self.buffer.set_stringn(area.x, area.y, &text, room - 1, style);
        self.buffer.set_stringn(x, y, self.look.cut(), 1, style);
        area.width
    }

    /// The same at the right edge.
    pub(super) fn number(&mut self, area: Rect, text: &str, tone: Tone) {
        let room = area.width.saturating_sub(u16::try_from(width(text)).unwrap_or(u16::MAX));
        self.text(Rect { x: area.x + room, width: area.width - room, ..area }, text, tone);
    }

    /// Turns the colours of an area round, so that it stands out also without colours.
    pub(super) fn invert(&mut self, area: Rect) {
        self.buffer.set_style(area, Style::new().add_modifier(Modifier::REVERSED));
    }

    fn style(&self, tone: Tone) -> Style {
        let plain = Style::new();
        let (colour, weight) = match tone {
            Tone::Plain => return plain,
            Tone::Head => return plain.add_modifier(Modifier::BOLD),
            Tone::Dim => return plain.add_modifier(Modifier::DIM),
            Tone::Good => (Color::Green, Modifier::empty()),
            Tone::Warn => (Color::Yellow, Modifier::empty()),
            Tone::Bad => (Color::Red, Modifier::BOLD),
        };
        let style = plain.add_modifier(weight);
        if self.look.colours { style.fg(colour) } else { style }
    }
}

impl Look {
    /// Where a text was cut.
    const fn cut(self) -> &'static str {
        if self.unicode { "…" } else { "~" }
    }

    /// Something that is not over yet.
    pub(super) const fn wait(self) -> &'static str {
        if self.unicode { "asking …" } else { "asking ..." }
    }

    /// Upwards, or downwards.
    pub(super) const fn arrow(self, is_rising: bool) -> &'static str {
        match (self.unicode, is_rising) {
            (true, true) => "▲",
            (true, false) => "▼",
            (false, true) => "^",
            (false, false) => "v",
        }
    }
}
