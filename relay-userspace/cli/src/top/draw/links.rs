//! The pane of the links.

use super::super::state::{Pane, State};
use super::super::text::width;
use super::paint::{Brush, Line};
use super::table::{self, Column};
use crate::screen::Tone;
use ratatui::layout::Rect;
use relay_config::model::Link;

/// Draws it.
pub(super) fn draw(state: &State, brush: &mut Brush<'_>, area: Rect) {
    let links = state.node().links();
    let addresses = links.iter().map(|link| width(&link.addresses.join(" "))).max().unwrap_or(0);
    let columns = [
        Column::new("NAME", 0, 12).up_to(15),
        Column::new("STATE", 0, 10),
        Column::new("USE", 1, 6),
        Column::new("MODE", 2, 9),
        Column::new("PROGRAM", 3, 7),
        Column::new(">GROUPS", 4, 6),
        Column::new(">LOST I/O", 5, 9),
        Column::new(">QUEUES", 7, 7),
        Column::new(">MTU", 6, 5),
        Column::new("MAC", 9, 17),
        Column::new("ADDRESSES", 8, 16).up_to(u16::try_from(addresses).unwrap_or(u16::MAX)),
    ];
    let cursor = state.cursors[Pane::Links as usize];
    table::draw(brush, area, &columns, (links.len(), cursor), |row, column, _| cell(&links[row], column));
}

fn cell(link: &Link, column: usize) -> Line {
    let is_used = link.input || link.output;
    let text = match column {
        0 => link.name.clone(),
        1 => {
            let tone = match link.state.as_str() {
                "up" => Tone::Good,
                _ if is_used => Tone::Bad,
                _ => Tone::Dim,
            };
            return Line::new(link.state.as_str(), tone);
        }
        2 => match (link.input, link.output) {
            (true, true) => "in+out",
            (true, false) => "in",
            (false, true) => "out",
            (false, false) => "-",
        }
        .to_owned(),
        3 => link.zero_copy.map_or("-", |zero_copy| if zero_copy { "zero-copy" } else { "copy" }).to_owned(),
        4 => link.program.clone().unwrap_or_else(|| "-".to_owned()),
        5 => link.groups.to_string(),
        6 => return lost(link),
        7 => format!("{}/{}", link.rx_queues, link.tx_queues),
        8 => link.mtu.to_string(),
        9 => link.mac.clone(),
        _ => link.addresses.join(" "),
    };
    Line::new(text, Tone::Plain)
}

/// What the kernel and the card lost on the link, on the way in and on the way out.
fn lost(link: &Link) -> Line {
    let of = |way: &str| link.losses.iter().filter(|(name, _)| name.starts_with(way)).map(|(_, n)| n).sum::<u64>();
    if link.losses.is_empty() {
        return Line::new("-", Tone::Dim);
    }
    let (incoming, outgoing) = (of("rx_"), of("tx_"));
    let tone = if incoming + outgoing > 0 && (link.input || link.output) { Tone::Warn } else { Tone::Plain };
    Line::new(format!("{incoming}/{outgoing}"), tone)
}
