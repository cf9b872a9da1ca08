//! How long the turns of the loop take: the longest of the last minutes, in processor time and by the clock, and how long
//! one has waited.

use nix::sys::resource::{UsageWho, getrusage};
use relay_engine::clock::{now_ns, thread_ns};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The longest is of this window and of the one before it: of the last five to ten minutes.
const WINDOW_NS: u64 = 300_000_000_000;

/// The longest turns. The loop notes them, everybody may look.
#[derive(Debug, Default)]
pub struct Turns {
    processor: Longest,
    wall: Longest,
    waited: Longest,
}

/// How long a turn took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Processor time of the loop's thread, with all that the runtime does in it.
    pub processor: u64,
    /// By the clock: where others have the processor it is longer.
    pub wall: u64,
    /// In calls that waited, for a disk or a lock: nothing where the thread never gave the processor up by itself.
    pub waited: u64,
}

/// A moment of the calling thread, from which on its time is measured.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    wall: u64,
    processor: u64,
    /// How often it had given the processor up by itself.
    gave_up: i64,
}

impl Mark {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        // It cannot fail; if it did, nothing would have been waited.
        let gave_up = getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches());
        Self { wall: now_ns(), processor: thread_ns(), gave_up }
    }

    /// How long ago it was, by the clock.
    #[must_use]
    pub const fn wall(&self, now: u64) -> u64 {
        now.saturating_sub(self.wall)
    }

    /// How long the thread has waited since.
    #[must_use]
    pub fn waited(&self) -> u64 {
        let now = Self::now();
        let (wall, processor) = (now.wall - self.wall, now.processor - self.processor);
        if now.gave_up == self.gave_up { 0 } else { wall.saturating_sub(processor) }
    }
}

#[derive(Debug, Default)]
struct Longest {
    /// The number of the window.
    window: AtomicU64,
    of_window: AtomicU64,
    of_before: AtomicU64,
}

impl Turns {
    /// A turn has taken so long. Only the loop notes.
    pub fn note(&self, turn: Turn, now: u64) {
        self.processor.note(turn.processor, now);
        self.wall.note(turn.wall, now);
        self.waited.note(turn.waited, now);
    }

    /// The longest of the last minutes.
    #[must_use]
    pub fn longest(&self, now: u64) -> Turn {
        Turn { processor: self.processor.read(now), wall: self.wall.read(now), waited: self.waited.read(now) }
    }
}

impl Longest {
    fn note(&self, took: u64, now: u64) {
        let (window, last) = (now / WINDOW_NS, self.window.load(Relaxed));
        if window != last {
            let before = if window == last + 1 { self.of_window.load(Relaxed) } else { 0 };
            self.of_before.store(before, Relaxed);
            self.of_window.store(0, Relaxed);
            self.window.store(window, Relaxed);
        }
        self.of_window.fetch_max(took, Relaxed);
    }

    fn read(&self, now: u64) -> u64 {
        let of_window = self.of_window.load(Relaxed);
        match (now / WINDOW_NS).saturating_sub(self.window.load(Relaxed)) {
            0 => of_window.max(self.of_before.load(Relaxed)),
            1 => of_window,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Turn, Turns, WINDOW_NS};
    use std::time::Duration;

    #[test]
    fn who_waits_has_waited_and_who_computes_has_not() {
        let mark = Mark::now();
        std::thread::sleep(Duration::from_millis(20));
        let waited = mark.waited();
        assert!(waited > 10_000_000, "{waited}");
        let mark = Mark::now();
        let sum = (0..3_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum + n));
        assert!(sum > 0);
        assert_eq!(mark.waited(), 0);
    }

    #[test]
    fn the_longest_is_forgotten_after_two_windows() {
        let turns = Turns::default();
        let turn = |processor| Turn { processor, wall: 2 * processor, waited: 3 * processor };
        let at = |windows: u64| 7 * WINDOW_NS + windows * WINDOW_NS;
        assert_eq!(turns.longest(at(0)), turn(0));
        turns.note(turn(5), at(0));
        turns.note(turn(3), at(0) + 1);
        assert_eq!(turns.longest(at(0) + 2), turn(5));
        assert_eq!(turns.longest(at(1)), turn(5), "the loop has not come round since");
        turns.note(turn(2), at(1));
        assert_eq!(turns.longest(at(1)), turn(5));
        turns.note(turn(1), at(2));
        assert_eq!(turns.longest(at(2)), turn(2));
        assert_eq!(turns.longest(at(4)), turn(0));
        turns.note(turn(4), at(9));
        assert_eq!(turns.longest(at(9)), turn(4));
    }
}
