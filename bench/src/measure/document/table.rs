//! Tables in Markdown, padded so that they read well as text too.

use std::fmt::{self, Display, Formatter};

/// A table. Its first columns are words, the others figures.
pub(super) struct Table {
    n_words: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<T: AsRef<str>>(n_words: usize, heads: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self { n_words, rows: Vec::new() };
        table.row(heads);
        table
    }

    pub(super) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(|cell| escaped(cell.as_ref())).collect());
    }

    /// Whether it has no row below its head.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }
}

impl Display for Table {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let n_columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |at: usize| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        // Three is the least that a rule may have.
        let widths: Vec<_> = (0..n_columns).map(|at| width(at).unwrap_or_default().max(3)).collect();
        for (n, row) in self.rows.iter().enumerate() {
            for (at, width) in widths.iter().enumerate() {
                let cell = row.get(at).map_or("", String::as_str);
                match at < self.n_words {
                    true => write!(out, "| {cell:<width$} ")?,
                    false => write!(out, "| {cell:>width$} ")?,
                }
            }
            writeln!(out, "|")?;
            if n == 0 {
                for (at, width) in widths.iter().enumerate() {
                    let end = if at < self.n_words { '-' } else { ':' };
                    write!(out, "|{}{end}", "-".repeat(width + 1))?;
                }
                writeln!(out, "|")?;
            }
        }
        Ok(())
    }
}

/// A text that Markdown takes for nothing but a text, on one line.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let is_within_a_word = before.is_alphanumeric() && chars.peek().is_some_and(|next| next.is_alphanumeric());
        before = c;
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '_' if is_within_a_word => escaped.push(c),
            '\\' | '|' | '`' | '*' | '[' | ']' | '_' => escaped.extend(['\\', c]),
            _ if c.is_control() => escaped.push(' '),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_padded_words_to_the_left_and_figures_to_the_right() {
        let mut table = Table::new(1, ["who", "µs"]);
        assert!(table.is_empty());
        table.row(["mcr", "7"]);
        table.row(["a longer one", "12 345"]);
        assert!(!table.is_empty());
        let expected = "\
| who          |     µs |
|--------------|-------:|
| mcr          |      7 |
| a longer one | 12 345 |
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn what_markdown_would_read_is_escaped() {
        assert_eq!(escaped("a|b\n<c> & `d` *e* [f](g) _h_ i_j"), r"a\|b &lt;c> &amp; \`d\` \*e\* \[f\](g) \_h\_ i_j");
    }
}
