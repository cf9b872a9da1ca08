//! Where a command writes: what was asked for goes out, what is said besides goes to the side.

use std::io::{self, IsTerminal, Write};

/// Where a command writes.
#[derive(Debug)]
pub struct Screen<O, E> {
    /// What was asked for.
    pub out: O,
    /// What is said besides.
    pub side: E,
    /// How what was asked for is coloured.
    pub paint: Paint,
    /// Whether somebody watches what is said besides.
    pub live: bool,
}

/// The screen of a command that was called.
#[must_use]
pub fn standard() -> Screen<io::StdoutLock<'static>, io::Stderr> {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let paint = Paint { colours: wanted && io::stdout().is_terminal() };
    Screen { out: io::stdout().lock(), side: io::stderr(), paint, live: io::stderr().is_terminal() }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paint {
    /// Whether there are colours.
    pub colours: bool,
}

/// What a text means, which gives it its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// All is well, or something is new.
    Good,
    /// Somebody should look, or something is another.
    Warn,
    /// Something is broken, or gone.
    Bad,
    /// Less important.
    Dim,
    /// A heading.
    Head,
}

impl Paint {
    /// A text in the colour of its meaning.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Head => "1",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl<O: Write, E: Write> Screen<O, E> {
    /// Writes the API's own bytes, and a line's end.
    pub(super) fn json(&mut self, body: &[u8]) -> io::Result<()> {
        self.out.write_all(body.trim_ascii_end())?;
        self.out.write_all(b"\n")
    }

    /// Says something besides, as far as anybody listens.
    pub(super) fn note(&mut self, text: &str) {
        let _ = writeln!(self.side, "mcr: {text}");
    }
}

/// A text of the network without what would play tricks on a terminal.
#[must_use]
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_out_when_nobody_wants_them() {
        assert_eq!(Paint { colours: true }.paint(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(Paint { colours: true }.paint(Tone::Plain, "x"), "x");
        assert_eq!(Paint::default().paint(Tone::Bad, "x"), "x");
        assert_eq!(plain("a\x1b[2Jb\n"), "a [2Jb ");
    }
}
