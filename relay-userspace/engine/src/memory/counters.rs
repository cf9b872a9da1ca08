//! A lane's counters: words in shared memory that only the lane writes and everybody may read. Lines that no lane counts on
//! are set to 0 by control, before they get an owner.

use super::Mapping;
use super::words::Words;
use relay_common::counters::{
    self, LANE_BATCHES, LANE_COUNTERS, LANE_DROPS, LANE_LATENCY, LANE_ROUNDS, LANE_WORDS, LAYOUT, LAYOUT_AT,
    LaneCounter, OUTPUT_WORDS, RELAY_WORDS,
};
use relay_common::drops::Drop;
use relay_common::meter::Tally;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// The counters of one lane.
#[derive(Debug)]
pub struct Counters {
    /// The lane's own come first.
    words: Words<LANE_WORDS>,
    /// Those of other lanes, by the lane's number, to be read.
    others: Vec<(u32, Mapping)>,
    max_relays: u32,
}

impl Counters {
    /// Bytes that the counters take.
    #[must_use]
    pub const fn bytes(max_relays: u32, max_outputs: u32) -> usize {
        super::whole_pages(counters::words(max_relays, max_outputs) * 8)
    }

    /// Maps the counters of a lane. Those of another layout are refused; fresh ones (all zero) get this layout.
    pub fn open(fd: impl AsFd, max_relays: u32, max_outputs: u32) -> io::Result<Self> {
        let map = Mapping::shared(fd, Self::bytes(max_relays, max_outputs))?;
        let words = Words::new(map, counters::words(max_relays, max_outputs));
        let counters = Self { words, others: Vec::new(), max_relays };
        match counters.words()[LAYOUT_AT].compare_exchange(0, LAYOUT, Relaxed, Relaxed) {
            Ok(_) | Err(LAYOUT) => Ok(counters),
            Err(other) => {
                let problem = format!(
                    "the counters have layout {other}, this mcr knows {LAYOUT}: end mcr (mcr stop) and start it"
                );
                Err(io::Error::other(problem))
            }
        }
    }

    /// Counters that nobody else sees.
    pub fn private(max_relays: u32, max_outputs: u32) -> io::Result<Self> {
        let map = Mapping::anonymous(Self::bytes(max_relays, max_outputs))?;
        let words = Words::new(map, counters::words(max_relays, max_outputs));
        Ok(Self { words, others: Vec::new(), max_relays })
    }

    /// Looks at another lane's counters, too, in place of those that were known to be that lane's.
    pub fn look_at(&mut self, lane: u32, counters: impl AsFd) -> io::Result<()> {
        let map = Mapping::read_only(counters, self.words.mapped())?;
        self.others.retain(|(known, _)| *known != lane);
        self.others.push((lane, map));
        Ok(())
    }

    /// When another lane took in the last packet of a relay, if that was after `since`.
    #[cold]
    fn elsewhere(&self, slot: u32, since: u64) -> Option<u64> {
        let at = (counters::relay_line(slot) + counters::relay::LAST) * size_of::<u64>();
        let last = self.others.iter().map(|(_, map)| map.words64(at, 1)[0].load(Relaxed)).max();
        last.filter(|last| *last > since)
    }

    /// Relays that they have room for.
    #[must_use]
    pub const fn max_relays(&self) -> u32 {
        self.max_relays
    }

    #[inline(always)]
    fn words(&self) -> &[AtomicU64] {
        self.words.all()
    }

    /// Adds to a word of the lane's own.
    #[inline(always)]
    fn add_at(&self, at: usize, n: u64) {
        add(&self.words.first()[at], n);
    }

    /// A relay's line.
    #[inline(always)]
    fn relay(&self, slot: u32) -> &[AtomicU64; RELAY_WORDS] {
        self.line(counters::relay_line(slot)).expect("every relay has a whole line")
    }

    /// An output's line, if there is one: its number came from elsewhere.
    #[inline(always)]
    fn output(&self, counter: u32) -> Option<&[AtomicU64; OUTPUT_WORDS]> {
        self.line(counters::output_line(self.max_relays, counter))
    }

    #[inline(always)]
    fn line<const N: usize>(&self, at: usize) -> Option<&[AtomicU64; N]> {
        self.words().get(at..at + N)?.first_chunk()
    }

    /// Adds to a number of the lane.
    #[inline(always)]
    pub fn add(&self, counter: LaneCounter, n: u64) {
        self.add_at(LANE_COUNTERS + counter as usize, n);
    }

    /// Sets a number of the lane; what was written before it is seen by whoever reads it.
    #[inline(always)]
    pub fn set(&self, counter: LaneCounter, value: u64) {
        self.words.first()[LANE_COUNTERS + counter as usize].store(value, Release);
    }

    /// Reads a number of the lane.
    #[must_use]
    pub fn get(&self, counter: LaneCounter) -> u64 {
        self.words()[LANE_COUNTERS + counter as usize].load(std::sync::atomic::Ordering::Acquire)
    }

    /// Counts a packet that came in for a relay, and lends the relay's line for what is measured of it.
    #[inline(always)]
    pub fn received(&self, slot: u32, bytes: u64, now: u64) -> Line<'_> {
        let mut line = Line { words: self.relay(slot), slot, counters: self };
        line.add(counters::relay::PACKETS, 1);
        line.add(counters::relay::BYTES, bytes);
        line.set(counters::relay::LAST, now);
        line
    }

    /// Counts a packet that an output sent. An output without a line is not counted.
    #[inline(always)]
    pub fn sent(&self, counter: u32, bytes: u64) {
        if let Some(line) = self.output(counter) {
            add(&line[counters::output::PACKETS], 1);
            add(&line[counters::output::BYTES], bytes);
        }
    }

    /// Counts a packet that an output did not send.
    #[inline(always)]
    pub fn output_dropped(&self, counter: u32, reason: Drop) {
        if let Some(line) = self.output(counter) {
            add(&line[counters::output::place(reason)], 1);
        }
    }

    /// Counts a packet of a relay that went to none of its outputs.
    #[inline(always)]
    pub fn relay_dropped(&self, slot: u32, reason: Drop) {
        add(&self.relay(slot)[counters::relay::DROPS + reason as usize], 1);
    }

    /// Counts a packet that belongs to no relay.
    #[inline(always)]
    pub fn dropped(&self, reason: Drop) {
        self.add_at(LANE_DROPS + reason as usize, 1);
    }

    /// Counts the time from the XDP program to the transmit ring.
    #[inline(always)]
    pub fn latency(&self, ns: u64) {
        self.add_at(LANE_LATENCY + counters::latency_bucket(ns), 1);
    }

    /// Packets that belong to no relay and were dropped for that reason.
    #[must_use]
    pub fn get_dropped(&self, reason: Drop) -> u64 {
        self.words()[LANE_DROPS + reason as usize].load(Relaxed)
    }

    /// A word of a relay's line (see [`counters::relay`]).
    #[must_use]
    pub fn get_relay(&self, slot: u32, place: usize) -> u64 {
        self.words()[counters::relay_line(slot) + place].load(Relaxed)
    }

    /// A word of an output's line (see [`counters::output`]).
    #[must_use]
    pub fn get_output(&self, counter: u32, place: usize) -> u64 {
        self.words()[counters::output_line(self.max_relays, counter) + place].load(Relaxed)
    }

    /// Sets a relay's line to 0. Only control calls this, and only when no lane counts on it.
    pub fn clear_relay(&self, slot: u32) {
        self.clear(counters::relay_line(slot), RELAY_WORDS);
    }

    /// Sets an output's line to 0. Only control calls this, and only when no lane counts on it.
    pub fn clear_output(&self, counter: u32) {
        self.clear(counters::output_line(self.max_relays, counter), OUTPUT_WORDS);
    }

    fn clear(&self, at: usize, n: usize) {
        self.words()[at..at + n].iter().for_each(|word| word.store(0, Relaxed));
    }

    /// Counts a batch of so many packets.
    #[inline(always)]
    pub fn batch(&self, n: usize) {
        self.add_at(LANE_BATCHES + counters::batch_bucket(n), 1);
    }

    /// Counts a round that found something to do and took so long.
    #[inline(always)]
    pub fn round(&self, ns: u64) {
        self.add(LaneCounter::BusyNs, ns);
        self.add_at(LANE_ROUNDS + counters::latency_bucket(ns), 1);
    }

    /// A bucket of the histogram of batches.
    #[must_use]
    pub fn get_batches(&self, bucket: usize) -> u64 {
        self.words()[LANE_BATCHES + bucket].load(Relaxed)
    }

    /// A bucket of the histogram of rounds that found something to do.
    #[must_use]
    pub fn get_rounds(&self, bucket: usize) -> u64 {
        self.words()[LANE_ROUNDS + bucket].load(Relaxed)
    }

    /// A bucket of the latency histogram.
    #[must_use]
    pub fn get_latency(&self, bucket: usize) -> u64 {
        self.words()[LANE_LATENCY + bucket].load(Relaxed)
    }
}

/// Adds to a word. There is one writer, so a load and a store do.
#[inline(always)]
fn add(word: &AtomicU64, n: u64) {
    word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
}

/// A relay's line, to count on.
#[derive(Debug)]
pub struct Line<'a> {
    words: &'a [AtomicU64; RELAY_WORDS],
    slot: u32,
    counters: &'a Counters,
}

impl Tally for Line<'_> {
    #[inline(always)]
    fn add(&mut self, place: usize, n: u64) {
        add(&self.words[place], n);
    }

    #[inline(always)]
    fn set(&mut self, place: usize, value: u64) {
        self.words[place].store(value, Relaxed);
    }

    #[inline(always)]
    fn get(&self, place: usize) -> u64 {
        self.words[place].load(Relaxed)
    }

    fn elsewhere(&self, since: u64) -> Option<u64> {
        self.counters.elsewhere(self.slot, since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_another_layout_are_refused() {
        let fd = crate::memory::create(c"counters", Counters::bytes(1, 1)).unwrap();
        Counters::open(&fd, 1, 1).unwrap().add(LaneCounter::Starts, 1);
        let again = Counters::open(&fd, 1, 1).unwrap();
        assert_eq!(again.get(LaneCounter::Starts), 1, "those of the same layout stay");
        again.words()[LAYOUT_AT].store(LAYOUT + 1, Relaxed);
        let refused = Counters::open(&fd, 1, 1).unwrap_err().to_string();
        assert!(refused.contains(&format!("layout {}", LAYOUT + 1)), "{refused}");
    }

    #[test]
    fn what_came_to_another_lane_is_seen() {
        let make = || crate::memory::create(c"counters", Counters::bytes(4, 4)).unwrap();
        let (fd, another) = (make(), make());
        let mut here = Counters::private(4, 4).unwrap();
        let there = Counters::open(&fd, 4, 4).unwrap();
        there.received(2, 100, 7_000);
        assert_eq!(here.received(2, 100, 5_000).elsewhere(0), None);
        here.look_at(1, crate::memory::read_only(&fd).unwrap()).unwrap();
        assert_eq!(here.received(2, 100, 5_000).elsewhere(6_999), Some(7_000));
        assert_eq!(here.received(2, 100, 5_000).elsewhere(7_000), None, "not since then");
        assert_eq!(here.received(1, 100, 5_000).elsewhere(0), None, "another relay's");
        // A lane that was made anew has other counters.
        here.look_at(1, &another).unwrap();
        assert_eq!(here.received(2, 100, 5_000).elsewhere(0), None);
    }

    #[test]
    fn no_two_numbers_share_a_word() {
        let counters = Counters::private(2, 2).unwrap();
        LaneCounter::ALL.iter().for_each(|counter| counters.add(*counter, 1));
        Drop::ALL.iter().for_each(|reason| counters.dropped(*reason));
        (0..counters::BATCH_BUCKETS).for_each(|bucket| counters.batch(1 << bucket >> 1));
        (0..counters::LATENCY_BUCKETS).for_each(|bucket| counters.latency(1 << bucket >> 1));
        (0..counters::LATENCY_BUCKETS)
            .for_each(|bucket| counters.round(if bucket == 0 { 0 } else { 1 << (bucket - 1) }));
        counters.set(LaneCounter::BusyNs, 1);
        let taken = counters.words()[..counters::LANE_WORDS].iter().map(|word| word.load(Relaxed));
        let (taken, ones) = taken.fold((0, 0), |(sum, n), word| (sum + word, n + usize::from(word == 1)));
        let all = LaneCounter::ALL.len() + Drop::COUNT + counters::BATCH_BUCKETS + 2 * counters::LATENCY_BUCKETS;
        assert_eq!((taken, ones), (all as u64, all));
        assert_eq!(counters.words()[LAYOUT_AT].load(Relaxed), 0, "and none that of the layout");
    }
}
