//! A whole lane between rings in memory. The test plays the kernel and kills the lane after any store of a commit.

use super::*;
use crate::lane::fixtures::{IFINDEX, SIZE, key, output};
use crate::lane::handoff::{Message, kind, said};
use crate::lane::world::{N_FRAMES, RING, SOCKETS, World, packet};
use crate::xsk::port::fake::{Kernel, Rings};
use crate::xsk::ring::Descriptor;
use proptest::prelude::*;
use relay_common::drops::Drop;
use relay_common::fixtures::Recipe;
use relay_common::owner::Owner;

/// Everything that came in went out everywhere, once and in order, and every frame is where it should be.
fn check(world: &World, lane: &Lane) -> Result<(), TestCaseError> {
    let all: Vec<u32> = (0..world.delivered).collect();
    for place in [(1, 1), (2, 1), (1, 2), (2, 3)].iter().filter(|_| world.delivered > 0) {
        prop_assert_eq!(world.sent.get(place), Some(&all), "lost, doubled or out of order at {:?}", place);
    }
    let owners: Vec<Owner> = (0..N_FRAMES).map(|frame| world.owner(u64::from(frame) * u64::from(SIZE))).collect();
    for socket in 0..SOCKETS {
        let filled = owners.iter().filter(|owner| **owner == Owner::Fill { socket }).count();
        prop_assert_eq!(filled, RING as usize);
    }
    let free = owners.iter().filter(|owner| **owner == Owner::Free).count();
    prop_assert_eq!(free, (N_FRAMES - u32::from(SOCKETS) * RING) as usize);
    prop_assert_eq!(lane.frames.n_free(), free);
    prop_assert_eq!(lane.counters.get(LaneCounter::LostFrames), 0);
    prop_assert_eq!(lane.counters.get(LaneCounter::Foreign), 0);
    prop_assert!(lane.counters.get(LaneCounter::Redone) <= world.deaths);
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Deliver(u32),
    Transmit(u16, u32),
    Complete(u16, u32),
    Round,
    Die(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let sender = || 1..SOCKETS;
    prop_oneof![
        3 => (1..30_u32).prop_map(Step::Deliver),
        2 => (sender(), 1..60_u32).prop_map(|(socket, n)| Step::Transmit(socket, n)),
        2 => (sender(), 1..60_u32).prop_map(|(socket, n)| Step::Complete(socket, n)),
        2 => Just(Step::Round),
        2 => (0..12_u64).prop_map(Step::Die),
        2 => (0..250_u64).prop_map(Step::Die),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn lanes_that_die_anywhere_lose_nothing_and_double_nothing(
        before_the_end in 0..300_u32,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(0_u32.wrapping_sub(before_the_end));
        let mut lane = world.start_lane();
        for step in steps {
            match step {
                Step::Deliver(n) => (0..n).for_each(|_| world.deliver()),
                Step::Transmit(socket, n) => (0..n).for_each(|_| world.transmit(socket)),
                Step::Complete(socket, n) => (0..n).for_each(|_| world.complete(socket)),
                Step::Round => _ = world.round(&mut lane, None),
                Step::Die(points) => _ = world.round(&mut lane, Some(points)),
            }
        }
        world.come_to_rest(&mut lane);
        check(&world, &lane)?;
    }
}

#[test]
fn every_point_of_one_batch_can_be_the_last() {
    for point in 0.. {
        let mut world = World::new(u32::MAX - 2);
        let mut lane = world.start_lane();
        // A batch that reaps as well: the first five packets are completed.
        (0..5).for_each(|_| world.deliver());
        world.round(&mut lane, None);
        for socket in 1..SOCKETS {
            (0..10).for_each(|_| world.transmit(socket));
            (0..10).for_each(|_| world.complete(socket));
        }
        (0..3).for_each(|_| world.deliver());
        world.round(&mut lane, Some(point));
        let died = world.deaths == 1;
        world.come_to_rest(&mut lane);
        check(&world, &lane).unwrap();
        if !died {
            // Words, headers and ring indices of the batch, and the three points around them.
            assert!(point > 3 * 3 + 15 + 3 + 6, "only {point} points");
            return;
        }
    }
}

#[test]
fn descriptors_that_make_no_sense_are_counted_and_the_others_relayed() {
    let mut world = World::new(0);
    let mut lane = world.start_lane();
    world.deliver();
    let Kernel { rx, .. } = &mut world.kernels[0];
    let nonsense = [(0, 100), (u64::from(SIZE) + 2000, 100), (u64::from(N_FRAMES * SIZE), 100), (u64::MAX, u32::MAX)];
    for (at, len) in nonsense {
        // Frame 0 came with the packet before; the second one crosses into the next frame.
        rx.put(Descriptor { at, len, options: 0 });
    }
    rx.publish(rx.next());
    let completion = &mut world.kernels[1].completion;
    [u64::MAX, 0].into_iter().for_each(|at| completion.put(at));
    completion.publish(completion.next());
    world.round(&mut lane, None);
    for socket in 1..SOCKETS {
        (0..9).for_each(|_| world.transmit(socket));
    }
    assert_eq!(lane.counters.get(LaneCounter::Foreign), 6);
    assert_eq!(world.sent.values().flatten().copied().collect::<Vec<_>>(), [0; 4]);
}

#[test]
fn a_round_polls_each_receive_ring_once() {
    let mut world = World::new(0);
    let mut lane = world.start_lane();
    let n = 4;
    for number in SOCKETS..SOCKETS + n {
        let rings = Rings::new(RING, 0);
        let take = said::Take { ifindex: IFINDEX, receives: 1, busy_polled: 1, ..said::Take::default() };
        let taken = Message { number: number.into(), ..Message::of(kind::TAKE).saying(take) };
        lane.take(Socket::new(taken, rings.port(true, false)).unwrap()).unwrap();
        // Each has a packet.
        let Kernel { fill, rx, .. } = &mut rings.kernel();
        rx.put(Descriptor { at: fill.take().unwrap(), len: 60, options: 0 });
        rx.publish(rx.next());
    }
    world.deliver();
    for _ in 0..3 {
        let before = lane.counters.get(LaneCounter::ReceiveCalls);
        world.round(&mut lane, None);
        assert_eq!(lane.counters.get(LaneCounter::ReceiveCalls) - before, u64::from(n));
    }
    assert_eq!(lane.counters.get(LaneCounter::Received), u64::from(n) + 1);
}

#[test]
fn a_link_that_takes_less_than_it_is_given_takes_nothing_of_another() {
    // Packets that the overloaded link takes in a millisecond: one that is stuck, and one that is slow.
    for slow in [0, 1] {
        let mut world = World::new(0);
        world.publish(2, &[(key(5000, false), vec![output(0, 0, 1)]), (key(5001, false), vec![output(1, 1, 2)])]);
        let mut lane = world.start_lane();
        let (mut full_at, mut held) = (None, 0);
        for ms in 1..=1000 {
            for port in [5000, 5001].into_iter().cycle().take(10) {
                assert!(world.deliver_as(&Recipe { port, ..packet(world.delivered) }), "lost for both after {ms} ms");
            }
            lane.round(ms * 1_000_000);
            held += u32::from(world.kernels[0].rx.n_waiting() > 0);
            for (socket, n) in [(1, slow), (2, RING)] {
                (0..n).for_each(|_| world.transmit(socket));
                (0..n).for_each(|_| world.complete(socket));
            }
            let full = lane.counters.get_output(0, relay_common::counters::output::place(Drop::TxFull));
            full_at = full_at.or_else(|| (full > 0).then_some(ms));
        }
        let full_at = full_at.unwrap();
        // It is waited for as if it had a burst, but not for long, and shorter when it is stuck.
        let longest = if slow > 0 { 250 } else { 60 };
        assert!(full_at < 250 && (1..longest).contains(&held), "waited for in {held} rounds, until {full_at} ms");
        world.come_to_rest(&mut lane);
        assert_eq!(world.sent[&(2, 2)].len(), 5_000);
        assert_eq!(lane.counters.get_output(1, relay_common::counters::output::place(Drop::TxFull)), 0);
    }
}

#[test]
fn a_burst_of_a_whole_receive_ring_is_sent_to_many_outputs_of_one_link() {
    let mut world = World::new(0);
    world.publish(2, &[(key(5000, false), (0..8).map(|n| output(u32::from(n), 0, n)).collect())]);
    let mut lane = world.start_lane();
    (0..RING * 3 / 4).for_each(|_| world.deliver_anyway());
    for ms in 0..200 {
        lane.round(ms * 1_000_000);
        (0..16).for_each(|_| world.transmit(1));
        (0..16).for_each(|_| world.complete(1));
    }
    world.come_to_rest(&mut lane);
    let all: Vec<u32> = (0..world.delivered).collect();
    (0..8).for_each(|last| assert_eq!(world.sent.get(&(1, last)), Some(&all), "to {last}"));
}
