//! How long the turns of the loop take: the longest of the last minutes, in processor time and by the clock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The longest is of this window and of the one before it: of the last five to ten minutes.
const WINDOW_NS: u64 = 300_000_000_000;

/// The longest turns. The loop notes them, everybody may look.
#[derive(Debug, Default)]
pub struct Turns {
    processor: Longest,
    wall: Longest,
}

/// How long a turn took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Processor time of the loop's thread, with all that the runtime does in it.
    pub processor: u64,
    /// By the clock: where others have the processor it is longer.
    pub wall: u64,
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
    }

    /// The longest of the last minutes.
    #[must_use]
    pub fn longest(&self, now: u64) -> Turn {
        Turn { processor: self.processor.read(now), wall: self.wall.read(now) }
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
    use super::{Turn, Turns, WINDOW_NS};

    #[test]
    fn the_longest_is_forgotten_after_two_windows() {
        let turns = Turns::default();
        let turn = |processor| Turn { processor, wall: 2 * processor };
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
