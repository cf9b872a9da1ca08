//! How often something is said. A burst passes; of what comes faster than that only the latest is kept, with the
//! number of those before it, and is said as soon as it may be. So what was said last is what happened last. What must
//! not be lost (a removal) keeps its place before the latest. Who has waited longest is served first.

use alloc::collections::{BTreeMap, VecDeque};
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
pub(crate) struct Bucket {
    used_up_to: u64,
}

impl Bucket {
    pub(crate) const FULL: Self = Self { used_up_to: 0 };

    pub(crate) fn may(self, rate: Rate, now: u64) -> bool {
        self.used_up_to.max(now) + rate.every <= now + rate.burst * rate.every
    }

    pub(crate) fn take(&mut self, rate: Rate, now: u64) {
        self.used_up_to = self.used_up_to.max(now) + rate.every;
    }

    const fn is_full(self, now: u64) -> bool {
        self.used_up_to <= now
    }
}

/// What becomes of something that is held back when more of its topic and subject comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Displaced {
    /// What comes later takes its place.
    ByAnything,
    /// It is said all the same, before what comes later; only another that lasts takes its place.
    OnlyByItsLike,
}

/// Something that may be said, and how many like it were not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// The thing.
    pub thing: T,
    /// How many of the same topic and subject were left out before it.
    pub held_back: u64,
}

/// What becomes of things that are offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// May be said now, in this order.
    pub said: Vec<Said<T>>,
    /// Will never be said.
    pub left_out: Vec<T>,
}

/// What is held back of one topic and subject, in the order in which it happened.
#[derive(Debug)]
struct Slot<T> {
    bucket: Bucket,
    lasting: Option<Said<T>>,
    latest: Option<Said<T>>,
    /// Whether it stands in the line of its topic.
    waits: bool,
}

impl<T> Slot<T> {
    const EMPTY: Self = Self { bucket: Bucket::FULL, lasting: None, latest: None, waits: false };

    const fn holds(&self) -> bool {
        self.lasting.is_some() || self.latest.is_some()
    }

    /// Keeps something. What it displaces counts as left out before it.
    fn keep(&mut self, thing: T, displaced: Displaced, left_out: &mut Vec<T>) {
        let mut held_back = 0;
        let mut displace = |held: Option<Said<T>>| {
            if let Some(held) = held {
                held_back += held.held_back + 1;
                left_out.push(held.thing);
            }
        };
        if displaced == Displaced::OnlyByItsLike {
            displace(self.lasting.take());
        }
        displace(self.latest.take());
        let place = if displaced == Displaced::OnlyByItsLike { &mut self.lasting } else { &mut self.latest };
        *place = Some(Said { thing, held_back });
    }

    /// Says what it may, the oldest first.
    fn say(&mut self, whole: &mut Bucket, rates: (Rate, Rate), now: u64, said: &mut Vec<Said<T>>) {
        let (per_subject, per_topic) = rates;
        while self.holds() && whole.may(per_topic, now) && self.bucket.may(per_subject, now) {
            whole.take(per_topic, now);
            self.bucket.take(per_subject, now);
            said.extend(self.lasting.take().or_else(|| self.latest.take()));
        }
    }
}

/// A topic, and the subjects of which something is held back: who has waited longest stands first.
#[derive(Debug)]
struct Topic {
    bucket: Bucket,
    line: VecDeque<String>,
}

/// The limits of a set of topics, each about many subjects.
#[derive(Debug)]
pub struct Throttle<T> {
    per_subject: Rate,
    per_topic: Rate,
    /// Subjects that are told apart; those beyond share one slot.
    max_subjects: usize,
    topics: BTreeMap<&'static str, Topic>,
    slots: BTreeMap<(&'static str, String), Slot<T>>,
}

impl<T> Throttle<T> {
    /// Nothing was said yet.
    #[must_use]
    pub const fn new(per_subject: Rate, per_topic: Rate, max_subjects: usize) -> Self {
        Self { per_subject, per_topic, max_subjects, topics: BTreeMap::new(), slots: BTreeMap::new() }
    }

    /// What may be said of this topic now that there is one thing more: those that have waited for longer come first. What
    /// may not yet is kept, in the place of what was kept before of the same subject.
    pub fn offer(
        &mut self,
        topic: &'static str,
        subject: String,
        thing: T,
        displaced: Displaced,
        now: u64,
    ) -> Answer<T> {
        let mut answer = Answer { said: self.due_of(topic, now), left_out: Vec::new() };
        let rates = (self.per_subject, self.per_topic);
        let of_topic = self.topics.entry(topic).or_insert(Topic { bucket: Bucket::FULL, line: VecDeque::new() });
        let mut key = (topic, subject);
        if self.slots.len() >= self.max_subjects && !self.slots.contains_key(&key) {
            key.1 = String::new();
        }
        let subject = key.1.clone();
        let slot = self.slots.entry(key).or_insert(Slot::EMPTY);
        slot.keep(thing, displaced, &mut answer.left_out);
        slot.say(&mut of_topic.bucket, rates, now, &mut answer.said);
        if slot.holds() && !core::mem::replace(&mut slot.waits, true) {
            of_topic.line.push_back(subject);
        }
        answer
    }

    /// What was held back and may be said now. Forgets subjects of which nothing was said for long.
    pub fn due(&mut self, now: u64) -> Vec<Said<T>> {
        let topics: Vec<&'static str> = self.topics.keys().copied().collect();
        let due = topics.into_iter().flat_map(|topic| self.due_of(topic, now)).collect();
        self.slots.retain(|_, slot| slot.holds() || !slot.bucket.is_full(now));
        due
    }

    /// What was held back of one topic and may be said now.
    fn due_of(&mut self, topic: &'static str, now: u64) -> Vec<Said<T>> {
        let (rates, mut due) = ((self.per_subject, self.per_topic), Vec::new());
        let Some(Topic { bucket, line }) = self.topics.get_mut(topic) else { return due };
        // Those whose own limit is reached keep their places; one that is served and holds more goes to the end.
        let (mut early, mut at_the_end) = (Vec::new(), Vec::new());
        while bucket.may(self.per_topic, now)
            && let Some(subject) = line.pop_front()
        {
            let mut key = (topic, subject);
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            let before = due.len();
            slot.say(bucket, rates, now, &mut due);
            slot.waits = slot.holds();
            if slot.waits {
                let place = if due.len() == before { &mut early } else { &mut at_the_end };
                place.push(core::mem::take(&mut key.1));
            }
        }
        early.into_iter().rev().for_each(|subject| line.push_front(subject));
        line.extend(at_the_end);
        due
    }

    /// Everything that is held back, whether it may be said or not: for the end.
    pub fn rest(&mut self) -> Vec<Said<T>> {
        self.topics.clear();
        let slots = core::mem::take(&mut self.slots).into_values();
        slots.flat_map(|slot| [slot.lasting, slot.latest]).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Displaced, Rate, Said, Throttle};
    use alloc::string::ToString;
    use alloc::{format, vec, vec::Vec};
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;
    const PER_SUBJECT: Rate = Rate { burst: 3, every: S };
    const PER_TOPIC: Rate = Rate { burst: 5, every: S / 10 };

    fn throttle() -> Throttle<u32> {
        Throttle::new(PER_SUBJECT, PER_TOPIC, 100)
    }

    /// Offers something that anything displaces.
    fn offer(throttle: &mut Throttle<u32>, topic: &'static str, subject: &str, thing: u32, now: u64) -> Vec<Said<u32>> {
        throttle.offer(topic, subject.into(), thing, Displaced::ByAnything, now).said
    }

    #[test]
    fn a_burst_passes_and_the_last_of_the_rest_is_said_with_a_count() {
        let mut throttle = throttle();
        let now = 100 * S;
        let said: Vec<u32> =
            (0..10).flat_map(|n| offer(&mut throttle, "lane", "0", n, now)).map(|said| said.thing).collect();
        assert_eq!(said, [0, 1, 2]);
        assert_eq!(throttle.due(now), []);
        assert_eq!(throttle.due(now + S), [Said { thing: 9, held_back: 6 }]);
        assert_eq!(throttle.due(now + 2 * S), []);
    }

    #[test]
    fn a_machine_that_has_just_booted_is_not_held_back() {
        let mut throttle = throttle();
        assert_eq!((0..3).filter(|n| !offer(&mut throttle, "lane", "0", *n, 1).is_empty()).count(), 3);
    }

    #[test]
    fn the_next_that_passes_is_the_one_that_was_held() {
        let mut throttle = throttle();
        let now = 100 * S;
        for n in 0..5 {
            offer(&mut throttle, "lane", "0", n, now);
        }
        // The one that was held may be said, and has waited for longer.
        let answer = throttle.offer("lane", "0".into(), 5, Displaced::ByAnything, now + S);
        assert_eq!((answer.said, answer.left_out), (vec![Said { thing: 4, held_back: 1 }], vec![]));
        assert_eq!(throttle.rest(), [Said { thing: 5, held_back: 0 }]);
    }

    #[test]
    fn subjects_do_not_hold_each_other_back_until_the_topic_does() {
        let mut throttle = throttle();
        let now = 100 * S;
        let said = (0..8).filter(|n| !offer(&mut throttle, "stream", &n.to_string(), *n, now).is_empty()).count();
        assert_eq!(said, 5);
        assert_eq!(offer(&mut throttle, "link", "in0", 1, now).len(), 1, "another topic");
        // Each of the others is said in time, none is lost.
        let due: Vec<u32> = (1..=3).flat_map(|i| throttle.due(now + i * S / 10)).map(|said| said.thing).collect();
        assert_eq!(due, [5, 6, 7]);
    }

    #[test]
    fn the_end_tells_what_is_left() {
        let mut throttle = throttle();
        for n in 0..5 {
            offer(&mut throttle, "lane", "0", n, S * 100);
        }
        assert_eq!(throttle.rest(), [Said { thing: 4, held_back: 1 }]);
    }

    #[test]
    fn who_has_waited_longest_is_served_first() {
        let mut throttle = throttle();
        let now = 100 * S;
        for n in 0..5 {
            offer(&mut throttle, "stream", &format!("a{n}"), n, now);
        }
        offer(&mut throttle, "stream", "z", 99, now);
        // Others come again and again, all of them before it by alphabet.
        let mut told = Vec::new();
        for step in 0..4 {
            for n in 0..5 {
                told.extend(offer(&mut throttle, "stream", &format!("a{n}"), n, now + step * S / 10));
            }
        }
        assert_eq!(told[0].thing, 99, "{told:?}");
    }

    #[test]
    fn whose_own_limit_is_reached_holds_nobody_up_and_keeps_its_place() {
        let mut throttle: Throttle<u32> = Throttle::new(PER_SUBJECT, Rate { burst: 100, every: S / 10 }, 100);
        let now = 100 * S;
        for n in 0..4 {
            offer(&mut throttle, "stream", "busy", n, now);
        }
        assert_eq!(offer(&mut throttle, "stream", "calm", 7, now), [Said { thing: 7, held_back: 0 }]);
        assert_eq!(throttle.due(now + S), [Said { thing: 3, held_back: 0 }]);
    }

    #[test]
    fn what_lasts_is_said_before_what_follows_it() {
        let mut throttle = throttle();
        let now = 100 * S;
        for n in 0..4 {
            offer(&mut throttle, "relay", "one", n, now);
        }
        let answer = throttle.offer("relay", "one".into(), 10, Displaced::OnlyByItsLike, now);
        assert_eq!((answer.said, answer.left_out), (vec![], vec![3]));
        for n in 20..23 {
            offer(&mut throttle, "relay", "one", n, now);
        }
        let both = [Said { thing: 10, held_back: 1 }, Said { thing: 22, held_back: 2 }];
        assert_eq!([throttle.due(now + S), throttle.due(now + 2 * S)].concat(), both);
        // A later one of its like, and all before that, are one.
        for n in 0..2 {
            offer(&mut throttle, "relay", "one", n, now + 2 * S);
            throttle.offer("relay", "one".into(), 30 + n, Displaced::OnlyByItsLike, now + 2 * S);
        }
        assert_eq!(throttle.rest(), [Said { thing: 31, held_back: 3 }]);
    }

    #[test]
    fn memory_is_bounded_by_the_subjects() {
        let mut throttle: Throttle<u32> = Throttle::new(PER_SUBJECT, Rate { burst: 1000, every: 1 }, 10);
        for n in 0..100 {
            offer(&mut throttle, "relay", &format!("r{n}"), n, S * 100);
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
        fn nothing_is_lost(steps in proptest::collection::vec((0_u64..S, 0_u32..3, any::<bool>()), 1..200)) {
            let mut throttle = throttle();
            let mut now = 0;
            let (mut offered, mut accounted) = (0, 0);
            let mut times: Vec<Vec<u64>> = vec![Vec::new(); 3];
            for (ns, subject, lasts) in steps {
                now += ns;
                offered += 1;
                let displaced = if lasts { Displaced::OnlyByItsLike } else { Displaced::ByAnything };
                let said = throttle.offer("lane", subject.to_string(), subject, displaced, now).said;
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
