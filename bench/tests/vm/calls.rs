//! What the guest's kernel itself says: how often its functions that copy frames were called, and those that do not.

use anyhow::Result;

use crate::guest::Guest;

/// Calls by the names that `init.sh` gives the functions; none where the kernel does not tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Vec<(String, u64)>);

impl Calls {
    /// Calls so far.
    pub(crate) fn so_far(guest: &mut Guest) -> Result<Self> {
        let (printed, _) = guest.attempt("cat /sys/kernel/tracing/kprobe_profile")?;
        let parse = |line: &str| {
            let mut words = line.split_whitespace();
            let (name, mut number) = (words.next()?.to_owned(), || words.next()?.parse::<u64>().ok());
            // Those that the kernel saw, and those that it missed because it was already looking at another.
            Some((name, number()? + number()?))
        };
        Ok(Self(printed.lines().filter_map(parse).collect()))
    }

    /// Calls between then and now.
    pub(crate) fn since(mut self, then: &Self) -> Self {
        for (name, count) in &mut self.0 {
            *count = count.saturating_sub(then.of(|other| other == name));
        }
        self
    }

    /// Whether the kernel tells of both functions that copy.
    pub(crate) fn are_told(&self) -> bool {
        ["rx_copy", "tx_copy"].iter().all(|name| self.0.iter().any(|(told, _)| told == name))
    }

    /// Calls of functions that copy.
    pub(crate) fn copying(&self) -> u64 {
        self.of(|name| name.ends_with("_copy"))
    }

    /// Calls of functions that hand frames to a driver without copying.
    pub(crate) fn handing_over(&self) -> u64 {
        self.of(|name| name.starts_with("tx_zero"))
    }

    fn of(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        self.0.iter().filter(|(name, _)| wanted(name)).map(|(_, count)| count).sum()
    }
}

#[test]
fn calls_are_counted_by_what_they_do() {
    let calls = |numbers: [u64; 4]| {
        let names = ["rx_copy", "tx_copy", "tx_zero", "tx_zero1"];
        Calls(names.iter().map(|name| (*name).to_owned()).zip(numbers).collect())
    };
    let between = calls([5, 7, 100, 11]).since(&calls([5, 6, 90, 1]));
    assert_eq!((between.copying(), between.handing_over()), (1, 20));
    assert!(between.are_told() && !Calls::default().are_told());
}
