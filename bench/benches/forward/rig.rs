//! A lane without a kernel: frames, journal, counters and table as a lane has them, and a fill ring that is a queue.

use crate::packets::{self, IFINDEX, TO_V4};
use relay_common::abi::{Address, InputKey, Stamp};
use relay_common::counters::relay::{PACKETS, RTP_LOST, TS_ERRORS};
use relay_common::datagram::Datagram;
use relay_common::entry::{OutputEntry, RelayEntry};
use relay_common::journal::BATCH;
use relay_common::looping::Guard;
use relay_common::meter::Meter;
use relay_common::owner::Owner;
use relay_common::plan::Meters;
use relay_common::table::image::{Image, image_size, write};
use relay_common::table::{HEADROOM, Table};
use relay_engine::lane::forward::{Arrival, Bench, Outbox, Received, forward};
use relay_engine::memory::counters::Counters;
use relay_engine::memory::frames::Frames;
use relay_engine::memory::log::Log;
use relay_engine::memory::{Mapping, whole_pages};
use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use zerocopy::{FromZeros, IntoBytes};

/// As a lane has them by default: a receive ring, four output links.
const FRAME_SIZE: u32 = 2048;
const RING_SIZE: u32 = 2048;
const N_LINKS: u16 = 4;
const N_FRAMES: usize = 20 * 1024;
const MAX_RELAYS: u32 = 4096;
const MAX_OUTPUTS: u32 = 16_384;
/// From one packet to the next: a stream of 10 Mbit/s.
const PACE_NS: u64 = 1_050_000;
/// A slot in the middle of the table.
const SLOT: u32 = 1234;

/// What outputs of a relay have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// Nothing: each needs a copy.
    Differ,
    /// All bytes: they share the received frame.
    Share,
}

/// What is measured of the relay's input, and what that is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metered {
    pub(crate) meters: Meters,
    pub(crate) is_rtp: bool,
    /// Whether its sender leaves UDP checksums to hardware.
    pub(crate) is_unfinished: bool,
}

impl Metered {
    /// As a relay is by default, with the packets that are most often seen.
    pub(crate) const DEFAULT: Self = Self { meters: Meters::Full, is_rtp: false, is_unfinished: false };
}

/// A lane with one relay.
pub(crate) struct Rig {
    frames: Frames,
    log: Log,
    counters: Counters,
    outboxes: Vec<Outbox>,
    received: Vec<Received>,
    image: Vec<u64>,
    /// What the kernel has through the fill ring.
    fill: VecDeque<u64>,
    packet: Vec<u8>,
    /// Where its payload begins.
    payload: usize,
    is_rtp: bool,
    is_unfinished: bool,
    stamp: Stamp,
    meters: Vec<Meter>,
    guards: Vec<Guard>,
    /// Packets that have come.
    n_packets: u64,
}

impl Rig {
    /// A relay with so many outputs, spread over four links, whose packets come in with a stamp or without.
    pub(crate) fn new(n_outputs: u16, outputs: Outputs, stamped: bool, metered: Metered) -> Self {
        let area = Mapping::anonymous(N_FRAMES * FRAME_SIZE as usize).expect("memory");
        let ledger = Mapping::anonymous(whole_pages(N_FRAMES * 4)).expect("memory");
        let words = ledger.words32(0, RING_SIZE as usize);
        words.iter().for_each(|word| word.store(Owner::Fill { socket: 0 }.word(), Relaxed));
        let (frames, _) = Frames::take_stock(area, ledger, FRAME_SIZE);
        let packet = packets::stream(metered.is_rtp, metered.is_unfinished);
        let room = BATCH * usize::from(n_outputs);
        let stamp = if stamped { Stamp { magic: Stamp::MAGIC, slot: SLOT, time_ns: 1 } } else { Stamp::NONE };
        Self {
            frames,
            log: Log::open(Mapping::anonymous(Log::BYTES).expect("memory")).expect("a fresh journal"),
            counters: Counters::private(MAX_RELAYS, MAX_OUTPUTS).expect("memory"),
            outboxes: (0..N_LINKS)
                .map(|_| Outbox { room: 0, is_open: true, is_missed: false, descriptors: Vec::with_capacity(room) })
                .collect(),
            received: Vec::with_capacity(BATCH),
            image: image(&packet, n_outputs, outputs, metered.meters),
            fill: (0..u64::from(RING_SIZE)).map(|frame| frame * u64::from(FRAME_SIZE)).collect(),
            payload: Datagram::parse(&packet[..]).expect("a datagram").payload.into(),
            is_rtp: metered.is_rtp,
            is_unfinished: metered.is_unfinished,
            packet,
            stamp,
            meters: vec![Meter::NEW; MAX_RELAYS as usize],
            guards: vec![Guard::NEW; MAX_RELAYS as usize],
            n_packets: 0,
        }
    }

    /// The kernel's part: a batch arrives.
    pub(crate) fn receive(&mut self) {
        for _ in 0..BATCH {
            let at = self.fill.pop_front().expect("the fill ring is full") + u64::from(HEADROOM);
            let len = u32::try_from(self.packet.len()).expect("a frame is short");
            packets::number(&mut self.packet[self.payload..], self.is_rtp, self.n_packets);
            if !self.is_unfinished {
                packets::check(&mut self.packet[..self.payload], self.n_packets);
            }
            self.n_packets += 1;
            self.stamp.time_ns = self.n_packets * PACE_NS;
            let (mut frame, at) = self.frames.receive(0, at, len).expect("the kernel had it");
            let (from, stamp_at) = (at as usize, at as usize - size_of::<Stamp>());
            let bytes = self.frames.bytes_mut(&mut frame);
            bytes[stamp_at..from].copy_from_slice(self.stamp.as_bytes());
            bytes[from..from + self.packet.len()].copy_from_slice(&self.packet);
            self.received.push(Received { frame, at, len });
        }
        self.outboxes.iter_mut().for_each(|outbox| outbox.room = 4 * RING_SIZE);
    }

    /// What is measured: the pure function.
    #[inline(never)]
    pub(crate) fn forward(&mut self) {
        let Self { frames, log, counters, outboxes, received, image, meters, guards, .. } = self;
        let table = Image::view(image.as_bytes()).expect("it was written as one");
        let arrival = Arrival { ifindex: IFINDEX, now: self.n_packets * PACE_NS + 1000 };
        let bench = &mut Bench { frames, log, outboxes, counters, meters, guards, tap: None, is_copied: true };
        forward(received, arrival, &table, bench);
    }

    /// What is measured: the commit, with nothing behind the rings.
    #[inline(never)]
    pub(crate) fn commit(&mut self) {
        self.frames.commit(&mut self.log, |_, _| {});
    }

    /// Takes all completions back and refills: what a lane does before and after it forwards.
    #[inline(never)]
    pub(crate) fn turn_over(&mut self) {
        for outbox in &mut self.outboxes {
            for descriptor in outbox.descriptors.drain(..) {
                assert!(self.frames.complete(descriptor.at, &mut self.log), "a completion of a frame not sent");
            }
        }
        let wanted = RING_SIZE - self.frames.n_filled(0);
        self.frames.fill_each(0, wanted as usize, &mut self.log, |at| self.fill.push_back(at));
    }

    /// Packets that the relay has counted: proof that they were relayed, not dropped.
    pub(crate) fn n_relayed(&self) -> u64 {
        self.counters.get_relay(SLOT, PACKETS)
    }

    /// What the meters found missing: nothing is.
    pub(crate) fn n_missing(&self) -> u64 {
        [RTP_LOST, TS_ERRORS].map(|place| self.counters.get_relay(SLOT, place)).iter().sum()
    }

    /// How many descriptors wait to be sent.
    pub(crate) fn n_sent(&self) -> usize {
        self.outboxes.iter().map(|outbox| outbox.descriptors.len()).sum()
    }
}

fn image(packet: &[u8], n_outputs: u16, outputs: Outputs, meters: Meters) -> Vec<u64> {
    let key = Datagram::parse(packet).expect("a datagram").key(IFINDEX);
    let mut table = Table::empty(MAX_RELAYS, MAX_OUTPUTS);
    table.generation = 1;
    // The table is full: keys that differ in the group's last bits, as those of a headend do.
    table.entries = (0..MAX_RELAYS)
        .map(|slot| RelayEntry {
            key: InputKey { destination: other_group(key.destination, slot), ..key },
            first_output: 0,
            n_outputs: 0,
            flags: RelayEntry::IN_USE,
            silence_ms: 1000,
            epoch: 1,
            first_source: 0,
            n_sources: 0,
            zero: 0,
        })
        .collect();
    let meters = match meters {
        Meters::Off => 0,
        Meters::Rtp => RelayEntry::METER_RTP,
        Meters::Full => RelayEntry::METER_RTP | RelayEntry::METER_TS,
    };
    let other = table.entries[SLOT as usize];
    table.entries[SLOT as usize] = RelayEntry { key, n_outputs, flags: RelayEntry::IN_USE | meters, ..other };
    table.outputs = (0..n_outputs)
        .map(|n| {
            let mut entry = OutputEntry::new_zeroed();
            let shares = outputs == Outputs::Share;
            entry.rewrite = packets::rewrite(TO_V4, if shares { 5001 } else { 5001 + n });
            entry.flags = if shares && n > 0 { OutputEntry::SHARES } else { 0 };
            entry.link = n % N_LINKS;
            entry.mtu = 1500;
            entry.counter = n.into();
            entry
        })
        .collect();
    let mut image = vec![0; image_size(MAX_RELAYS, MAX_OUTPUTS).div_ceil(8)];
    write(&table, image.as_mut_bytes());
    image
}

fn other_group(group: Address, slot: u32) -> Address {
    let [_, _, c, d] = slot.to_be_bytes();
    let [a, b, ..] = group.v4_bytes();
    Address::v4([a, b.wrapping_add(1), c, d])
}
