//! The last minute of a rate.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back it reaches.
const MINUTE: Duration = Duration::from_secs(60);

/// The last minute of a rate: one number a second, however often the node is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History(VecDeque<(Duration, f64)>);

impl History {
    /// Keeps what the rate is now.
    pub(super) fn note(&mut self, now: Duration, rate: f64) {
        if self.0.back().is_some_and(|(at, _)| at.as_secs() == now.as_secs()) {
            self.0.pop_back();
        }
        self.0.push_back((now, rate));
        while self.0.front().is_some_and(|(at, _)| now.saturating_sub(*at) > MINUTE) {
            self.0.pop_front();
        }
    }

    /// The minute in so many parts, the oldest first: the mean of each; none where nothing was known. A number holds
    /// for so long if none follows. Parts begin at the same times whoever looks when, so that what was drawn once moves
    /// on and does not change.
    pub(super) fn parts(&self, now: Duration, n: usize, hold: Duration) -> Vec<Option<f64>> {
        let Some(length) = u128::try_from(n).ok().and_then(|n| MINUTE.as_nanos().checked_div(n)).filter(|l| *l > 0)
        else {
            return Vec::new();
        };
        let (newest, hold) = (now.as_nanos() / length, hold.as_nanos());
        let mut noted = self.0.iter().map(|(at, rate)| (at.as_nanos(), *rate)).peekable();
        let mut last: Option<(u128, f64)> = None;
        let mut part = |i: usize| {
            let begin = (newest + 1 + i as u128).checked_sub(n as u128)? * length;
            let (mut sum, mut count) = (0.0, 0_u32);
            while let Some((at, rate)) = noted.next_if(|(at, _)| *at < begin + length) {
                if at >= begin {
                    (sum, count) = (sum + rate, count + 1);
                }
                last = Some((at, rate));
            }
            let held = || last.filter(|(at, _)| begin.saturating_sub(*at) <= hold).map(|(_, rate)| rate);
            if count > 0 { Some(sum / f64::from(count)) } else { held() }
        };
        (0..n).map(&mut part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Duration {
        SECOND * (seconds + 600)
    }

    #[test]
    fn a_minute_is_kept_and_no_more() {
        let mut history = History::default();
        for second in 0..200 {
            history.note(at(second), f64::from(second));
            history.note(at(second) + SECOND / 2, f64::from(second));
        }
        assert!(history.0.len() <= 61, "{}", history.0.len());
        let parts = history.parts(at(199), 12, SECOND);
        assert_eq!(parts.last(), Some(&Some(197.0)), "the mean of 195 to 199");
        assert_eq!(parts.first(), Some(&Some(142.0)));
    }

    #[test]
    fn what_was_drawn_moves_on_and_does_not_change() {
        let mut history = History::default();
        (0..60).for_each(|second| history.note(at(second), f64::from(second % 7)));
        let before = history.parts(at(59), 12, SECOND);
        history.note(at(60), 1.0);
        let after = history.parts(at(60), 12, SECOND);
        assert_eq!(before[1..], after[..11]);
    }

    #[test]
    fn a_hole_is_a_hole_unless_a_number_holds() {
        let mut history = History::default();
        assert_eq!(history.parts(at(0), 3, SECOND), [None, None, None]);
        assert!(history.parts(at(0), 0, SECOND).is_empty());
        history.note(at(0), 5.0);
        history.note(at(45), 7.0);
        let parts = history.parts(at(59), 6, SECOND);
        assert_eq!(parts, [Some(5.0), None, None, None, Some(7.0), None]);
        let held = history.parts(at(59), 6, SECOND * 20);
        assert_eq!(held, [Some(5.0), Some(5.0), Some(5.0), None, Some(7.0), Some(7.0)]);
        // A clock that has just begun has no minute behind it.
        let mut history = History::default();
        history.note(SECOND, 5.0);
        assert_eq!(history.parts(SECOND, 3, SECOND), [None, None, Some(5.0)]);
    }
}
