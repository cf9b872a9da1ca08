//! When a stream counts as interrupted and when as restored. Time is an argument, as everywhere.
//!
//! A stream that comes and goes is told of at a bounded rate: it is interrupted after `silence_after` without packets,
//! and restored only when packets have come for as long again without such a pause. So a pair of the two is never
//! closer than twice that time.

/// How long a stream must flow again before it counts as restored, however long its `silence_after` is.
pub const LONGEST_SETTLE_NS: u64 = 5_000_000_000;

/// What is known of a stream at a moment, over all lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Packets so far.
    pub packets: u64,
    /// When the last one came, in nanoseconds; anything while none has.
    pub last: u64,
}

/// What has become of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing has come for longer than is allowed.
    Interrupted {
        /// Since when, in nanoseconds.
        since: u64,
        /// Whether a packet has come before, since it is watched.
        came_before: bool,
    },
    /// It flows again.
    Restored {
        /// How long nothing came, in nanoseconds; pauses in between count as one.
        silent_ns: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Whether it flows is not known yet.
    Fresh,
    Flows,
    Silent,
    /// Packets come again, since that moment.
    Settling(u64),
}

/// The watch over one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    state: State,
    packets: u64,
    /// When the last packet came that is known, or the watch began.
    last: u64,
    /// When the silence began that is told of.
    silent_since: u64,
}

impl Watch {
    /// Begins to watch a stream. Packets that came before count for nothing: they may be of another's.
    #[must_use]
    pub const fn new(seen: Seen, now: u64) -> Self {
        Self { state: State::Fresh, packets: seen.packets, last: now, silent_since: now }
    }

    /// Whether the stream is interrupted.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self.state, State::Silent | State::Settling(_))
    }

    /// Looks at the stream. Without `silence_after` it may be silent for ever.
    pub fn look(&mut self, seen: Seen, silence_after: Option<u64>, now: u64) -> Option<Turn> {
        let came = seen.packets != self.packets;
        self.packets = seen.packets;
        let before = self.last;
        if came {
            // A lane's clock is this one, but it may have been read later than ours.
            self.last = seen.last.clamp(before, now.max(before));
        }
        let Some(silence_after) = silence_after else {
            self.state = State::Fresh;
            return None;
        };
        let is_silent = now.saturating_sub(self.last) > silence_after;
        match self.state {
            State::Fresh | State::Flows if is_silent => {
                let came_before = came || self.state == State::Flows;
                self.state = State::Silent;
                self.silent_since = self.last;
                Some(Turn::Interrupted { since: self.last, came_before })
            }
            State::Fresh if came => {
                self.state = State::Flows;
                None
            }
            State::Silent if came && !is_silent => {
                self.state = State::Settling(self.last);
                None
            }
            State::Settling(_) if is_silent => {
                self.state = State::Silent;
                None
            }
            State::Settling(since) if self.last.saturating_sub(since) >= silence_after.min(LONGEST_SETTLE_NS) => {
                self.state = State::Flows;
                Some(Turn::Restored { silent_ns: since.saturating_sub(self.silent_since) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_SETTLE_NS, Seen, Turn, Watch};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const AFTER: Option<u64> = Some(1000 * MS);

    /// Looks every 100 ms from `from` to `to`; a packet comes just before each look when `flows`.
    fn run(watch: &mut Watch, packets: &mut u64, flows: bool, from: u64, to: u64) -> Vec<(u64, Turn)> {
        let mut turns = Vec::new();
        for at in (from..to).step_by(100) {
            *packets += u64::from(flows);
            let seen = Seen { packets: *packets, last: if flows { at * MS } else { 0 } };
            turns.extend(watch.look(seen, AFTER, at * MS).map(|turn| (at, turn)));
        }
        turns
    }

    #[test]
    fn a_stream_that_stops_and_comes_back() {
        let mut packets = 7;
        let mut watch = Watch::new(Seen { packets, last: 3 }, 0);
        assert!(run(&mut watch, &mut packets, true, 100, 2000).is_empty());
        let turns = run(&mut watch, &mut packets, false, 2000, 5000);
        let since = 1900 * MS;
        assert_eq!(turns, [(3000, Turn::Interrupted { since, came_before: true })]);
        assert!(watch.is_silent());
        let turns = run(&mut watch, &mut packets, true, 5000, 9000);
        assert_eq!(turns, [(6000, Turn::Restored { silent_ns: 3100 * MS })]);
        assert!(!watch.is_silent());
    }

    #[test]
    fn a_stream_that_never_came_is_told_of_once_and_when_it_comes() {
        let mut packets = 40;
        let mut watch = Watch::new(Seen { packets, last: 5 }, 0);
        let turns = run(&mut watch, &mut packets, false, 100, 9000);
        assert_eq!(turns, [(1100, Turn::Interrupted { since: 0, came_before: false })]);
        let turns = run(&mut watch, &mut packets, true, 9000, 12_000);
        assert_eq!(turns, [(10_000, Turn::Restored { silent_ns: 9000 * MS })]);
    }

    #[test]
    fn a_pause_while_settling_is_part_of_the_same_silence() {
        let mut packets = 0;
        let mut watch = Watch::new(Seen::default(), 0);
        assert!(run(&mut watch, &mut packets, true, 100, 500).is_empty());
        assert_eq!(run(&mut watch, &mut packets, false, 500, 3000).len(), 1);
        assert!(run(&mut watch, &mut packets, true, 3000, 3500).is_empty());
        assert!(run(&mut watch, &mut packets, false, 3500, 6000).is_empty());
        let turns = run(&mut watch, &mut packets, true, 6000, 8000);
        assert_eq!(turns, [(7000, Turn::Restored { silent_ns: 5600 * MS })]);
    }

    #[test]
    fn a_stream_that_may_be_silent_is_never_told_of() {
        let mut watch = Watch::new(Seen::default(), 0);
        assert_eq!(watch.look(Seen { packets: 1, last: 1 }, None, 2), None);
        assert_eq!(watch.look(Seen { packets: 1, last: 1 }, None, 1 << 60), None);
        // Once it may not, the silence counts from the last packet.
        let turn = watch.look(Seen { packets: 1, last: 1 }, AFTER, 1 << 60);
        assert_eq!(turn, Some(Turn::Interrupted { since: 1, came_before: false }));
    }

    #[test]
    fn a_long_silence_is_allowed_but_settles_soon() {
        let hour = Some(3_600_000 * MS);
        let mut watch = Watch::new(Seen::default(), 0);
        assert!(watch.look(Seen::default(), hour, 3_600_001 * MS).is_some());
        let first = Seen { packets: 1, last: 4_000_000 * MS };
        assert_eq!(watch.look(first, hour, first.last), None);
        assert_eq!(watch.look(first, hour, first.last + LONGEST_SETTLE_NS), None, "one packet is no stream");
        let second = Seen { packets: 2, last: first.last + LONGEST_SETTLE_NS };
        let turn = watch.look(second, hour, second.last);
        assert_eq!(turn, Some(Turn::Restored { silent_ns: first.last }));
    }

    proptest! {
        /// Whatever comes, the two turns alternate, and a restored stream is never told of twice within the time.
        #[test]
        fn flapping_is_bounded(steps in proptest::collection::vec((1_u64..700, any::<bool>()), 1..200)) {
            let (mut now, mut packets) = (0, 0);
            let mut watch = Watch::new(Seen::default(), 0);
            let mut last = 0;
            let mut interrupted: Option<u64> = None;
            for (ms, comes) in steps {
                now += ms * MS;
                if comes {
                    packets += 1;
                    last = now;
                }
                match watch.look(Seen { packets, last }, AFTER, now) {
                    Some(Turn::Interrupted { since, .. }) => {
                        prop_assert!(interrupted.is_none());
                        prop_assert!(now - since > 1000 * MS);
                        interrupted = Some(now);
                    }
                    Some(Turn::Restored { silent_ns }) => {
                        let at = interrupted.take().unwrap();
                        prop_assert!(now - at >= 1000 * MS && silent_ns > 0);
                    }
                    None => {}
                }
                prop_assert_eq!(watch.is_silent(), interrupted.is_some());
            }
        }
    }
}
