//! A whole lane between rings in memory. The test plays the kernel and kills the lane after any store of a commit.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::*;
use crate::lane::fixtures::{
    HEADROOM, IFINDEX, MAX_OUTPUTS, MAX_RELAYS, SIZE, key, output, rewritten, sharing, table_of,
};
use crate::lane::handoff::Message;
use crate::lane::ports::Socket;
use crate::lane::run::take_up;
use crate::memory::log::Died;
use crate::memory::{self, Mapping, whole_pages};
use crate::xsk::port::fake::{Kernel, Rings};
use crate::xsk::ring::Descriptor;
use proptest::prelude::*;
use relay_common::fixtures::Recipe;
use relay_common::owner::Owner;
use relay_common::table::image;
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering::Relaxed;

/// Entries of every ring.
const RING: u32 = 128;
const N_FRAMES: u32 = 1152;
/// Socket 0 receives, sockets 1 and 2 send on output links 0 and 1.
const SOCKETS: u16 = 3;

/// What outlives a lane.
struct World {
    area: File,
    ledger: OwnedFd,
    table: OwnedFd,
    counters: OwnedFd,
    tap: OwnedFd,
    rings: Vec<Rings>,
    kernels: Vec<Kernel>,
    /// Packets that the kernel has taken from a transmit ring and not completed, by socket.
    under_way: Vec<VecDeque<u64>>,
    completed: Vec<u32>,
    delivered: u32,
    /// What went out, by socket and destination.
    sent: BTreeMap<(u16, u8), Vec<u32>>,
    deaths: u64,
}

impl World {
    fn new(index: u32) -> Self {
        let rings: Vec<Rings> = (0..SOCKETS).map(|_| Rings::new(RING, index)).collect();
        let world = Self {
            area: memory::create(c"area", (N_FRAMES * SIZE) as usize).unwrap().into(),
            ledger: memory::create(c"ledger", Log::BYTES + whole_pages(N_FRAMES as usize * 4)).unwrap(),
            table: memory::create(c"table", TableMemory::bytes(image::image_size(MAX_RELAYS, MAX_OUTPUTS))).unwrap(),
            counters: memory::create(c"counters", Counters::bytes(MAX_RELAYS, MAX_OUTPUTS)).unwrap(),
            tap: memory::tap::create().unwrap(),
            kernels: rings.iter().map(Rings::kernel).collect(),
            rings,
            under_way: vec![VecDeque::new(); SOCKETS.into()],
            completed: vec![0; SOCKETS.into()],
            delivered: 0,
            sent: BTreeMap::new(),
            deaths: 0,
        };
        world.fill();
        // The frame itself to both links, a copy of it to the first one, another copy to the second.
        let outputs = vec![output(0, 0, 1), sharing(1, 1, 1), output(2, 0, 2), output(3, 1, 3)];
        let table = table_of(&[(key(5000, false), outputs)]);
        TableMemory::open(&world.table, image::image_size(MAX_RELAYS, MAX_OUTPUTS))
            .unwrap()
            .publish(1, |bytes| image::write(&table, bytes));
        world
    }

    /// Full fill rings, as control leaves them.
    fn fill(&self) {
        let words = self.words();
        let mut frame = 0_u32;
        for (number, rings) in (0..).zip(&self.rings) {
            let mut port = rings.port(true, true);
            for _ in 0..RING {
                port.fill.put(u64::from(frame) * u64::from(SIZE));
                words.words32(frame as usize * 4, 1)[0].store(Owner::Fill { socket: number }.word(), Relaxed);
                frame += 1;
            }
            port.fill.publish(port.fill.next());
        }
    }

    fn words(&self) -> Mapping {
        Mapping::shared_at(&self.ledger, whole_pages(N_FRAMES as usize * 4), Log::BYTES as i64).unwrap()
    }

    fn owner(&self, at: u64) -> Owner {
        let frame = usize::try_from(at / u64::from(SIZE)).unwrap();
        Owner::from_word(self.words().words32(frame * 4, 1)[0].load(Relaxed)).unwrap()
    }

    /// A lane takes up what its predecessor left, by the code that real lanes run.
    fn start_lane(&self) -> Lane {
        let mut ports = Ports::default();
        for (number, rings) in (0..).zip(&self.rings) {
            let output: Option<u16> = u16::checked_sub(number, 1);
            let port = rings.port(output.is_none(), output.is_some());
            ports.add(Socket { number, ifindex: IFINDEX, output, busy_polled: false, port });
        }
        let (a, b, c, d, e) = (SIZE, N_FRAMES, RING, MAX_RELAYS, MAX_OUTPUTS);
        let start = Message { a, b, c, d, e, ..Message::default() };
        let doorbell = &self.counters;
        let area = self.area.try_clone().unwrap().into();
        let memory = [&self.ledger, &self.table, &self.counters, doorbell, &self.tap].map(|fd| fd.try_clone().unwrap());
        take_up(&start, std::iter::once(area).chain(memory).collect(), ports).unwrap().0
    }

    /// A round that dies after so many stores; a lane that died is replaced.
    fn round(&mut self, lane: &mut Lane, death: Option<u64>) -> bool {
        lane.log.die_after(death);
        match catch_unwind(AssertUnwindSafe(|| lane.round(1))) {
            Ok(busy) => busy,
            Err(panic) if panic.is::<Died>() => {
                self.deaths += 1;
                // The kernel does not wait for a successor.
                for _ in 0..self.deaths % 8 {
                    self.deliver();
                    self.transmit(1);
                    self.complete(1);
                    self.transmit(2);
                }
                *lane = self.start_lane();
                true
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    /// A packet comes in, unless a ring that it will lie on could be full.
    fn deliver(&mut self) {
        for socket in 1..usize::from(SOCKETS) {
            let not_reaped = RING - self.kernels[socket].completion.room();
            // Two descriptors per packet and socket.
            if 2 * (self.delivered + 1) + not_reaped > self.completed[socket] + RING {
                return;
            }
        }
        let Kernel { fill, rx, .. } = &mut self.kernels[0];
        fill.look_again();
        assert!(fill.available() <= rx.room(), "the kernel has more frames than its receive ring has places");
        let Some(frame) = fill.take() else { return };
        assert_eq!(self.owner(frame), Owner::Fill { socket: 0 });
        let packet = packet(self.delivered).bytes();
        let at = frame + u64::from(HEADROOM);
        self.area.write_all_at(&packet, at).unwrap();
        let Kernel { fill, rx, .. } = &mut self.kernels[0];
        fill.publish(fill.next());
        rx.put(Descriptor { at, len: packet.len() as u32, options: 0 });
        rx.publish(rx.next());
        self.delivered += 1;
    }

    /// The kernel takes a packet from a transmit ring.
    fn transmit(&mut self, socket: u16) {
        let tx = &mut self.kernels[usize::from(socket)].tx;
        let Some(descriptor) = tx.take() else { return };
        tx.publish(tx.next());
        let owner = self.owner(descriptor.at);
        assert!(matches!(owner, Owner::Transmit { .. }), "the kernel is sending a frame that is {owner:?}");
        let mut bytes = vec![0; descriptor.len as usize];
        self.area.read_exact_at(&mut bytes, descriptor.at).unwrap();
        let number = u32::from_be_bytes(bytes[42..46].try_into().unwrap());
        let last = bytes[33];
        assert_eq!(bytes, rewritten(&packet(number), last), "number {number} to {last}");
        self.sent.entry((socket, last)).or_default().push(number);
        self.under_way[usize::from(socket)].push_back(descriptor.at);
    }

    /// The kernel has sent a packet.
    fn complete(&mut self, socket: u16) {
        let socket = usize::from(socket);
        let Some(at) = self.under_way[socket].pop_front() else { return };
        let completion = &mut self.kernels[socket].completion;
        assert!(completion.room() > 0, "more was sent than the completion ring takes");
        completion.put(at);
        completion.publish(completion.next());
        self.completed[socket] += 1;
    }

    /// Everything that is there goes its way, and nobody dies any more.
    fn come_to_rest(&mut self, lane: &mut Lane) {
        for _ in 0..1000 {
            let busy = self.round(lane, None);
            for socket in 1..SOCKETS {
                (0..RING).for_each(|_| self.transmit(socket));
                (0..RING).for_each(|_| self.complete(socket));
            }
            if !busy && lane.n_under_way() == 0 {
                return;
            }
        }
        panic!("the lane does not come to rest");
    }

    fn check(&self, lane: &Lane) -> Result<(), TestCaseError> {
        let all: Vec<u32> = (0..self.delivered).collect();
        for place in [(1, 1), (2, 1), (1, 2), (2, 3)].iter().filter(|_| self.delivered > 0) {
            prop_assert_eq!(self.sent.get(place), Some(&all), "lost, doubled or out of order at {:?}", place);
        }
        let owners: Vec<Owner> = (0..N_FRAMES).map(|frame| self.owner(u64::from(frame) * u64::from(SIZE))).collect();
        for socket in 0..SOCKETS {
            let filled = owners.iter().filter(|owner| **owner == Owner::Fill { socket }).count();
            prop_assert_eq!(filled, RING as usize);
        }
        let free = owners.iter().filter(|owner| **owner == Owner::Free).count();
        prop_assert_eq!(free, (N_FRAMES - u32::from(SOCKETS) * RING) as usize);
        prop_assert_eq!(lane.frames.n_free(), free);
        prop_assert_eq!(lane.counters.get(LaneCounter::LostFrames), 0);
        prop_assert_eq!(lane.counters.get(LaneCounter::Foreign), 0);
        prop_assert!(lane.counters.get(LaneCounter::Redone) <= self.deaths);
        Ok(())
    }
}

/// Packets are told apart by their payload.
fn packet(number: u32) -> Recipe {
    let payload = number.to_be_bytes().into_iter().chain(0..60).collect();
    Recipe { payload, ..Recipe::default() }
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
        world.check(&lane)?;
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
        world.check(&lane).unwrap();
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
