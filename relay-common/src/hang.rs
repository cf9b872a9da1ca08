//! Whether a lane hangs: it has not come round for long although it could have.
//!
//! A lane that hangs is ended, and another goes on where it stood: nothing is lost by that. Still it must not be done to
//! one that would have come round: where the whole machine stood still (suspended, or a guest without a processor), or
//! where the lane was ready to run and others had its processor. So only looks count that were made on time, and a lane
//! that is ready to run has hung only if it did run.

/// A lane that has not come round for so long hangs.
pub const HANGS_NS: u64 = 2_000_000_000;
/// Whoever looks later than this after the look before was held up itself, and knows nothing of the time between.
pub const LATE_NS: u64 = 300_000_000;
/// A lane that is ready to run hangs if it ran for so much of that time: it turns in a circle.
pub const RAN_NS: u64 = 500_000_000;

/// What a process is doing, as far as that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It runs, or would if it had a processor.
    Ready,
    /// It waits for something, or was stopped.
    Waits,
    /// A debugger holds it, and somebody looks at it: it is let alone.
    Traced,
    /// Nobody may know: processes are hidden. How long it runs tells all the same.
    Hidden,
}

/// Looks at the heartbeat of one process, again and again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    last: u64,
    stands: Option<Stands>,
}

/// Since when the heartbeat stands still.
#[derive(Clone, Copy, Debug)]
struct Stands {
    since: u64,
    heartbeat: u64,
    /// How long the process had run by then.
    ran: u64,
    /// How long it had run at the last look, and since when it has not run.
    ran_last: u64,
    rests_since: u64,
}

impl Watch {
    /// A look at `now`: the heartbeat, what the process does, and how long it has run in all, in nanoseconds. Says
    /// whether it hangs.
    pub fn look(&mut self, now: u64, heartbeat: u64, activity: Activity, ran: u64) -> bool {
        let is_late = now.saturating_sub(core::mem::replace(&mut self.last, now)) > LATE_NS;
        let stands = self.stands.filter(|stands| stands.heartbeat == heartbeat && !is_late);
        let Some(mut stands) = stands else {
            self.stands = Some(Stands { since: now, heartbeat, ran, ran_last: ran, rests_since: now });
            return false;
        };
        if ran != stands.ran_last {
            (stands.ran_last, stands.rests_since) = (ran, now);
            self.stands = Some(stands);
        }
        let ran = ran.saturating_sub(stands.ran);
        let could = match activity {
            Activity::Ready => ran >= RAN_NS,
            Activity::Waits => true,
            Activity::Traced => false,
            // Whoever is starved runs a little, again and again. One that is stopped runs a little, too, on its way there.
            Activity::Hidden => now.saturating_sub(stands.rests_since) >= HANGS_NS || ran >= RAN_NS,
        };
        could && now.saturating_sub(stands.since) >= HANGS_NS
    }
}

#[cfg(test)]
mod tests {
    use super::{Activity, HANGS_NS, LATE_NS, Watch};

    const STEP: u64 = 100_000_000;

    /// Looks on time, at a heartbeat that stands still, for so long; the process runs for so many parts in a hundred.
    fn hangs_after(watch: &mut Watch, from: u64, during: u64, activity: Activity, percent: u64) -> Option<u64> {
        let mut at = from;
        while at <= from + during {
            if watch.look(at, 7, activity, (at - from) * percent / 100) {
                return Some(at - from);
            }
            at += STEP;
        }
        None
    }

    #[test]
    fn one_that_stands_still_hangs_after_two_seconds() {
        assert_eq!(hangs_after(&mut Watch::default(), 5, 2 * HANGS_NS, Activity::Waits, 0), Some(HANGS_NS));
        assert_eq!(hangs_after(&mut Watch::default(), 5, HANGS_NS - 1, Activity::Waits, 0), None);
    }

    #[test]
    fn one_that_comes_round_never_hangs() {
        let mut watch = Watch::default();
        for at in (0..100).map(|n| n * STEP) {
            assert!(!watch.look(at, at / (HANGS_NS - STEP), Activity::Waits, 0));
        }
    }

    #[test]
    fn one_that_has_no_processor_is_waited_for_and_one_that_turns_in_a_circle_is_not() {
        let after = |percent| hangs_after(&mut Watch::default(), 5, 10 * HANGS_NS, Activity::Ready, percent);
        assert_eq!(after(100), Some(HANGS_NS));
        assert_eq!(after(25), Some(HANGS_NS));
        assert_eq!(after(1), None, "starved");
    }

    #[test]
    fn one_that_is_hidden_hangs_if_it_turns_in_a_circle_or_does_not_run_at_all() {
        let after = |percent| hangs_after(&mut Watch::default(), 5, 10 * HANGS_NS, Activity::Hidden, percent);
        assert_eq!(after(100), Some(HANGS_NS));
        assert_eq!(after(0), Some(HANGS_NS));
        assert_eq!(after(1), None, "starved");
    }

    #[test]
    fn one_that_is_hidden_and_ran_a_little_on_its_way_to_a_stop_hangs_all_the_same() {
        let mut watch = Watch::default();
        let mut look = |n: u64, ran| watch.look(n * STEP, 5, Activity::Hidden, ran);
        assert!(!look(1, 0));
        // A signal that stops it takes a moment of its own time.
        assert!((2..=21).all(|n| !look(n, 50_000)));
        assert!(look(22, 50_000));
    }

    #[test]
    fn what_a_debugger_holds_is_let_alone() {
        assert_eq!(hangs_after(&mut Watch::default(), 5, 10 * HANGS_NS, Activity::Traced, 0), None);
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let mut watch = Watch::default();
        // The machine was suspended in between: both stood still.
        assert_eq!(hangs_after(&mut watch, STEP, STEP, Activity::Waits, 0), None);
        let later = STEP + 100 * HANGS_NS;
        assert_eq!(hangs_after(&mut watch, later, 2 * HANGS_NS, Activity::Waits, 0), Some(HANGS_NS));
        // Whoever looks is held up again and again.
        let mut watch = Watch::default();
        assert!((0..100).all(|n| !watch.look(n * (LATE_NS + 1), 7, Activity::Waits, 0)));
    }
}
