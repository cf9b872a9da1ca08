//! The rings of a socket in plain memory, and the kernel's side of them: a test plays the kernel.

use super::Port;
use crate::memory::{self, Mapping, PAGE};
use crate::xsk::ring::{Consumer, Descriptor, Offsets, Producer};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

const OFFSETS: Offsets = Offsets { producer: 0, consumer: 64, flags: 128, entries: 192 };
const FILL: usize = 0;
const RX: usize = PAGE;
const TX: usize = 2 * PAGE;
const COMPLETION: usize = 3 * PAGE;

/// Memory that outlives whoever maps it, as a socket's rings do.
#[derive(Debug)]
pub struct Rings {
    memory: OwnedFd,
    size: u32,
}

/// The kernel's side.
#[derive(Debug)]
pub struct Kernel {
    /// Empty frames for packets.
    pub fill: Consumer<u64>,
    /// Packets that came in.
    pub rx: Producer<Descriptor>,
    /// Packets to send.
    pub tx: Consumer<Descriptor>,
    /// Frames whose packets were sent.
    pub completion: Producer<u64>,
}

impl Rings {
    /// Empty rings of `size` entries, each in a page; all indices begin at `index`.
    pub fn new(size: u32, index: u32) -> Self {
        let rings = Self { memory: memory::create(c"rings", 4 * PAGE).unwrap(), size };
        for ring in [FILL, RX, TX, COMPLETION] {
            let map = rings.map(ring);
            for at in [OFFSETS.producer, OFFSETS.consumer] {
                map.words32(at, 1)[0].store(index, Relaxed);
            }
        }
        rings
    }

    fn map(&self, ring: usize) -> Mapping {
        Mapping::shared_at(&self.memory, PAGE, i64::try_from(ring).unwrap()).unwrap()
    }

    /// The lane's side, as it finds the rings.
    pub fn port(&self, receives: bool, sends: bool) -> Port {
        let completion = Consumer::new(self.map(COMPLETION), OFFSETS, self.size);
        let mut port = Port {
            fd: self.memory.try_clone().unwrap(),
            ring_size: self.size,
            fill: Producer::new(self.map(FILL), OFFSETS, self.size),
            rx: receives.then(|| Consumer::new(self.map(RX), OFFSETS, self.size)),
            tx: sends.then(|| Producer::new(self.map(TX), OFFSETS, self.size)),
            n_void: 0,
            settled: completion.next(),
            strike_at: 0,
            late: Vec::with_capacity(super::MOST_LATE),
            completion,
        };
        port.look_again();
        port
    }

    /// The kernel's side, as it finds the rings.
    pub fn kernel(&self) -> Kernel {
        Kernel {
            fill: Consumer::new(self.map(FILL), OFFSETS, self.size),
            rx: Producer::new(self.map(RX), OFFSETS, self.size),
            tx: Consumer::new(self.map(TX), OFFSETS, self.size),
            completion: Producer::new(self.map(COMPLETION), OFFSETS, self.size),
        }
    }
}
