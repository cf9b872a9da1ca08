//! Tables for people: columns that line up, and 80 characters where that can be had.

use super::screen::{Paint, Tone, plain};

/// How wide every terminal is.
const WIDTH: usize = 80;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Column {
    head: &'static str,
    is_number: bool,
}

/// One cell.
#[derive(Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text in its colour.
    pub(super) fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: plain(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Table {
    /// A table with these heads; those that begin with `>` stand over numbers.
    pub(super) fn new(heads: &[&'static str]) -> Self {
        let column = |head: &&'static str| match head.strip_prefix('>') {
            Some(head) => Column { head, is_number: true },
            None => Column { head, is_number: false },
        };
        Self { columns: heads.iter().map(column).collect(), rows: Vec::new() }
    }

    /// One more row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text.
    pub(super) fn show(&self, paint: Paint) -> String {
        let length = |i: usize| self.rows.iter().map(move |row| row[i].text.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(i, column)| length(i).max(column.head.len())).collect();
        let gaps = widths.len().saturating_sub(1);
        let gap = if widths.iter().sum::<usize>() + 2 * gaps <= WIDTH { "  " } else { " " };
        let heads: Vec<Cell> = self.columns.iter().map(|column| Cell::new(column.head, Tone::Head)).collect();
        std::iter::once(&heads).chain(&self.rows).map(|row| self.line(row, &widths, gap, paint)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], gap: &str, paint: Paint) -> String {
        let mut line = String::new();
        let mut owed = 0; // Spaces that are written only if something follows.
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let room = width - cell.text.chars().count();
            let (before, after) = if column.is_number { (room, 0) } else { (0, room) };
            if !cell.text.is_empty() {
                line.push_str(&" ".repeat(owed + before));
                line.push_str(&paint.paint(cell.tone, &cell.text));
                owed = 0;
            } else {
                owed += before;
            }
            owed += after + gap.len();
        }
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> String {
        let mut table = Table::new(&["NAME", ">PPS", "STATE"]);
        table.row([name.into(), "7".into(), Cell::new("up", Tone::Good)]);
        table.row(["b".into(), "12345".into(), "".into()]);
        table.show(Paint::default())
    }

    #[test]
    fn words_begin_and_numbers_end_together() {
        assert_eq!(table("a"), "NAME    PPS  STATE\na         7  up\nb     12345\n");
    }

    #[test]
    fn a_wide_table_stands_closer() {
        let name = "x".repeat(68);
        let narrow = table(&name);
        assert!(narrow.lines().all(|line| line.len() <= 80), "{narrow}");
        assert!(narrow.contains(&format!("{name}     7 up\n")), "{narrow}");
    }

    #[test]
    fn colours_take_no_room() {
        let mut table = Table::new(&["A", "B"]);
        table.row([Cell::new("x", Tone::Bad), "y".into()]);
        assert_eq!(table.show(Paint { colours: true }), "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[31mx\x1b[0m  y\n");
    }
}
