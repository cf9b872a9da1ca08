//! What outlives a lane, in memory; a test plays the kernel and control.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::fixtures::{HEADROOM, IFINDEX, MAX_OUTPUTS, MAX_RELAYS, SIZE, key, output, rewritten, sharing, table_of};
use super::handoff::{Message, Outfit, kind, said};
use super::ports::{Ports, Socket};
use super::round::Lane;
use super::run::take_up;
use crate::memory::counters::Counters;
use crate::memory::log::{Died, Log};
use crate::memory::table::{TableMemory, TableWriter};
use crate::memory::{self, Mapping, whole_pages};
use crate::xsk::port::fake::{Kernel, Rings};
use crate::xsk::ring::Descriptor;
use relay_common::abi::InputKey;
use relay_common::entry::OutputEntry;
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
pub(super) const RING: u32 = 128;
pub(super) const N_FRAMES: u32 = 1152;
/// Socket 0 receives, sockets 1 and 2 send on output links 0 and 1.
pub(super) const SOCKETS: u16 = 3;

/// What outlives a lane.
pub(super) struct World {
    pub(super) area: File,
    pub(super) ledger: OwnedFd,
    pub(super) table: OwnedFd,
    pub(super) counters: OwnedFd,
    pub(super) tap: OwnedFd,
    pub(super) rings: Vec<Rings>,
    pub(super) kernels: Vec<Kernel>,
    /// Packets that the kernel has taken from a transmit ring and not completed, by socket.
    pub(super) under_way: Vec<VecDeque<u64>>,
    pub(super) completed: Vec<u32>,
    pub(super) delivered: u32,
    /// What went out, by socket and destination.
    pub(super) sent: BTreeMap<(u16, u8), Vec<u32>>,
    pub(super) deaths: u64,
    /// Which sockets control hands to a lane that it starts.
    pub(super) handed_over: [bool; SOCKETS as usize],
}

impl World {
    pub(super) fn new(index: u32) -> Self {
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
            handed_over: [true; SOCKETS as usize],
        };
        world.fill();
        // The frame itself to both links, a copy of it to the first one, another copy to the second.
        let outputs = vec![output(0, 0, 1), sharing(1, 1, 1), output(2, 0, 2), output(3, 1, 3)];
        world.publish(1, &[(key(5000, false), outputs)]);
        world
    }

    /// Control brings a table into force.
    pub(super) fn publish(&self, generation: u64, relays: &[(InputKey, Vec<OutputEntry>)]) {
        let mut table = table_of(relays);
        table.generation = generation;
        TableWriter::open(&self.table, image::image_size(MAX_RELAYS, MAX_OUTPUTS))
            .unwrap()
            .publish(generation, |bytes| image::write(&table, bytes));
    }

    /// Full fill rings, as control leaves them.
    pub(super) fn fill(&self) {
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

    pub(super) fn words(&self) -> Mapping {
        Mapping::shared_at(&self.ledger, whole_pages(N_FRAMES as usize * 4), Log::BYTES as i64).unwrap()
    }

    pub(super) fn owner(&self, at: u64) -> Owner {
        let frame = usize::try_from(at / u64::from(SIZE)).unwrap();
        Owner::from_word(self.words().words32(frame * 4, 1)[0].load(Relaxed)).unwrap()
    }

    /// A lane takes up what its predecessor left, by the code that real lanes run.
    pub(super) fn start_lane(&self) -> Lane {
        let mut ports = Ports::default();
        for number in (0..SOCKETS).filter(|number| self.handed_over[usize::from(*number)]) {
            ports.add(self.socket(number));
        }
        let (frame_size, frames, ring_size, relays, outputs) = (SIZE, N_FRAMES, RING, MAX_RELAYS, MAX_OUTPUTS);
        let start = said::Start { frame_size, frames, ring_size, relays, outputs, ..said::Start::default() };
        let start = Message::of(kind::START).saying(start);
        let clone = |fd: &OwnedFd| fd.try_clone().unwrap();
        let outfit = Outfit {
            frames: self.area.try_clone().unwrap().into(),
            ledger: clone(&self.ledger),
            table: clone(&self.table),
            counters: clone(&self.counters),
            doorbell: clone(&self.counters),
            door: clone(&self.counters),
            tap: clone(&self.tap),
        };
        take_up(&start, &outfit, ports, None).unwrap()
    }

    /// A socket as control hands it over: the first one receives, the others send.
    pub(super) fn socket(&self, number: u16) -> Socket {
        let output = u16::checked_sub(number, 1);
        let receives = u32::from(output.is_none());
        let take = said::Take { ifindex: IFINDEX, output: said::output(output), receives, ..said::Take::default() };
        let message = Message { number: number.into(), ..Message::of(kind::TAKE).saying(take) };
        let port = self.rings[usize::from(number)].port(output.is_none(), output.is_some());
        Socket::new(message, port).unwrap()
    }

    /// Something that the lane does, and dies in after so many stores. `None` when it died.
    pub(super) fn attempt<T>(
        &mut self,
        lane: &mut Lane,
        death: Option<u64>,
        act: impl FnOnce(&mut Lane) -> T,
    ) -> Option<T> {
        lane.log.die_after(death);
        let result = catch_unwind(AssertUnwindSafe(|| act(lane)));
        lane.log.die_after(None);
        match result {
            Ok(value) => Some(value),
            Err(panic) if panic.is::<Died>() => {
                self.deaths += 1;
                None
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    /// A round that dies after so many stores; a lane that died is replaced.
    pub(super) fn round(&mut self, lane: &mut Lane, death: Option<u64>) -> bool {
        if let Some(busy) = self.attempt(lane, death, |lane| lane.round(1)) {
            return busy;
        }
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

    /// A packet comes in, unless a ring that it will lie on could be full.
    pub(super) fn deliver(&mut self) {
        for socket in 1..usize::from(SOCKETS) {
            let not_reaped = RING - self.kernels[socket].completion.room();
            // Two descriptors per packet and socket.
            if 2 * (self.delivered + 1) + not_reaped > self.completed[socket] + RING {
                return;
            }
        }
        self.deliver_anyway();
    }

    /// A packet comes in, if the kernel has a frame for it.
    pub(super) fn deliver_anyway(&mut self) {
        self.deliver_as(&packet(self.delivered));
    }

    /// This packet comes in. Says whether the kernel had a frame for it.
    pub(super) fn deliver_as(&mut self, packet: &Recipe) -> bool {
        let Kernel { fill, rx, .. } = &mut self.kernels[0];
        fill.look_again();
        assert!(fill.available() <= rx.room(), "the kernel has more frames than its receive ring has places");
        let Some(frame) = fill.take() else { return false };
        assert_eq!(self.owner(frame), Owner::Fill { socket: 0 });
        let packet = packet.bytes();
        let at = frame + u64::from(HEADROOM);
        self.area.write_all_at(&packet, at).unwrap();
        let Kernel { fill, rx, .. } = &mut self.kernels[0];
        fill.publish(fill.next());
        rx.put(Descriptor { at, len: packet.len() as u32, options: 0 });
        rx.publish(rx.next());
        self.delivered += 1;
        true
    }

    /// The kernel takes a packet from a transmit ring.
    pub(super) fn transmit(&mut self, socket: u16) {
        let tx = &mut self.kernels[usize::from(socket)].tx;
        let Some(descriptor) = tx.take() else { return };
        tx.publish(tx.next());
        // The kernel passes over what makes no sense to it.
        if descriptor.options != 0 {
            return;
        }
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
    pub(super) fn complete(&mut self, socket: u16) {
        self.complete_nth(socket, 0);
    }

    /// The kernel has sent a packet, before older ones.
    pub(super) fn complete_nth(&mut self, socket: u16, nth: usize) {
        let socket = usize::from(socket);
        let Some(at) = self.under_way[socket].remove(nth) else { return };
        let completion = &mut self.kernels[socket].completion;
        assert!(completion.room() > 0, "more was sent than the completion ring takes");
        completion.put(at);
        completion.publish(completion.next());
        self.completed[socket] += 1;
    }

    /// Everything that is there goes its way, and nobody dies any more.
    pub(super) fn come_to_rest(&mut self, lane: &mut Lane) {
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
}

/// Packets are told apart by their payload.
pub(super) fn packet(number: u32) -> Recipe {
    let payload = number.to_be_bytes().into_iter().chain(0..60).collect();
    Recipe { payload, ..Recipe::default() }
}
