//! Texts that are fit for a terminal, as wide as there is room.

use ratatui::text::Span;

/// A text of the network without what would play tricks on a terminal: no control characters, and none that turn or hide
/// what stands beside them.
pub(super) fn clean(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || is_unseen(c) => '?',
        c => c,
    };
    text.chars().map(safe).collect()
}

/// Marks of direction, joiners, and other characters that take no room but change what is seen.
const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// How many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// A text in lines of this width, broken between words where that can be; all but the first begin with so many spaces.
pub(super) fn wrap(text: &str, room: usize, indent: usize) -> Vec<String> {
    let room = room.max(indent + 8);
    let mut lines = Vec::new();
    let mut line = text.chars().take_while(|c| *c == ' ').collect::<String>();
    let (mut is_begun, mut gap) = (false, 0);
    for word in text.trim_start_matches(' ').split(' ') {
        gap += usize::from(is_begun);
        if is_begun && width(&line) + gap + width(word) > room {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            gap = 0;
        }
        if word.is_empty() {
            continue;
        }
        line.push_str(&" ".repeat(gap));
        for c in word.chars() {
            if width(&line) >= room {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            }
            line.push(c);
        }
        (is_begun, gap) = (true, 0);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_moves_it() {
        let every: String = (0..=0x2100).filter_map(char::from_u32).collect();
        assert!(clean(&every).chars().all(|c| !c.is_control() && !is_unseen(c)));
        assert_eq!(clean("a\x1b[2J\u{9b}1m\u{7f}b\n\u{202e}c"), "a?[2J?1m?b ?c");
        assert_eq!(clean("caf\u{e9} \u{4e2d}"), "caf\u{e9} \u{4e2d}");
    }

    #[test]
    fn lines_break_between_words_or_within_a_long_one() {
        assert_eq!(wrap("one two three", 9, 1), ["one two", " three"]);
        assert_eq!(wrap("  one  two", 80, 4), ["  one  two"]);
        assert_eq!(wrap("", 80, 0), [""]);
        assert_eq!(wrap("abcdefghijklm no", 10, 2), ["abcdefghij", "  klm no"]);
        for line in wrap(&"\u{4e2d}".repeat(30), 11, 2) {
            assert!(width(&line) <= 12, "{line}");
        }
    }
}
