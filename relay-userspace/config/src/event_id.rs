//! What an event is called: the history that it belongs to, and its number in it.

use std::fmt;
use std::str::FromStr;

/// So many bits name a history: two that are met by chance are the same once in some hundred million million.
const BITS: u32 = 48;

/// A row of events whose numbers follow each other. It goes on over restarts, upgrades and deaths of control; where
/// nothing is left of it, as after the machine was booted, another begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History(u64);

impl History {
    /// Returns the history that is named by a number, of which the lower bits are taken.
    #[must_use]
    pub const fn of(number: u64) -> Self {
        Self(number & ((1 << BITS) - 1))
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$x}", self.0, width = BITS as usize / 4)
    }
}

/// The name of an event. No other ever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// The history that it belongs to.
    pub history: History,
    /// Its number there: the one before has the number before.
    pub number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.history, self.number)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (history, number) = text.split_once('-').ok_or(())?;
        let is_history = history.len() == BITS as usize / 4 && history.bytes().all(|c| c.is_ascii_hexdigit());
        let history = if is_history { u64::from_str_radix(history, 16).map_err(drop)? } else { return Err(()) };
        Ok(Self { history: History(history), number: digits(number).ok_or(())? })
    }
}

/// The event after which a follower goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// By its name.
    Id(Id),
    /// By its number in the history that goes on now.
    Number(u64),
}

impl FromStr for After {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        digits(text).map(Self::Number).or_else(|| text.parse().ok().map(Self::Id)).ok_or(())
    }
}

/// A number without sign, space or decoration.
fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|c| c.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{After, History, Id};

    #[test]
    fn a_name_is_written_and_read() {
        let id = Id { history: History(0xab), number: 7 };
        assert_eq!(id.to_string(), "0000000000ab-7");
        assert_eq!("0000000000ab-7".parse(), Ok(id));
        assert_eq!("0000000000ab-7".parse(), Ok(After::Id(id)));
        assert_eq!("1041".parse(), Ok(After::Number(1041)));
        for wrong in [
            "",
            "-",
            "7-",
            "-7",
            "ab-7",
            "0000000000ab-",
            "0000000000ab-+7",
            "+00000000ab-7",
            "0000000000ag-7",
            "1.0",
            " 7",
        ] {
            assert_eq!(wrong.parse::<After>(), Err(()), "{wrong:?}");
        }
    }
}
