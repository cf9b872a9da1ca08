//! The ring against a queue that cannot be wrong, across the end of its indices.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::{Consumer, Offsets, Producer};
use crate::memory::{Mapping, PAGE, create};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

const OFFSETS: Offsets = Offsets { producer: 0, consumer: 64, flags: 128, entries: 192 };
const SIZE: u32 = 8;

/// A ring in memory, as the kernel would have made it.
struct Memory(OwnedFd);

impl Memory {
    /// Both indices stand there.
    fn starting_at(index: u32) -> Self {
        let memory = Self(create(c"ring", PAGE).unwrap());
        memory.set(OFFSETS.producer, index);
        memory.set(OFFSETS.consumer, index);
        memory
    }

    fn map(&self) -> Mapping {
        Mapping::shared(&self.0, PAGE).unwrap()
    }

    fn set(&self, at: usize, index: u32) {
        self.map().words32(at, 1)[0].store(index, Relaxed);
    }

    fn producer(&self) -> Producer<u64> {
        Producer::new(self.map(), OFFSETS, SIZE)
    }

    fn consumer(&self) -> Consumer<u64> {
        Consumer::new(self.map(), OFFSETS, SIZE)
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Put(u32),
    PublishPut,
    Take(u32),
    PublishTaken,
    /// The side that puts in dies and another takes the ring up: what was not published is gone.
    NewProducer,
    /// The side that takes out dies and another takes the ring up: what was not published comes again.
    NewConsumer,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (1..=SIZE).prop_map(Operation::Put),
        Just(Operation::PublishPut),
        (1..=SIZE).prop_map(Operation::Take),
        Just(Operation::PublishTaken),
        Just(Operation::NewProducer),
        Just(Operation::NewConsumer),
    ]
}

/// The ring as a queue: what was put in and not published, published and not taken, taken and not published.
#[derive(Default)]
struct Oracle {
    put: VecDeque<u64>,
    waiting: VecDeque<u64>,
    taken: VecDeque<u64>,
}

impl Oracle {
    fn room(&self) -> u32 {
        SIZE - (self.put.len() + self.waiting.len() + self.taken.len()) as u32
    }
}

proptest! {
    #[test]
    fn a_ring_is_a_queue_across_the_end_of_its_indices(
        before_the_end in 0..40_u32,
        operations in prop::collection::vec(operation(), 1..200),
    ) {
        let memory = Memory::starting_at(0_u32.wrapping_sub(before_the_end));
        let (mut producer, mut consumer) = (memory.producer(), memory.consumer());
        let mut oracle = Oracle::default();
        let mut next = 0;
        for operation in operations {
            match operation {
                Operation::Put(n) => for _ in 0..n.min(producer.room()) {
                    producer.put(next);
                    oracle.put.push_back(next);
                    next += 1;
                },
                Operation::PublishPut => {
                    producer.publish(producer.next());
                    oracle.waiting.append(&mut oracle.put);
                }
                Operation::Take(n) => for _ in 0..n {
                    let available = consumer.available();
                    prop_assert_eq!(available == 0, oracle.waiting.is_empty());
                    prop_assert!(available as usize <= oracle.waiting.len());
                    let taken = consumer.take();
                    prop_assert_eq!(taken, oracle.waiting.pop_front());
                    oracle.taken.extend(taken);
                },
                Operation::PublishTaken => {
                    consumer.publish(consumer.next());
                    oracle.taken.clear();
                }
                Operation::NewProducer => {
                    producer = memory.producer();
                    oracle.put.clear();
                }
                Operation::NewConsumer => {
                    consumer = memory.consumer();
                    oracle.taken.append(&mut oracle.waiting);
                    std::mem::swap(&mut oracle.taken, &mut oracle.waiting);
                }
            }
            prop_assert_eq!(producer.room(), oracle.room());
            prop_assert_eq!(producer.n_waiting() as usize, oracle.waiting.len() + oracle.taken.len());
        }
    }

    #[test]
    fn no_index_of_the_other_side_makes_a_ring_larger_than_it_is(start: u32, theirs: u32) {
        let memory = Memory::starting_at(start);
        let (mut producer, mut consumer) = (memory.producer(), memory.consumer());
        memory.set(OFFSETS.consumer, theirs);
        prop_assert!(producer.room() <= SIZE);
        memory.set(OFFSETS.producer, theirs);
        prop_assert!(consumer.available() <= SIZE);
        for _ in 0..3 * SIZE {
            consumer.take();
            prop_assert!(consumer.available() <= SIZE);
        }
    }
}

#[test]
fn a_full_ring_has_no_room_until_the_other_side_publishes() {
    let memory = Memory::starting_at(u32::MAX - 2);
    let (mut producer, mut consumer) = (memory.producer(), memory.consumer());
    (0..8).for_each(|entry| producer.put(entry));
    assert_eq!(producer.room(), 0);
    assert_eq!(consumer.take(), None, "nothing is there before it is published");
    producer.publish(producer.next());
    assert_eq!(consumer.take(), Some(0));
    assert_eq!(producer.room(), 0, "a place is free when the consumer says so, not when it reads");
    consumer.publish(consumer.next());
    assert_eq!(producer.room(), 1);
}

#[test]
#[should_panic(expected = "a full ring was written to")]
fn writing_to_a_full_ring_is_a_bug() {
    let mut producer = Memory::starting_at(0).producer();
    (0..9).for_each(|entry| producer.put(entry));
}

#[test]
fn what_was_seen_of_the_producer_is_used_up_before_it_is_looked_at_again() {
    let memory = Memory::starting_at(7);
    let (mut producer, mut consumer) = (memory.producer(), memory.consumer());
    (0..2).for_each(|entry| producer.put(entry));
    producer.publish(producer.next());
    assert_eq!(consumer.available(), 2);
    producer.put(2);
    producer.publish(producer.next());
    assert_eq!(consumer.available(), 2, "two are known");
    assert_eq!([consumer.take(), consumer.take(), consumer.take()], [Some(0), Some(1), Some(2)]);
    assert_eq!(consumer.take(), None);
}

#[test]
#[should_panic(expected = "a ring lies outside of its memory")]
fn a_ring_outside_of_its_memory_is_refused() {
    let memory = Memory::starting_at(0);
    let _ = Producer::<u64>::new(memory.map(), OFFSETS, 512);
}
