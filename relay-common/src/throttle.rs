//! How often something is said. A burst passes; of what comes faster than that only the latest is kept, with the
//! number of those before it, and is said as soon as it may be. So what was said last is what happened last.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// So many at once, and then one each so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many pass at once.
    pub burst: u64,
    /// After how many nanoseconds another one may.
    pub every: u64,
}

/// What has passed, as the moment up to which the rate is used up: one `every` further for each that passed, and never
/// more than a burst of them beyond now.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    used_up_to: u64,
}

impl Bucket {
    const FULL: Self = Self { used_up_to: 0 };

    fn may(self, rate: Rate, now: u64) -> bool {
        self.used_up_to.max(now) + rate.every <= now + rate.burst * rate.every
    }

    fn take(&mut self, rate: Rate, now: u64) {
        self.used_up_to = self.used_up_to.max(now) + rate.every;
    }

    const fn is_full(self, now: u64) -> bool {
        self.used_up_to <= now
    }
}

/// Something that may be said, and how many like it were not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// The thing.
    pub thing: T,
    /// How many of the same topic and subject were left out before it.
    pub held_back: u64,
}

#[derive(Debug)]
struct Slot<T> {
    bucket: Bucket,
    /// The latest that was held back, and how many before it are left out.
    held: Option<Said<T>>,
}

/// The limits of a set of topics, each about many subjects.
#[derive(Debug)]
pub struct Throttle<T> {
    per_subject: Rate,
    per_topic: Rate,
    /// Subjects that are told apart; those beyond share one slot.
    max_subjects: usize,
    topics: BTreeMap<&'static str, Bucket>,
    slots: BTreeMap<(&'static str, String), Slot<T>>,
}

impl<T> Throttle<T> {
    /// Nothing was said yet.
    #[must_use]
    pub const fn new(per_subject: Rate, per_topic: Rate, max_subjects: usize) -> Self {
        Self { per_subject, per_topic, max_subjects, topics: BTreeMap::new(), slots: BTreeMap::new() }
    }

    /// Whether this may be said now. If not it is kept in the place of what was kept before of the same topic and
    /// subject. The second value is what will never be said because of that.
    pub fn offer(&mut self, topic: &'static str, subject: String, thing: T, now: u64) -> (Option<Said<T>>, Option<T>) {
        let (per_subject, per_topic) = (self.per_subject, self.per_topic);
        let whole = self.topics.entry(topic).or_insert(Bucket::FULL);
        let mut key = (topic, subject);
        if self.slots.len() >= self.max_subjects && !self.slots.contains_key(&key) {
            key.1 = String::new();
        }
        let slot = self.slots.entry(key).or_insert(Slot { bucket: Bucket::FULL, held: None });
        let (left_out, before) = match slot.held.take() {
            Some(held) => (Some(held.thing), held.held_back + 1),
            None => (None, 0),
        };
        let said = Said { thing, held_back: before };
        if whole.may(per_topic, now) && slot.bucket.may(per_subject, now) {
            whole.take(per_topic, now);
            slot.bucket.take(per_subject, now);
            return (Some(said), left_out);
        }
        slot.held = Some(said);
        (None, left_out)
    }

    /// What was held back and may be said now. Forgets subjects of which nothing was said for long.
    pub fn due(&mut self, now: u64) -> Vec<Said<T>> {
        let (per_subject, per_topic) = (self.per_subject, self.per_topic);
        let topics = &mut self.topics;
        let mut due = Vec::new();
        self.slots.retain(|(topic, _), slot| {
            let whole = topics.entry(topic).or_insert(Bucket::FULL);
            if slot.held.is_some() && whole.may(per_topic, now) && slot.bucket.may(per_subject, now) {
                whole.take(per_topic, now);
                slot.bucket.take(per_subject, now);
                due.extend(slot.held.take());
            }
            slot.held.is_some() || !slot.bucket.is_full(now)
        });
        due
    }

    /// Everything that is held back, whether it may be said or not: for the end.
    pub fn rest(&mut self) -> Vec<Said<T>> {
        core::mem::take(&mut self.slots).into_values().filter_map(|slot| slot.held).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Rate, Said, Throttle};
    use alloc::string::ToString;
    use alloc::{format, vec, vec::Vec};
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;
    const PER_SUBJECT: Rate = Rate { burst: 3, every: S };
    const PER_TOPIC: Rate = Rate { burst: 5, every: S / 10 };

    fn throttle() -> Throttle<u32> {
        Throttle::new(PER_SUBJECT, PER_TOPIC, 100)
    }

    #[test]
    fn a_burst_passes_and_the_last_of_the_rest_is_said_with_a_count() {
        let mut throttle = throttle();
        let now = 100 * S;
        let said: Vec<u32> =
            (0..10).filter_map(|n| throttle.offer("lane", "0".into(), n, now).0).map(|said| said.thing).collect();
        assert_eq!(said, [0, 1, 2]);
        assert_eq!(throttle.due(now), []);
        assert_eq!(throttle.due(now + S), [Said { thing: 9, held_back: 6 }]);
        assert_eq!(throttle.due(now + 2 * S), []);
    }

    #[test]
    fn a_machine_that_has_just_booted_is_not_held_back() {
        let mut throttle = throttle();
        assert_eq!((0..3).filter(|n| throttle.offer("lane", "0".into(), *n, 1).0.is_some()).count(), 3);
    }

    #[test]
    fn the_next_that_passes_tells_the_count() {
        let mut throttle = throttle();
        let now = 100 * S;
        for n in 0..5 {
            throttle.offer("lane", "0".into(), n, now);
        }
        let (said, left_out) = throttle.offer("lane", "0".into(), 5, now + S);
        assert_eq!(said, Some(Said { thing: 5, held_back: 2 }));
        assert_eq!(left_out, Some(4));
        assert_eq!(throttle.rest(), []);
    }

    #[test]
    fn subjects_do_not_hold_each_other_back_until_the_topic_does() {
        let mut throttle = throttle();
        let now = 100 * S;
        let said = (0..8).filter(|n| throttle.offer("stream", n.to_string(), *n, now).0.is_some()).count();
        assert_eq!(said, 5);
        assert!(throttle.offer("link", "in0".into(), 1, now).0.is_some(), "another topic");
        // Each of the others is said in time, none is lost.
        let due: Vec<u32> = (1..=3).flat_map(|i| throttle.due(now + i * S / 10)).map(|said| said.thing).collect();
        assert_eq!(due, [5, 6, 7]);
    }

    #[test]
    fn the_end_tells_what_is_left() {
        let mut throttle = throttle();
        for n in 0..5 {
            throttle.offer("lane", "0".into(), n, S * 100);
        }
        assert_eq!(throttle.rest(), [Said { thing: 4, held_back: 1 }]);
    }

    #[test]
    fn memory_is_bounded_by_the_subjects() {
        let mut throttle: Throttle<u32> = Throttle::new(PER_SUBJECT, Rate { burst: 1000, every: 1 }, 10);
        for n in 0..100 {
            throttle.offer("relay", format!("r{n}"), n, S * 100);
        }
        assert_eq!(throttle.slots.len(), 11);
        // Long after, nothing is remembered.
        throttle.due(S * 102);
        throttle.due(S * 200);
        assert!(throttle.slots.is_empty());
    }

    proptest! {
        /// Whatever happens, everything is said or counted, and nothing faster than the rate.
        #[test]
        fn nothing_is_lost(steps in proptest::collection::vec((0_u64..S, 0_u32..3), 1..200)) {
            let mut throttle = throttle();
            let mut now = 0;
            let (mut offered, mut accounted) = (0, 0);
            let mut times: Vec<Vec<u64>> = vec![Vec::new(); 3];
            for (ns, subject) in steps {
                now += ns;
                offered += 1;
                let (said, _) = throttle.offer("lane", subject.to_string(), subject, now);
                for said in said.into_iter().chain(throttle.due(now)) {
                    accounted += 1 + said.held_back;
                    times[said.thing as usize].push(now);
                }
            }
            accounted += throttle.rest().iter().map(|said| 1 + said.held_back).sum::<u64>();
            prop_assert_eq!(offered, accounted);
            for times in times {
                // Within any window of a second there are no more than a burst and the one that became due.
                for window in times.windows(5) {
                    prop_assert!(window[4] - window[0] >= S);
                }
            }
        }
    }
}
