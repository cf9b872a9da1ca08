//! How much of a node works, as a share: of its relays, of its links. What VRRP's priority is made of.

use core::fmt;

/// All of it, in millionths.
const WHOLE: u32 = 1_000_000;

/// A part of something, in millionths. It is never more than all, and all only if nothing is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(WHOLE);

    /// So many of so many. Of nothing that is wanted, nothing is missing.
    #[must_use]
    pub fn of(n: u64, all: u64) -> Self {
        if n >= all {
            return Self::ALL;
        }
        // What is left out by this division makes it less, never more.
        let millionths = u128::from(n) * u128::from(WHOLE) / u128::from(all);
        Self(u32::try_from(millionths).unwrap_or(WHOLE - 1))
    }

    /// Reads a percentage: `90`, `90%`, `99.5%`, from 0 to 100 with at most four digits behind the point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(rest) || whole.len() > 3 || rest.len() > 4 {
            return None;
        }
        let scale = 10_u32.pow(4 - u32::try_from(rest.len()).ok()?);
        let share = whole.parse::<u32>().ok()? * 10_000 + rest.parse::<u32>().ok()? * scale;
        (share <= WHOLE).then_some(Self(share))
    }

    /// In percent, for machines.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// Whole percents that are missing, rounded up: 0 only if nothing is.
    #[must_use]
    pub const fn missing(self) -> u32 {
        (WHOLE - self.0).div_ceil(10_000)
    }

    /// As a number from 0 to 1.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }
}

/// For people: `90%`, `99.5%`. What is missing shows, however little it is: 262143 of 262144 are `99.9996%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut rest, mut digits) = (self.0 / 10_000, self.0 % 10_000, 4);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        // 97.5% rather than 97.5000%, and 66.6% rather than 66.6666%.
        while digits > 1 && (rest % 10 == 0 || whole < 99) {
            (rest, digits) = (rest / 10, digits - 1);
        }
        if rest == 0 { write!(f, "{whole}%") } else { write!(f, "{whole}.{rest:0digits$}%") }
    }
}

/// How much of several things works together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// How many there are.
    pub of: u32,
    /// How many of them work as a whole.
    pub whole: u32,
    /// How much of all of them works; each counts the same.
    pub share: Share,
}

impl Default for Sum {
    fn default() -> Self {
        Self { of: 0, whole: 0, share: Share::ALL }
    }
}

impl FromIterator<Share> for Sum {
    fn from_iter<T: IntoIterator<Item = Share>>(shares: T) -> Self {
        let (mut of, mut whole, mut millionths) = (0_u32, 0_u32, 0_u64);
        for share in shares {
            of = of.saturating_add(1);
            whole = whole.saturating_add(u32::from(share == Share::ALL));
            millionths += u64::from(share.0);
        }
        Self { of, whole, share: Share::of(millionths, u64::from(of) * u64::from(WHOLE)) }
    }
}

/// How much of a relay works: as many of its outputs as can send, and nothing while its input cannot take in.
#[must_use]
pub fn of_relay(input_works: bool, working: u64, outputs: u64) -> Share {
    if input_works { Share::of(working, outputs) } else { Share::NONE }
}

#[cfg(test)]
mod tests {
    use super::{Share, Sum, of_relay};
    use alloc::string::ToString as _;

    #[test]
    fn all_is_all_only_if_nothing_is_missing() {
        assert_eq!([Share::of(0, 0), Share::of(3, 3), Share::of(0, 9)], [Share::ALL, Share::ALL, Share::NONE]);
        let last = Share::of(262_143, 262_144);
        assert!(last < Share::ALL && last.missing() == 1 && last.to_string() == "99.9996%", "{last}");
        assert!(Share::of(9_999_999_999, 10_000_000_000) < Share::ALL);
        assert!(Share::of(u64::MAX - 1, u64::MAX) < Share::ALL);
    }

    #[test]
    fn a_share_is_read_as_it_is_written() {
        for text in ["0%", "1%", "50%", "66.6%", "99.5%", "99.9996%", "100%"] {
            assert_eq!(Share::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Share::parse("90"), Share::parse("90.0%"));
        assert_eq!(Share::of(2, 3).to_string(), "66.6%");
        for wrong in ["", "%", "101", "100.1", "-1", "1e2", "90 %", ".5", "5.", "99.99999", "0x1", "1.2.3", "1000"] {
            assert_eq!(Share::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn little_is_shown_as_nothing_and_never_as_a_bare_point() {
        assert_eq!(Share::of(1, 10_000).to_string(), "0%");
        assert_eq!(Share::of(1, 1000).to_string(), "0.1%");
        assert_eq!(Share::of(50_001, 100_000).to_string(), "50%");
    }

    #[test]
    fn relays_count_the_same_whatever_their_outputs() {
        let sum: Sum = [of_relay(true, 1, 1), of_relay(true, 32, 64), of_relay(false, 5, 5)].into_iter().collect();
        assert_eq!((sum.of, sum.whole, sum.share.to_string().as_str()), (3, 1, "50%"));
        assert_eq!(Sum::from_iter([]), Sum::default());
    }
}
