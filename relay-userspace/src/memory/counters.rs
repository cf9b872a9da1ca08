//! A lane's counters: words in shared memory that only the lane writes and everybody may read.

use super::Mapping;
use relay_common::counters::{self, LANE_DROPS, LANE_LATENCY, LaneCounter};
use relay_common::drops::Drop;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// The counters of one lane.
#[derive(Debug)]
pub struct Counters {
    map: Mapping,
    max_relays: u32,
    n_words: usize,
}

impl Counters {
    /// Bytes that the counters take.
    #[must_use]
    pub const fn bytes(max_relays: u32, max_outputs: u32) -> usize {
        super::whole_pages(counters::words(max_relays, max_outputs) * 8)
    }

    /// Maps the counters of a lane.
    pub fn open(fd: impl AsFd, max_relays: u32, max_outputs: u32) -> io::Result<Self> {
        let map = Mapping::shared(fd, Self::bytes(max_relays, max_outputs))?;
        Ok(Self { map, max_relays, n_words: counters::words(max_relays, max_outputs) })
    }

    /// Counters that nobody else sees.
    pub fn private(max_relays: u32, max_outputs: u32) -> io::Result<Self> {
        let map = Mapping::anonymous(Self::bytes(max_relays, max_outputs))?;
        Ok(Self { map, max_relays, n_words: counters::words(max_relays, max_outputs) })
    }

    #[inline(always)]
    fn words(&self) -> &[AtomicU64] {
        self.map.words64(0, self.n_words)
    }

    /// Adds to a word. There is one writer, so a load and a store do.
    #[inline(always)]
    fn add_at(&self, at: usize, n: u64) {
        let word = &self.words()[at];
        word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Adds to a number of the lane.
    #[inline(always)]
    pub fn add(&self, counter: LaneCounter, n: u64) {
        self.add_at(counter as usize, n);
    }

    /// Sets a number of the lane; what was written before it is seen by whoever reads it.
    #[inline(always)]
    pub fn set(&self, counter: LaneCounter, value: u64) {
        self.words()[counter as usize].store(value, Release);
    }

    /// Reads a number of the lane.
    #[must_use]
    pub fn get(&self, counter: LaneCounter) -> u64 {
        self.words()[counter as usize].load(std::sync::atomic::Ordering::Acquire)
    }

    /// Counts a packet that came in for a relay.
    #[inline(always)]
    pub fn received(&self, slot: u32, bytes: u64, now: u64) {
        let line = &self.words()[counters::relay_line(slot)..][..counters::RELAY_WORDS];
        line[counters::relay::PACKETS].store(line[counters::relay::PACKETS].load(Relaxed).wrapping_add(1), Relaxed);
        line[counters::relay::BYTES].store(line[counters::relay::BYTES].load(Relaxed).wrapping_add(bytes), Relaxed);
        line[counters::relay::LAST].store(now, Relaxed);
    }

    /// Counts a packet that an output sent.
    #[inline(always)]
    pub fn sent(&self, counter: u32, bytes: u64) {
        let line = counters::output_line(self.max_relays, counter);
        self.add_at(line + counters::output::PACKETS, 1);
        self.add_at(line + counters::output::BYTES, bytes);
    }

    /// Counts a packet that an output did not send.
    #[inline(always)]
    pub fn output_dropped(&self, counter: u32, reason: Drop) {
        self.add_at(counters::output_line(self.max_relays, counter) + counters::output::place(reason), 1);
    }

    /// Counts a packet of a relay that went to none of its outputs.
    #[inline(always)]
    pub fn relay_dropped(&self, slot: u32, reason: Drop) {
        self.add_at(counters::relay_line(slot) + counters::relay::DROPS + reason as usize, 1);
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

    /// A bucket of the latency histogram.
    #[must_use]
    pub fn get_latency(&self, bucket: usize) -> u64 {
        self.words()[LANE_LATENCY + bucket].load(Relaxed)
    }
}
