//! A whole lane between rings in memory. The test plays the kernel and kills the lane after any store of a commit.

use super::*;
use crate::lane::fixtures::SIZE;
use crate::lane::world::{N_FRAMES, RING, SOCKETS, World};
use crate::xsk::port::fake::Kernel;
use crate::xsk::ring::Descriptor;
use proptest::prelude::*;
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
