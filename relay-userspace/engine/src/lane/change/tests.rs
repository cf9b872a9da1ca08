//! Sockets come and go in any order, the kernel completes in any order, and lanes die anywhere: no frame is lost and
//! none is in two places.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

mod queues; // on which queue a socket is
mod down; // the link of a socket is down
mod steps; // what can happen

use super::*;
use crate::lane::fixtures::{HEADROOM, SIZE};
use crate::lane::world::{N_FRAMES, RING, SOCKETS, World};
use crate::memory::frames::Census;
use crate::xsk::port::NOWHERE;
use crate::xsk::port::fake::{Kernel, Rings};
use crate::xsk::ring::Descriptor;
use proptest::prelude::*;
use relay_common::journal::BATCH;
use relay_common::owner::Owner;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use steps::{Step, step};

/// What control knows of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The lane has it, and the kernel works with it.
    Live,
    /// The lane has dropped it; the kernel has not let go.
    Dropped,
    /// There is none.
    Gone,
}

struct Control {
    world: World,
    lane: Lane,
    states: [State; SOCKETS as usize],
    /// Sockets that replaced others.
    taken: u32,
}

impl Control {
    fn new(index: u32) -> Self {
        let world = World::new(index);
        let lane = world.start_lane();
        Self { world, lane, states: [State::Live; SOCKETS as usize], taken: 0 }
    }

    fn state(&mut self, number: u16) -> &mut State {
        &mut self.states[usize::from(number)]
    }

    /// Control does not know how far a dead lane came: the next one gets the socket again and drops it again.
    fn drop_socket(&mut self, number: u16, death: Option<u64>) {
        if *self.state(number) != State::Live {
            return;
        }
        if self.world.attempt(&mut self.lane, death, |lane| lane.drop_socket(number, Why::NotNeeded)).is_none() {
            self.lane = self.world.start_lane();
            self.world.round(&mut self.lane, None);
            self.lane.drop_socket(number, Why::NotNeeded);
        }
        *self.state(number) = State::Dropped;
        self.forget_socket(number);
    }

    /// A link goes, and the lane dies before it has dropped the socket: nobody can map its rings any more.
    fn link_and_lane_go(&mut self, number: u16) {
        if *self.state(number) != State::Live {
            return;
        }
        *self.state(number) = State::Dropped;
        self.forget_socket(number);
        self.lane = self.world.start_lane();
    }

    /// The kernel has let go of a socket; another gets rings of its own.
    fn forget_socket(&mut self, number: u16) {
        let place = usize::from(number);
        self.world.handed_over[place] = false;
        self.world.under_way[place].clear();
        self.taken += 1;
        self.world.rings[place] = Rings::new(RING, 0_u32.wrapping_sub(self.taken * 50));
        self.world.kernels[place] = self.world.rings[place].kernel();
    }

    fn reclaim(&mut self, number: u16, death: Option<u64>) {
        match *self.state(number) {
            State::Live => assert_eq!(self.lane.reclaim(number), Err(Refusal::Occupied)),
            State::Dropped | State::Gone => {
                if self.world.attempt(&mut self.lane, death, |lane| lane.reclaim(number)).is_none() {
                    self.lane = self.world.start_lane();
                    self.lane.reclaim(number).unwrap();
                }
                assert_eq!(self.count(Owner::Fill { socket: number }), 0);
                *self.state(number) = State::Gone;
            }
        }
    }

    /// A socket whose lane died while it took it is given up, and what it had of frames reclaimed.
    fn take(&mut self, number: u16, death: Option<u64>) {
        let socket = self.world.socket(number);
        let free = self.lane.frames.n_free() as u32;
        let parked = self.lane.frames.n_filled(number);
        match (self.world.attempt(&mut self.lane, death, |lane| lane.take(socket)), *self.state(number)) {
            (Some(taken), State::Live) => assert_eq!(taken, Err(Refusal::Occupied)),
            (Some(taken), State::Dropped) if parked > 0 => assert_eq!(taken, Err(Refusal::Parked { frames: parked })),
            (Some(Err(refusal)), _) => assert_eq!((refusal, free < RING), (Refusal::TooFewFrames { free }, true)),
            (Some(Ok(())), _) => {
                assert_eq!(self.lane.frames.n_filled(number), RING);
                self.world.handed_over[usize::from(number)] = true;
                *self.state(number) = State::Live;
            }
            (None, _) => {
                self.world.rings[usize::from(number)] = Rings::new(RING, 0);
                self.world.kernels[usize::from(number)] = self.world.rings[usize::from(number)].kernel();
                self.lane = self.world.start_lane();
                self.lane.reclaim(number).unwrap();
                *self.state(number) = State::Gone;
            }
        }
    }

    fn count(&self, owner: Owner) -> usize {
        (0..N_FRAMES).filter(|frame| self.world.owner(u64::from(*frame) * u64::from(SIZE)) == owner).count()
    }

    /// Nothing is under way any more: every frame is free or in the fill ring of a socket.
    fn check(&mut self) -> Result<(), TestCaseError> {
        for number in 0..SOCKETS {
            self.reclaim_what_was_dropped(number);
        }
        self.world.come_to_rest(&mut self.lane);
        let n_live = self.states.iter().filter(|state| **state == State::Live).count();
        for number in 0..SOCKETS {
            let wanted = if *self.state(number) == State::Live { RING as usize } else { 0 };
            prop_assert_eq!(self.count(Owner::Fill { socket: number }), wanted, "socket {}", number);
        }
        prop_assert_eq!(self.count(Owner::Free), N_FRAMES as usize - n_live * RING as usize);
        prop_assert_eq!(self.lane.frames.n_free(), self.count(Owner::Free));
        prop_assert_eq!(self.lane.counters.get(LaneCounter::LostFrames), 0);
        prop_assert_eq!(self.lane.counters.get(LaneCounter::Foreign), 0);
        for (place, numbers) in &self.world.sent {
            prop_assert!(numbers.is_sorted_by(|a, b| a < b), "doubled or out of order at {:?}: {:?}", place, numbers);
        }
        Ok(())
    }

    fn reclaim_what_was_dropped(&mut self, number: u16) {
        if *self.state(number) == State::Dropped {
            self.reclaim(number, None);
        }
    }
}

/// A completion that comes before older ones passes over so many at most.
const MOST_PASSED_OVER: usize = 8;

/// Delivers only as long as the rings are half empty, so that none comes round before what was passed over is completed.
fn deliver_gently(world: &mut World) {
    let not_forwarded = world.kernels[0].rx.n_waiting();
    for (kernel, under_way) in world.kernels.iter_mut().zip(&world.under_way).skip(1) {
        kernel.tx.look_again();
        if kernel.tx.available() + under_way.len() as u32 + 2 * (not_forwarded + 1) > RING / 2 {
            return;
        }
    }
    world.deliver_anyway();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_frame_is_lost_and_none_is_in_two_places(
        before_the_end in 0..300_u32,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut control = Control::new(0_u32.wrapping_sub(before_the_end));
        for step in steps {
            let world = &mut control.world;
            match step {
                Step::Deliver(n) => (0..n).for_each(|_| deliver_gently(world)),
                Step::Transmit(socket, n) => (0..n).for_each(|_| world.transmit(socket)),
                Step::Complete(socket, n, nth) => {
                    // What was passed over the last time.
                    (0..MOST_PASSED_OVER).for_each(|_| world.complete(socket));
                    (0..n).for_each(|_| world.complete_nth(socket, nth));
                }
                Step::Round(death) => _ = world.round(&mut control.lane, death),
                Step::Drop(socket, death) => control.drop_socket(socket, death),
                Step::Gone(socket) => control.link_and_lane_go(socket),
                Step::Reclaim(socket, death) => control.reclaim(socket, death),
                Step::Take(socket, death) => control.take(socket, death),
                Step::ThrowAway(socket, death) => {
                    if world.attempt(&mut control.lane, death, |lane| lane.throw_away(socket)).is_none() {
                        control.lane = world.start_lane();
                    }
                }
            }
        }
        control.check()?;
    }
}

#[test]
fn what_lies_on_the_rings_of_a_dropped_socket_is_counted_or_relayed() {
    let mut control = Control::new(u32::MAX - 2);
    (0..5).for_each(|_| control.world.deliver());
    control.world.round(&mut control.lane, None);
    // Each packet goes to each of the two sockets twice. Of ten, three are on their way and one of them is completed.
    (0..3).for_each(|_| control.world.transmit(1));
    control.world.complete_nth(1, 1);
    assert_eq!(control.lane.drop_socket(1, Why::NotNeeded), 7, "packets that the kernel had not taken");
    assert_eq!(control.lane.counters.get(LaneCounter::DroppedWithSocket), 7);
    assert_eq!(control.lane.drop_socket(1, Why::NotNeeded), 0, "it is gone");
    // A frame to both sockets lies on the other one's ring alone now; a copy to this one alone waits to be reclaimed.
    assert_eq!(control.count(Owner::Transmit { rings: 2 }), 0);
    assert_eq!(control.count(Owner::Transmit { rings: 1 }), 10);
    let copies_not_completed = 4;
    assert_eq!(control.count(Owner::Fill { socket: 1 }), RING as usize + copies_not_completed);
    // What has come in by a socket that goes is relayed first.
    (0..4).for_each(|_| control.world.deliver_anyway());
    assert_eq!(control.lane.drop_socket(0, Why::NotNeeded), 0);
    (0..RING).for_each(|_| control.world.transmit(2));
    assert_eq!(control.world.sent[&(2, 3)], (0..9).collect::<Vec<u32>>());
    // It can be reclaimed once the kernel has let go, also by a lane that never had the socket.
    control.world.handed_over = [false, false, true];
    control.lane = control.world.start_lane();
    assert_eq!(control.lane.reclaim(1), Ok(RING + 4));
    assert_eq!(control.lane.reclaim(0), Ok(RING));
    assert_eq!(control.lane.reclaim(2), Err(Refusal::Occupied));
}

#[test]
fn what_lay_on_the_ring_of_a_link_that_went_with_its_lane_comes_back() {
    let mut control = Control::new(u32::MAX - 2);
    (0..5).for_each(|_| control.world.deliver());
    control.world.round(&mut control.lane, None);
    // Of ten packets on each ring, three are on their way and one of them is completed.
    (0..3).for_each(|_| control.world.transmit(1));
    control.world.complete_nth(1, 1);
    control.link_and_lane_go(1);
    assert_eq!(control.count(Owner::Transmit { rings: 2 }), 0);
    assert_eq!(control.count(Owner::Transmit { rings: 1 }), 10, "what lies on the other ring");
    assert_eq!(control.count(Owner::Fill { socket: 1 }), RING as usize, "with the kernel until it lets go");
    assert_eq!(control.lane.counters.get(LaneCounter::DroppedWithSocket), 10, "not known to be sent");
    control.check().unwrap();
    assert_eq!(control.world.sent[&(2, 3)], [0, 1, 2, 3, 4]);
}

/// Void entries are not completed: whoever takes the ring up knows how many there are, or could not tell what is missing.
#[test]
fn what_was_thrown_away_is_not_taken_for_late() {
    for n_completed in [0, 3] {
        let mut control = Control::new(u32::MAX - 2);
        (0..5).for_each(|_| control.world.deliver());
        control.world.round(&mut control.lane, None);
        control.lane.throw_away(2);
        (0..n_completed).for_each(|_| control.world.kernels[2].completion.put(NOWHERE));
        let completion = &control.world.kernels[2].completion;
        completion.publish(completion.next());
        control.world.round(&mut control.lane, None);
        control.link_and_lane_go(1);
        assert_eq!(control.count(Owner::Transmit { rings: 1 }), 0, "nothing lies on any ring");
        control.check().unwrap();
    }
}

#[test]
fn a_packet_that_is_so_late_that_its_ring_comes_round_is_not_forgotten() {
    let mut control = Control::new(0);
    control.world.deliver();
    control.world.round(&mut control.lane, None);
    control.world.transmit(1);
    control.world.transmit(1);
    for _ in 0..RING {
        control.world.deliver_anyway();
        control.world.round(&mut control.lane, None);
        (0..2).for_each(|_| control.world.transmit(1));
        (0..2).for_each(|_| control.world.complete_nth(1, 1));
        (0..2).for_each(|_| control.world.transmit(2));
        (0..2).for_each(|_| control.world.complete(2));
    }
    control.drop_socket(1, None);
    control.check().unwrap();
}

#[test]
fn a_pool_that_cannot_fill_a_ring_refuses_and_keeps_what_it_has() {
    let mut control = Control::new(0);
    control.drop_socket(1, None);
    control.reclaim(1, None);
    let mut held = Vec::new();
    while control.lane.frames.n_free() >= RING as usize {
        held.extend(control.lane.frames.reserve());
    }
    control.take(1, None);
    assert_eq!(*control.state(1), State::Gone);
    assert_eq!(control.lane.frames.n_free() as u32, RING - 1);
    for frame in held {
        control.lane.frames.release(frame, &mut control.lane.log);
    }
    control.lane.commit();
    control.take(1, None);
    assert_eq!(*control.state(1), State::Live);
    // It relays at once.
    control.world.deliver();
    control.world.round(&mut control.lane, None);
    (0..2).for_each(|_| control.world.transmit(1));
    assert_eq!(control.world.sent[&(1, 1)], [0]);
}

#[test]
fn a_flooded_socket_that_goes_holds_nobody_up() {
    let mut control = Control::new(0);
    // Whatever frame the lane gives back comes in again at once.
    let Kernel { mut fill, mut rx, .. } = control.world.rings[0].kernel();
    let (n, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, is_over) = (Arc::clone(&n), Arc::clone(&over));
    let flood = std::thread::spawn(move || {
        while !is_over.load(Relaxed) {
            while rx.room() > 0
                && let Some(at) = fill.take()
            {
                fill.publish(fill.next());
                rx.put(Descriptor { at: at + u64::from(HEADROOM), len: 60, options: 0 });
                rx.publish(rx.next());
                counted.fetch_add(1, Relaxed);
            }
        }
    });
    // Until the lane has relayed what was there at first, so that the flood is on.
    while n.load(Relaxed) <= RING {
        control.world.round(&mut control.lane, None);
    }
    let before = control.lane.counters.get(LaneCounter::Received);
    control.lane.drop_socket(0, Why::NotNeeded);
    let relayed = control.lane.counters.get(LaneCounter::Received) - before;
    over.store(true, Relaxed);
    flood.join().unwrap();
    assert!(relayed < u64::from(RING) + BATCH as u64, "{relayed} packets were relayed of a ring of {RING}");
}

#[test]
fn every_point_of_a_drop_can_be_the_last() {
    for point in 0.. {
        let mut control = Control::new(u32::MAX - 2);
        (0..5).for_each(|_| control.world.deliver());
        control.world.round(&mut control.lane, None);
        (0..7).for_each(|_| control.world.transmit(1));
        [3, 1, 0].into_iter().for_each(|nth| control.world.complete_nth(1, nth));
        control.drop_socket(1, Some(point));
        let died = control.world.deaths == 1;
        control.check().unwrap();
        assert_eq!(control.world.sent[&(2, 1)], [0, 1, 2, 3, 4]);
        if !died {
            assert!(point > 3 + 7 + 3, "only {point} points");
            return;
        }
    }
}

#[test]
fn a_lane_whose_sockets_are_all_gone_has_every_frame_back_when_the_kernel_lets_go() {
    let mut world = World::new(0);
    let mut lane = world.start_lane();
    (0..20).for_each(|_| world.deliver());
    world.round(&mut lane, None);
    let census = |world: &World| Census::of(world.words().words32(0, N_FRAMES as usize));
    let before = census(&world);
    assert!(before.transmit > 0, "{before:?}");
    drop(lane);
    // A lane that has its sockets gives nothing up.
    drop(world.start_lane());
    assert_eq!(census(&world), before);
    world.handed_over = [false; SOCKETS as usize];
    drop(world.start_lane());
    // The second one finds it done.
    let mut lane = world.start_lane();
    let Census { transmit, lost, .. } = census(&world);
    assert_eq!((transmit, lost), (0, 0));
    for number in 0..SOCKETS {
        lane.reclaim(number).unwrap();
    }
    assert_eq!((census(&world).free, lane.frames.n_free()), (N_FRAMES.into(), N_FRAMES as usize));
}
