//! What a process writes, made into lines for a log: bounded in length and in number, whatever it is.
//!
//! The process may be in a stranger's hands: a line holds no character that moves a cursor, and what comes faster than a
//! person reads is left out and counted.

use crate::throttle::{Bucket, Rate};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::mem::take;

/// A panic with its backtrace passes at once; after that ten lines a second.
const RATE: Rate = Rate { burst: 200, every: 100_000_000 };
/// A longer line goes on in the next one.
const MOST_BYTES: usize = 1024;

/// A line; an empty one where only lines that were left out are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// How many lines were left out before it.
    pub left_out: u64,
}

/// What one process has written and what has not been said of it.
#[derive(Debug)]
pub struct Written {
    /// The beginning of a line.
    begun: Vec<u8>,
    bucket: Bucket,
    left_out: u64,
    dropped: u64,
}

impl Default for Written {
    fn default() -> Self {
        Self { begun: Vec::new(), bucket: Bucket::FULL, left_out: 0, dropped: 0 }
    }
}

impl Written {
    /// More was written. Says the lines that are complete by it.
    pub fn add(&mut self, bytes: &[u8], now: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.begun.push(*byte);
            }
            if *byte == b'\n' || self.begun.len() == MOST_BYTES {
                lines.extend(self.complete(now));
            }
        }
        lines
    }

    /// Whoever wrote it has ended: what was begun is a line too.
    pub fn end(&mut self, now: u64) -> Option<Line> {
        self.complete(now)
    }

    /// Lines that were left out after the last one that was said, once that may be told.
    pub fn due(&mut self, now: u64) -> Option<Line> {
        if self.left_out == 0 || !self.bucket.may(RATE, now) {
            return None;
        }
        self.bucket.take(RATE, now);
        Some(Line { text: String::new(), left_out: take(&mut self.left_out) })
    }

    /// How many lines were left out since this was asked before.
    pub fn take_dropped(&mut self) -> u64 {
        take(&mut self.dropped)
    }

    fn complete(&mut self, now: u64) -> Option<Line> {
        let bytes = take(&mut self.begun);
        let text: String = String::from_utf8_lossy(&bytes).chars().map(shown).collect();
        let text = text.trim_end();
        if text.is_empty() {
            return None;
        }
        if !self.bucket.may(RATE, now) {
            self.left_out += 1;
            self.dropped += 1;
            return None;
        }
        self.bucket.take(RATE, now);
        Some(Line { text: text.to_string(), left_out: take(&mut self.left_out) })
    }
}

/// A character as it may stand in a log.
fn shown(c: char) -> char {
    // Also those that turn the direction of writing, and the ends of lines that are none in a file.
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::{Line, MOST_BYTES, RATE, Written};
    use alloc::string::{String, ToString as _};
    use alloc::vec::Vec;
    use alloc::{format, vec};
    use proptest::prelude::*;

    fn texts(lines: impl IntoIterator<Item = Line>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_told_when_they_are_whole() {
        let mut written = Written::default();
        assert_eq!(texts(written.add(b"thread 'main' pan", 1)), [""; 0]);
        assert_eq!(texts(written.add(b"icked:\nover\n\n  \nand", 1)), ["thread 'main' panicked:", "over"]);
        assert_eq!(texts(written.end(1)), ["and"]);
        assert_eq!(written.end(1), None);
    }

    #[test]
    fn what_is_no_text_moves_no_cursor() {
        let mut written = Written::default();
        let told = texts(written.add(b"a\x1b[2Jb\rc\xff\x07\xe2\x80\xaed\n", 1));
        assert_eq!(told, ["a [2Jb c\u{fffd}  d"]);
    }

    #[test]
    fn a_line_that_does_not_end_goes_on_in_the_next() {
        let mut written = Written::default();
        let told = texts(written.add(&vec![b'x'; 2 * MOST_BYTES + 1], 1));
        assert_eq!(told, ["x".repeat(MOST_BYTES), "x".repeat(MOST_BYTES)]);
        assert_eq!(texts(written.end(1)), ["x"]);
    }

    #[test]
    fn a_flood_is_left_out_and_counted() {
        let mut written = Written::default();
        let many = "again\n".repeat(1000);
        assert_eq!(written.add(many.as_bytes(), 1).len() as u64, RATE.burst);
        assert_eq!(written.due(1), None, "not before it may be said");
        let later = written.add(b"at last\n", 1 + RATE.every);
        assert_eq!(later, [Line { text: "at last".to_string(), left_out: 1000 - RATE.burst }]);
        written.add(many.as_bytes(), 1 + RATE.every);
        assert_eq!(written.due(1 + 2 * RATE.every), Some(Line { text: String::new(), left_out: 1000 }));
        assert_eq!((written.take_dropped(), written.take_dropped()), (2000 - RATE.burst, 0));
        assert_eq!(written.due(1 + 9 * RATE.every), None);
    }

    proptest! {
        /// However it is cut in pieces, each line is said or counted, and what is said is bounded.
        #[test]
        fn nothing_is_lost(pieces in proptest::collection::vec((0_u64..RATE.every, "[a-c\n]{0,300}"), 1..20)) {
            let mut written = Written::default();
            let (mut now, mut said, mut left_out, mut whole) = (1, 0, 0, String::new());
            for (ns, piece) in pieces {
                now += ns;
                whole.push_str(&piece);
                for line in written.add(piece.as_bytes(), now) {
                    prop_assert!(line.text.len() <= MOST_BYTES);
                    (said, left_out) = (said + 1, left_out + line.left_out);
                }
            }
            let last = written.end(now);
            said += u64::from(last.is_some());
            left_out += last.map_or(0, |line| line.left_out) + written.left_out;
            let lines = whole.split('\n').map(|line| line.len().div_ceil(MOST_BYTES) as u64);
            prop_assert_eq!(said + left_out, lines.sum::<u64>(), "{}", format!("{whole:?}"));
        }
    }
}
