//! Packets are taken back from a transmit ring, and lanes die anywhere: none is sent later, and no frame is lost.

use super::*;
use crate::lane::fixtures::SIZE;
use crate::lane::world::{N_FRAMES, RING, SOCKETS, World};
use relay_common::owner::Owner;

const MS: u64 = 1_000_000;

/// How many frames each kind of owner has: free, filled, under way.
fn owners(world: &World) -> [usize; 3] {
    let mut n = [0; 3];
    for frame in 0..N_FRAMES {
        match world.owner(u64::from(frame) * u64::from(SIZE)) {
            Owner::Free => n[0] += 1,
            Owner::Fill { .. } => n[1] += 1,
            Owner::Transmit { .. } => n[2] += 1,
        }
    }
    n
}

/// Five packets lie twice on the ring of each output link; of that of socket 1 the kernel has taken three, and completed
/// one.
fn stuck(index: u32) -> (World, Lane) {
    let mut world = World::new(index);
    let mut lane = world.start_lane();
    (0..5).for_each(|_| world.deliver());
    world.round(&mut lane, None);
    (0..3).for_each(|_| world.transmit(1));
    world.complete_nth(1, 1);
    (world, lane)
}

/// All is where it was before the first packet, and no packet was sent that was thrown away.
fn check(world: &mut World, lane: &mut Lane) {
    // A packet of now comes through, and behind what was thrown away.
    world.deliver_anyway();
    world.come_to_rest(lane);
    assert_eq!((world.sent[&(1, 1)].as_slice(), world.sent[&(1, 2)].as_slice()), (&[0, 1, 5][..], &[0, 5][..]));
    assert_eq!(world.sent[&(2, 1)], [0, 1, 2, 3, 4, 5], "the other link");
    let filled = usize::from(SOCKETS) * RING as usize;
    assert_eq!(owners(world), [N_FRAMES as usize - filled, filled, 0]);
    assert_eq!(lane.frames.n_free(), N_FRAMES as usize - filled);
    assert_eq!(lane.counters.get(LaneCounter::Foreign), 0);
}

#[test]
fn what_waits_is_thrown_away_and_counted_and_the_ring_is_as_large_as_before() {
    let (mut world, mut lane) = stuck(u32::MAX - 4);
    lane.throw_away(1);
    assert_eq!(lane.counters.get_dropped(Drop::Stale), 7);
    assert_eq!(lane.n_under_way(), 2 + 10, "two that the kernel has taken, and those of the other link");
    lane.throw_away(1);
    assert_eq!(lane.counters.get_dropped(Drop::Stale), 7, "nothing is thrown away twice");
    check(&mut world, &mut lane);
    let Some(Socket { port, .. }) = lane.ports.get_mut(1) else { panic!() };
    assert_eq!((port.tx_room(), port.n_under_way()), (RING, 0));
}

#[test]
fn a_kernel_that_completes_what_is_void_does_no_harm() {
    let (mut world, mut lane) = stuck(u32::MAX - 4);
    lane.throw_away(1);
    let completion = &mut world.kernels[1].completion;
    (0..7).for_each(|_| completion.put(crate::xsk::port::NOWHERE));
    completion.publish(completion.next());
    world.round(&mut lane, None);
    assert_eq!(lane.n_under_way(), 2 + 10);
    check(&mut world, &mut lane);
    let Some(Socket { port, .. }) = lane.ports.get_mut(1) else { panic!() };
    assert_eq!((port.tx_room(), port.n_under_way()), (RING, 0));
}

#[test]
fn every_point_of_a_throwing_away_can_be_the_last() {
    for point in 0.. {
        let (mut world, mut lane) = stuck(u32::MAX - 4);
        let died = world.attempt(&mut lane, Some(point), |lane| lane.throw_away(1)).is_none();
        if died {
            lane = world.start_lane();
            assert!(lane.ports.get_mut(1).unwrap().drain.is_stalled(), "it remembers what waits");
            lane.throw_away(1);
        }
        check(&mut world, &mut lane);
        let Some(Socket { port, .. }) = lane.ports.get_mut(1) else { panic!() };
        assert_eq!((port.tx_room(), port.n_under_way()), (RING, 0), "at point {point}");
        if !died {
            assert!(point > 7 + 7, "only {point} points");
            return;
        }
    }
}

#[test]
fn more_than_a_ring_of_them_is_thrown_away_and_the_ring_goes_on() {
    let mut world = World::new(0);
    let mut lane = world.start_lane();
    for n in 0..5 {
        (0..40).for_each(|_| world.deliver_anyway());
        (0..3).for_each(|_| _ = world.round(&mut lane, None));
        lane.throw_away(1);
        (0..RING).for_each(|_| world.transmit(2));
        (0..RING).for_each(|_| world.complete(2));
        assert_eq!(lane.ports.get_mut(1).unwrap().port.n_under_way(), 0, "time {n}");
        // The link is back: the kernel passes over what is void.
        (0..RING).for_each(|_| world.transmit(1));
    }
    assert_eq!(world.sent.get(&(1, 1)), None);
    assert_eq!(world.sent[&(2, 1)].len(), 200);
    assert_eq!(lane.counters.get_dropped(Drop::Stale), 400);
}

#[test]
fn a_link_that_takes_nothing_is_left_alone_and_what_waits_for_it_becomes_stale() {
    let mut drain = drain::Drain::default();
    drain.note(Some(nix::errno::Errno::ENETDOWN), 1_000 * MS);
    assert!(drain.is_stalled());
    let asked = (1_000..1_100).filter(|ms| {
        let asks = drain.asks_again(true, ms * MS);
        if asks {
            drain.note(Some(nix::errno::Errno::ENETDOWN), ms * MS);
        }
        assert!(!drain.is_stale(ms * MS));
        asks
    });
    assert_eq!(asked.count(), 9, "each 10 ms");
    assert!(drain.is_stale(1_100 * MS));
    // When nothing waits, nothing is asked and nothing becomes stale, until something is put there or has changed.
    drain.waits_in_vain();
    assert!(!drain.is_stale(9_000 * MS) && !drain.asks_again(false, 9_000 * MS));
    drain.waits_from(9_000 * MS);
    assert!(!drain.is_stale(9_099 * MS) && drain.is_stale(9_100 * MS));
    drain.is_worth_a_try();
    assert!(drain.asks_again(false, 9_000 * MS));
    drain.note(None, 9_000 * MS);
    assert!(!drain.is_stalled());
    // A device that is busy is asked at any moment.
    drain.note(Some(nix::errno::Errno::EAGAIN), 9_000 * MS);
    assert!(drain.asks_again(true, 9_000 * MS));
}
