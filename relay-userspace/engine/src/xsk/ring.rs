//! One ring: two indices that only ever grow (modulo 2³²) and an array of descriptors.
//!
//! A producer writes entries beyond its index and then stores the index; a consumer reads entries up to the other
//! side's index and then stores its own. Nothing here stores an index by itself: a lane does that in its commit.

use crate::memory::Mapping;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A packet's place in the area, as the kernel lays it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Descriptor {
    /// Where its first byte is, from the start of the area.
    pub at: u64,
    /// Its length in bytes.
    pub len: u32,
    /// Always 0 without multi-buffer.
    pub options: u32,
}

/// An entry of a ring: a [`Descriptor`] or an address.
pub trait Entry: Copy + private::Sealed {}
impl Entry for Descriptor {}
impl Entry for u64 {}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Descriptor {}
    impl Sealed for u64 {}
}

/// Where in a ring's memory its parts lie, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The producer's index.
    pub producer: usize,
    /// The consumer's index.
    pub consumer: usize,
    /// The flags.
    pub flags: usize,
    /// The array.
    pub entries: usize,
}

/// The kernel wants a call before it goes on with this ring.
const NEED_WAKEUP: u32 = 1;

#[derive(Debug)]
struct Ring<T> {
    map: Mapping,
    offsets: Offsets,
    size: u32,
    entry: PhantomData<T>,
}

impl<T: Entry> Ring<T> {
    fn new(map: Mapping, offsets: Offsets, size: u32) -> Self {
        assert!(size.is_power_of_two(), "a ring's size is a power of two");
        let end = offsets.entries + size as usize * size_of::<T>();
        assert!(end <= map.len(), "a ring lies outside of its memory");
        assert!(offsets.entries.is_multiple_of(align_of::<T>()), "a ring's entries are not aligned");
        Self { map, offsets, size, entry: PhantomData }
    }

    #[inline(always)]
    fn index(&self, at: usize) -> &AtomicU32 {
        &self.map.words32(at, 1)[0]
    }

    #[inline(always)]
    fn entry(&self, index: u32) -> *mut T {
        let slot = (index & (self.size - 1)) as usize;
        // SAFETY: `new` has checked that all `size` entries lie inside the mapping.
        unsafe { self.map.start().as_ptr().add(self.offsets.entries).cast::<T>().add(slot) }
    }
}

/// The side of a ring that puts entries in: FILL or TX.
#[derive(Debug)]
pub struct Producer<T> {
    ring: Ring<T>,
    /// The index as it will be after the commit under way.
    next: u32,
    /// What was last seen of the consumer.
    consumer: u32,
}

impl<T: Entry> Producer<T> {
    /// Takes a ring up where its indices stand.
    #[must_use]
    pub fn new(map: Mapping, offsets: Offsets, size: u32) -> Self {
        let mut producer = Self { ring: Ring::new(map, offsets, size), next: 0, consumer: 0 };
        producer.look_again();
        producer
    }

    /// Takes the ring up anew where its indices stand in memory.
    pub fn look_again(&mut self) {
        self.next = self.ring.index(self.ring.offsets.producer).load(Relaxed);
        self.consumer = self.ring.index(self.ring.offsets.consumer).load(Acquire);
    }

    /// How many entries can be put in now.
    #[inline]
    pub fn room(&mut self) -> u32 {
        self.consumer = self.ring.index(self.ring.offsets.consumer).load(Acquire);
        // A consumer ahead of its producer is not of this kernel; such a ring counts as full.
        self.ring.size.saturating_sub(self.next.wrapping_sub(self.consumer))
    }

    /// Puts an entry beyond the index. There must be room for it.
    #[inline]
    pub fn put(&mut self, entry: T) {
        assert!(self.next.wrapping_sub(self.consumer) < self.ring.size, "a full ring was written to");
        // SAFETY: inside the ring, and beyond the index that the kernel reads up to.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
    }

    /// Puts entries beyond the index, for which there must be room; `replaced` sees what lay in the place of each.
    #[inline]
    pub fn put_each(&mut self, entries: impl Iterator<Item = T>, mut replaced: impl FnMut(T)) {
        let mut next = self.next;
        for entry in entries {
            assert!(next.wrapping_sub(self.consumer) < self.ring.size, "a full ring was written to");
            let place = self.ring.entry(next);
            // SAFETY: inside the ring, and beyond the index that the kernel reads up to; every bit pattern is an entry.
            replaced(unsafe { place.read() });
            // SAFETY: as above.
            unsafe { place.write(entry) };
            next = next.wrapping_add(1);
            self.next = next;
        }
    }

    /// The index as it will be when everything put in is published.
    #[inline]
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Stores the index: the kernel may read up to there.
    #[inline]
    pub fn publish(&self, to: u32) {
        self.ring.index(self.ring.offsets.producer).store(to, Release);
    }

    /// Reads an entry of the ring as it lies there: any of the last that were put in.
    #[inline]
    #[must_use]
    pub fn look_at(&self, index: u32) -> T {
        // SAFETY: inside the ring; this side alone writes entries, and every bit pattern is one.
        unsafe { self.ring.entry(index).read() }
    }

    /// Overwrites an entry that the kernel has taken and will not read again.
    #[inline]
    pub fn overwrite(&mut self, index: u32, entry: T) {
        // SAFETY: inside the ring; the kernel is past it, and what it would read otherwise is still an entry.
        unsafe { self.ring.entry(index).write(entry) };
    }

    /// Entries that the ring has.
    #[inline]
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.ring.size
    }

    /// The consumer's index: how many entries the kernel has taken.
    #[must_use]
    pub fn n_taken(&self) -> u32 {
        self.ring.index(self.ring.offsets.consumer).load(Acquire)
    }

    /// Published entries that the kernel has not taken.
    #[inline]
    #[must_use]
    pub fn n_waiting(&self) -> u32 {
        self.ring
            .index(self.ring.offsets.producer)
            .load(Relaxed)
            .wrapping_sub(self.ring.index(self.ring.offsets.consumer).load(Acquire))
    }

    /// Whether the kernel wants a call.
    #[inline]
    #[must_use]
    pub fn needs_wakeup(&self) -> bool {
        self.ring.index(self.ring.offsets.flags).load(Relaxed) & NEED_WAKEUP != 0
    }
}

/// The side of a ring that takes entries out: RX or COMPLETION.
#[derive(Debug)]
pub struct Consumer<T> {
    ring: Ring<T>,
    /// The index as it will be after the commit under way.
    next: u32,
    /// What was last seen of the producer.
    producer: u32,
}

impl<T: Entry> Consumer<T> {
    /// Takes a ring up where its indices stand.
    #[must_use]
    pub fn new(map: Mapping, offsets: Offsets, size: u32) -> Self {
        let mut consumer = Self { ring: Ring::new(map, offsets, size), next: 0, producer: 0 };
        consumer.look_again();
        consumer
    }

    /// Takes the ring up anew where its indices stand in memory.
    pub fn look_again(&mut self) {
        self.next = self.ring.index(self.ring.offsets.consumer).load(Relaxed);
        self.producer = self.next;
    }

    /// How many entries can be taken, looking at the kernel's index only when what was seen of it is used up.
    #[inline]
    pub fn available(&mut self) -> u32 {
        if self.producer == self.next {
            let producer = self.ring.index(self.ring.offsets.producer).load(Acquire);
            // One more than a ring ahead is not of this kernel. One that is behind brings what a lane has already
            // reckoned with, when it took a socket that is going away off its frames: believe nothing.
            if producer.wrapping_sub(self.next) <= self.ring.size {
                self.producer = producer;
            }
        }
        self.producer.wrapping_sub(self.next)
    }

    /// How many entries there are at this moment; what was seen before stays as it is.
    #[must_use]
    pub fn level(&self) -> u32 {
        let producer = self.ring.index(self.ring.offsets.producer).load(Acquire);
        producer.wrapping_sub(self.next).min(self.ring.size)
    }

    /// What could be taken, as it lies there.
    #[must_use]
    pub fn look_ahead(&mut self) -> Vec<T> {
        let (first, n) = (self.next, self.available());
        // SAFETY: inside the ring, and below the index that the kernel has written up to.
        (0..n).map(|i| unsafe { self.ring.entry(first.wrapping_add(i)).read() }).collect()
    }

    /// Takes up to so many entries, as long as there are any, and hands each to `each`. Says how many.
    #[inline]
    pub fn take_each(&mut self, most: u32, mut each: impl FnMut(T)) -> u32 {
        let before = self.next;
        loop {
            let taken = self.next.wrapping_sub(before);
            let n @ 1.. = self.available().min(most - taken) else { return taken };
            for index in 0..n {
                // SAFETY: inside the ring, and below the index that the kernel has written up to.
                each(unsafe { self.ring.entry(self.next.wrapping_add(index)).read() });
            }
            self.next = self.next.wrapping_add(n);
        }
    }

    /// Takes an entry.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        if self.available() == 0 {
            return None;
        }
        // SAFETY: inside the ring, and below the index that the kernel has written up to.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// The index as it will be when everything taken is published.
    #[inline]
    #[must_use]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Stores the index: the kernel may write beyond what lies before it.
    #[inline]
    pub fn publish(&self, to: u32) {
        self.ring.index(self.ring.offsets.consumer).store(to, Release);
    }
}

#[cfg(test)]
mod tests;
