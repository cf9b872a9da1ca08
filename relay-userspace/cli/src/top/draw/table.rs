//! Columns, of which as many are seen as there is room.

use super::super::list::Cursor;
use super::paint::{Brush, Line};
use crate::screen::Tone;
use ratatui::layout::Rect;

/// What stands before the row under the cursor, and before all others as spaces.
const MARK: &str = "> ";
const MARK_WIDTH: u16 = 2;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    head: String,
    is_number: bool,
    width: u16,
    widest: u16,
    rank: u8,
}

impl Column {
    /// A column of words: the lower its rank, the sooner it gets its room; one of rank 0 is always there. Heads that
    /// begin with `>` stand over numbers.
    pub(super) fn new(head: &str, rank: u8, width: u16) -> Self {
        let number = head.strip_prefix('>');
        Self { head: number.unwrap_or(head).to_owned(), is_number: number.is_some(), width, widest: width, rank }
    }

    /// The same, as wide as this where there is room to spare.
    pub(super) fn up_to(mut self, widest: u16) -> Self {
        self.widest = widest.max(self.width);
        self
    }

    /// The same with something behind its head, which it has room for.
    pub(super) fn marked(mut self, mark: &str) -> Self {
        self.head.push_str(mark);
        self
    }
}

/// Draws the heads, and the rows that are seen of so many. A cell is asked for by row, column and room.
pub(super) fn draw(
    brush: &mut Brush<'_>,
    area: Rect,
    columns: &[Column],
    (n, cursor): (usize, Cursor),
    cell: impl Fn(usize, usize, u16) -> Line,
) {
    let placed = places(columns, area.width.saturating_sub(MARK_WIDTH));
    let place = |x: u16, y: u16, width: u16| Rect { x: area.x + MARK_WIDTH + x, y: area.y + y, width, height: 1 };
    for (i, x, width) in &placed {
        let head = Line::new(columns[*i].head.as_str(), Tone::Head);
        put(brush, place(*x, 0, *width), &head, columns[*i].is_number);
    }
    for (y, row) in (1..area.height).zip(cursor.top..n) {
        for (i, x, width) in &placed {
            put(brush, place(*x, y, *width), &cell(row, *i, *width), columns[*i].is_number);
        }
        if row == cursor.row {
            let whole = Rect { y: area.y + y, height: 1, ..area };
            brush.text(whole, MARK, Tone::Plain);
            brush.invert(whole);
        }
    }
}

fn put(brush: &mut Brush<'_>, place: Rect, cell: &Line, is_number: bool) {
    if is_number {
        brush.number(place, &cell.text, cell.tone);
    } else {
        brush.text(place, &cell.text, cell.tone);
    }
}

/// Which columns are seen, where, and how wide: first all that must be, then those that fit by rank, and then what is
/// left widens them by rank.
fn places(columns: &[Column], room: u16) -> Vec<(usize, u16, u16)> {
    let mut by_rank: Vec<usize> = (0..columns.len()).collect();
    by_rank.sort_by_key(|i| columns[*i].rank);
    let mut widths = vec![0; columns.len()];
    let mut rest = room + 1;
    for i in &by_rank {
        let column = &columns[*i];
        if column.width < rest || (column.rank == 0 && rest > 1) {
            widths[*i] = column.width.min(rest - 1);
            rest -= widths[*i] + 1;
        }
    }
    for i in by_rank.into_iter().filter(|i| widths[*i] > 0).collect::<Vec<_>>() {
        let more = (columns[i].widest - columns[i].width).min(rest);
        widths[i] += more;
        rest -= more;
    }
    let mut x = 0;
    let place = |(i, width)| {
        let at = x;
        x += width + 1;
        (i, at, width)
    };
    widths.into_iter().enumerate().filter(|(_, width)| *width > 0).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_by_rank_and_widen_by_rank() {
        let columns = [Column::new("A", 0, 10).up_to(20), Column::new(">B", 2, 5), Column::new("C", 1, 8).up_to(30)];
        assert_eq!(places(&columns, 4), [(0, 0, 4)]);
        assert_eq!(places(&columns, 18), [(0, 0, 12), (1, 13, 5)], "what does not fit leaves room for what does");
        assert_eq!(places(&columns, 19), [(0, 0, 10), (2, 11, 8)]);
        assert_eq!(places(&columns, 25), [(0, 0, 10), (1, 11, 5), (2, 17, 8)]);
        assert_eq!(places(&columns, 40), [(0, 0, 20), (1, 21, 5), (2, 27, 13)]);
        assert_eq!(places(&columns, 100), [(0, 0, 20), (1, 21, 5), (2, 27, 30)]);
        assert!(places(&columns, 0).is_empty());
    }
}
