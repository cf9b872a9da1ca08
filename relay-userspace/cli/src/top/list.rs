//! The cursor of a list, and what of the list is seen.

use super::keys::Key;

/// The cursor of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The row it stands on.
    pub(super) row: usize,
    /// The first row that is seen.
    pub(super) top: usize,
}

impl Cursor {
    /// Moves through a list of so many rows, of which so many are seen.
    pub(super) fn moved(&mut self, key: Key, n: usize, rows: usize) {
        self.row = match key {
            Key::Up => self.row.saturating_sub(1),
            Key::Down => self.row + 1,
            Key::PageUp => self.row.saturating_sub(rows),
            Key::PageDown => self.row + rows,
            Key::Home => 0,
            Key::End => n,
            _ => return,
        };
        self.settle(n, rows);
    }

    /// Stays within a list, and is seen.
    pub(super) fn settle(&mut self, n: usize, rows: usize) {
        self.row = self.row.min(n.saturating_sub(1));
        let lowest = (self.row + 1).saturating_sub(rows);
        self.top = self.top.clamp(lowest, self.row.max(lowest)).min(n.saturating_sub(rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_within_and_is_seen() {
        let mut cursor = Cursor::default();
        let mut walk = |keys: &[Key]| {
            keys.iter().for_each(|key| cursor.moved(*key, 10, 4));
            (cursor.row, cursor.top)
        };
        assert_eq!(walk(&[Key::Up]), (0, 0));
        assert_eq!(walk(&[Key::Down; 3]), (3, 0));
        assert_eq!(walk(&[Key::Down]), (4, 1));
        assert_eq!(walk(&[Key::Up; 2]), (2, 1));
        assert_eq!(walk(&[Key::PageDown]), (6, 3));
        assert_eq!(walk(&[Key::End]), (9, 6));
        assert_eq!(walk(&[Key::Down, Key::PageDown, Key::Enter]), (9, 6));
        assert_eq!(walk(&[Key::PageUp]), (5, 5));
        assert_eq!(walk(&[Key::Home]), (0, 0));
        cursor = Cursor { row: 9, top: 6 };
        cursor.settle(3, 4);
        assert_eq!((cursor.row, cursor.top), (2, 0));
        cursor.settle(0, 0);
        assert_eq!((cursor.row, cursor.top), (0, 0));
    }
}
