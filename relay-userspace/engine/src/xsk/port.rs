//! A port: a lane's rings of one socket, mapped from its descriptor.

use super::options::{self, RingOffset};
use super::ring::{Consumer, Descriptor, Entry, Offsets, Producer};
use crate::memory::Mapping;
use relay_common::journal::ring;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

// Where the kernel keeps the rings of a socket, as offsets for mmap.
pub(super) const PGOFF_RX: i64 = 0;
pub(super) const PGOFF_TX: i64 = 0x8000_0000;
pub(super) const PGOFF_FILL: i64 = 0x1_0000_0000;
pub(super) const PGOFF_COMPLETION: i64 = 0x1_8000_0000;

/// The four rings of one socket; a socket that only sends has no receive ring, and the other way round.
#[derive(Debug)]
pub struct Port {
    fd: OwnedFd,
    ring_size: u32,
    /// Empty frames for the kernel.
    pub fill: Producer<u64>,
    /// Packets from the kernel.
    pub rx: Option<Consumer<Descriptor>>,
    /// Packets for the kernel.
    pub tx: Option<Producer<Descriptor>>,
    /// Frames whose packets were sent.
    pub completion: Consumer<u64>,
    /// Entries that were put on the transmit ring and are neither completed nor waited for: the kernel passes over them,
    /// or they were lost sight of.
    n_void: u32,
    /// The index of the completion ring that the kernel knows: what is not behind it is still under way.
    settled: u32,
    /// Where on the transmit ring the next completed entry is looked for first.
    strike_at: u32,
    /// Entries that were overwritten before they were completed: so far out of order that the ring came round.
    late: Vec<u64>,
}

/// So many late entries are remembered.
const MOST_LATE: usize = 64;

/// The length of a transmit entry that was struck out: it has been completed, or is void. No packet is as short.
const STRUCK: u32 = 0;
/// The options of an entry that is void: no kernel knows them, and each passes over such an entry. Some do not mind the
/// length.
const VOID: u32 = 1 << 31;
/// Where an entry that is void begins: in no area. Some kernels complete such an entry, others do not; a frame's address
/// would be mistaken for that of the packet which is in it by then.
pub const NOWHERE: u64 = u64::MAX << 16;

/// A packet that was handed to the kernel and not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Where in the area it begins.
    pub at: u64,
    /// The kernel has not even taken it.
    pub waits: bool,
    /// Its place on the transmit ring; none when the ring has come round since.
    pub place: Option<u32>,
}

/// What of a port changes when an entry is struck out.
type Struck<'a> = (&'a mut Option<Producer<Descriptor>>, &'a mut u32, &'a mut Vec<u64>, &'a mut u32);

impl Port {
    /// Maps the rings of a socket. All rings have the same size, which the kernel does not tell.
    pub fn open(fd: OwnedFd, receives: bool, sends: bool, ring_size: u32) -> io::Result<Self> {
        let all = options::mmap_offsets(fd.as_fd())?;
        let socket = fd.as_fd();
        let rx = receives.then(|| map::<Descriptor>(socket, all.rx, ring_size, PGOFF_RX)).transpose()?;
        let tx = sends.then(|| map::<Descriptor>(socket, all.tx, ring_size, PGOFF_TX)).transpose()?;
        let (fill, fill_at) = map::<u64>(socket, all.fill, ring_size, PGOFF_FILL)?;
        let (completion, completion_at) = map::<u64>(socket, all.completion, ring_size, PGOFF_COMPLETION)?;
        let completion = Consumer::new(completion, completion_at, ring_size);
        let mut port = Self {
            ring_size,
            fill: Producer::new(fill, fill_at, ring_size),
            rx: rx.map(|(map, at)| Consumer::new(map, at, ring_size)),
            tx: tx.map(|(map, at)| Producer::new(map, at, ring_size)),
            n_void: 0,
            settled: completion.next(),
            strike_at: 0,
            late: Vec::with_capacity(MOST_LATE),
            completion,
            fd,
        };
        port.look_again();
        Ok(port)
    }

    /// The socket.
    #[inline]
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Entries of each of its rings.
    #[inline]
    #[must_use]
    pub const fn ring_size(&self) -> u32 {
        self.ring_size
    }

    /// Packets on the receive ring at this moment.
    #[must_use]
    pub fn rx_level(&self) -> u32 {
        self.rx.as_ref().map_or(0, Consumer::level)
    }

    /// The place of the next packet on the transmit ring.
    #[inline]
    #[must_use]
    pub fn next_place(&self) -> u32 {
        self.tx.as_ref().map_or(0, Producer::next)
    }

    /// A number that changes whenever the kernel takes a packet from the transmit ring or completes one.
    #[must_use]
    pub fn n_moved(&self) -> u32 {
        self.tx.as_ref().map_or(0, |tx| tx.n_taken().wrapping_add(self.completion.next()))
    }

    /// How many packets the transmit ring takes now. No more than a ring of them is ever under way, so that the
    /// completion ring has room for each.
    #[inline]
    pub fn tx_room(&mut self) -> u32 {
        let Some(tx) = &mut self.tx else { return 0 };
        let under_way = tx.next().wrapping_sub(self.settled).wrapping_sub(self.n_void);
        tx.room().min(self.ring_size.saturating_sub(under_way))
    }

    /// Packets handed to the kernel and not yet completed.
    #[must_use]
    pub fn n_under_way(&self) -> u32 {
        self.n_not_completed().wrapping_sub(self.n_void)
    }

    /// Entries that were put on the transmit ring and did not come back, also those that never will.
    #[must_use]
    pub fn n_not_completed(&self) -> u32 {
        self.tx.as_ref().map_or(0, |tx| tx.next().wrapping_sub(self.completion.next()))
    }

    /// Packets that came in and were not taken, and such that the kernel has not begun to send, for whoever looks at the
    /// rings of a lane that is dead.
    #[must_use]
    pub fn unfinished(&mut self) -> u32 {
        let came = self.rx.as_mut().map_or(0, |rx| {
            rx.look_again();
            rx.available()
        });
        came + self.tx.as_ref().map_or(0, Producer::n_waiting)
    }

    /// Takes all rings up anew where their indices stand in memory.
    pub fn look_again(&mut self) {
        self.fill.look_again();
        self.rx.iter_mut().for_each(Consumer::look_again);
        self.tx.iter_mut().for_each(Producer::look_again);
        self.completion.look_again();
        self.settled = self.completion.next();
        self.strike_at = self.tx.as_ref().map_or(0, |tx| tx.next().wrapping_sub(self.n_under_way()));
    }

    /// Finds out what is under way, for a lane that takes the rings up after another. `is_sent` says of a frame whether it
    /// is on any transmit ring: an entry of one that is not was never committed, and is struck out.
    pub fn recount(&mut self, is_sent: impl Fn(u64) -> bool) {
        let Some(tx) = &mut self.tx else { return };
        let (mut n_open, end) = (0_u32, tx.next());
        for place in (1..=tx.size()).map(|back| end.wrapping_sub(back)) {
            let entry = tx.look_at(place);
            if entry.len != STRUCK && is_sent(entry.at) {
                n_open += 1;
            } else if entry.len != STRUCK {
                tx.overwrite(place, Descriptor { len: STRUCK, ..entry });
            }
        }
        self.n_void = self.n_not_completed().wrapping_sub(n_open);
        self.strike_at = self.tx.as_ref().map_or(0, |tx| tx.next().wrapping_sub(self.n_under_way()));
    }

    /// Puts packets on the transmit ring, which has room for them.
    #[inline]
    pub fn send_each(&mut self, packets: impl Iterator<Item = Descriptor>) {
        let Self { tx, late, n_void, .. } = self;
        let Some(tx) = tx else { return };
        tx.put_each(packets, |before| {
            if before.len != STRUCK {
                Self::overtake(before.at, late, n_void);
            }
        });
    }

    /// The place of an entry that was not completed is used again.
    #[cold]
    fn overtake(at: u64, late: &mut Vec<u64>, n_void: &mut u32) {
        if late.len() < MOST_LATE {
            late.push(at);
        } else {
            *n_void = n_void.wrapping_add(1);
        }
    }

    /// Makes the entry at that place one that the kernel passes over: in copy mode it looks at the ring in calls of ours
    /// only. Doing that twice does no harm.
    pub fn make_void(&mut self, place: u32) {
        let Some(tx) = &mut self.tx else { return };
        let entry = tx.look_at(place);
        if entry.len != STRUCK {
            tx.overwrite(place, Descriptor { at: NOWHERE, len: STRUCK, options: VOID });
            self.n_void = self.n_void.wrapping_add(1);
        }
    }

    /// Whether all that waits for the kernel is void: what is made void is all that waits, so the last one tells.
    #[must_use]
    pub fn waits_in_vain(&self) -> bool {
        self.tx.as_ref().is_some_and(|tx| tx.n_waiting() > 0 && tx.look_at(tx.next().wrapping_sub(1)).len == STRUCK)
    }

    /// Takes back up to so many frames whose packets were sent, and hands the place of each to `each`; strikes them out of the
    /// transmit ring. Says how many.
    #[inline]
    pub fn take_back(&mut self, most: u32, shift: u32, mut each: impl FnMut(u64)) -> u32 {
        let Self { completion, tx, strike_at, late, n_void, .. } = self;
        completion.take_each(most, |at| {
            Self::strike((&mut *tx, &mut *strike_at, &mut *late, &mut *n_void), at, shift);
            each(at);
        })
    }

    /// Strikes the entry of a frame that was sent out of the transmit ring. A copy-mode socket's packets need not be
    /// completed in their order, and the owner words do not say on which ring a frame lies: by what is not struck out
    /// a lane knows what is still under way, and so does its successor. `shift`: bytes of a frame, as a power of two.
    #[inline]
    fn strike((tx, strike_at, late, n_void): Struck<'_>, at: u64, shift: u32) {
        let Some(tx) = tx else { return };
        let is_it = |entry: Descriptor| entry.at >> shift == at >> shift;
        let first = tx.look_at(*strike_at);
        if is_it(first) && first.len != STRUCK {
            tx.overwrite(*strike_at, Descriptor { len: STRUCK, ..first });
            *strike_at = strike_at.wrapping_add(1);
        } else {
            let found = at != NOWHERE && Self::strike_elsewhere(tx, strike_at, late, is_it);
            // It was not counted any more.
            *n_void = n_void.wrapping_sub(u32::from(!found));
        }
    }

    /// Out of order, or a second time: a predecessor died before it committed what it had struck out. Says whether it was
    /// found.
    #[cold]
    fn strike_elsewhere(
        tx: &mut Producer<Descriptor>,
        strike_at: &mut u32,
        late: &mut Vec<u64>,
        is_it: impl Fn(Descriptor) -> bool,
    ) -> bool {
        let oldest = tx.next().wrapping_sub(tx.size());
        for index in (0..tx.size()).map(|place| oldest.wrapping_add(place)) {
            let entry = tx.look_at(index);
            if is_it(entry) && entry.len != STRUCK {
                tx.overwrite(index, Descriptor { len: STRUCK, ..entry });
                // The one that was passed over is late: what comes next most likely follows this one.
                *strike_at = index.wrapping_add(1);
                return true;
            }
        }
        if let Some(place) = late.iter().position(|&at| is_it(Descriptor { at, ..Descriptor::default() })) {
            late.swap_remove(place);
            return true;
        }
        if is_it(tx.look_at(*strike_at)) {
            *strike_at = strike_at.wrapping_add(1);
        }
        false
    }

    /// Packets that were handed to the kernel and not completed, the oldest first.
    #[must_use]
    pub fn under_way(&self) -> Vec<UnderWay> {
        let Some(tx) = &self.tx else { return Vec::new() };
        let n_waiting = tx.n_waiting();
        let open = (0..tx.size()).rev().filter_map(|back| {
            let place = tx.next().wrapping_sub(1 + back);
            let Descriptor { at, len, .. } = tx.look_at(place);
            (len != STRUCK).then_some(UnderWay { at, waits: back < n_waiting, place: Some(place) })
        });
        self.late.iter().map(|at| UnderWay { at: *at, waits: false, place: None }).chain(open).collect()
    }

    /// Packets that the kernel has not taken, the oldest first: their places on the transmit ring, and where they begin.
    pub fn waiting(&self) -> impl Iterator<Item = (u32, u64)> {
        let n_waiting = self.tx.as_ref().map_or(0, |tx| tx.n_waiting().min(tx.size()));
        let places = self.tx.iter().flat_map(move |tx| (0..n_waiting).rev().map(move |back| (tx, back)));
        places.filter_map(|(tx, back)| {
            let place = tx.next().wrapping_sub(1 + back);
            let Descriptor { at, len, .. } = tx.look_at(place);
            (len != STRUCK).then_some((place, at))
        })
    }

    /// The numbers of the frames that were handed to the kernel and not taken back, as a lane finds them that starts.
    /// `voids`: entries that were made void since the ring is there, as the journal says. `is_sent` says what the owner
    /// words say. `None` when one of them is so late that its entry was overwritten.
    pub fn found_under_way(&mut self, shift: u32, voids: u32, is_sent: impl Fn(u64) -> bool) -> Option<BTreeSet<u64>> {
        let under_way = self.n_not_completed().wrapping_sub(voids) as usize;
        let completed = self.completion.look_ahead();
        let Some(tx) = &mut self.tx else { return Some(BTreeSet::new()) };
        let (mut found, next) = (BTreeSet::new(), tx.next());
        for index in (1..=tx.size()).map(|back| next.wrapping_sub(back)) {
            let entry = tx.look_at(index);
            if entry.len == STRUCK {
                continue;
            }
            if !is_sent(entry.at) {
                // A predecessor wrote it beyond the index and died before it was published.
                tx.overwrite(index, Descriptor { len: STRUCK, ..entry });
            } else if found.len() < under_way {
                found.insert(entry.at >> shift);
            }
        }
        // Struck out already by one that died before it committed that.
        found.extend(completed.into_iter().filter(|at| is_sent(*at)).map(|at| at >> shift));
        (found.len() == under_way).then_some(found)
    }

    /// Stores one ring index; `which` as in the journal.
    #[inline]
    pub fn publish(&mut self, which: u32, to: u32) {
        match (which, &mut self.rx, &self.tx) {
            (ring::FILL, ..) => self.fill.publish(to),
            (ring::RX, Some(rx), _) => rx.publish(to),
            (ring::TX, _, Some(tx)) => tx.publish(to),
            (ring::COMPLETION, ..) => {
                self.completion.publish(to);
                self.settled = to;
            }
            _ => {}
        }
    }
}

/// Whether the link of a bound socket is gone: the kernel has taken the socket off it, and lets nobody map its rings any
/// more. Who has them mapped keeps them.
#[must_use]
pub fn is_gone(socket: BorrowedFd<'_>) -> bool {
    let mapped = options::mmap_offsets(socket).and_then(|all| map::<u64>(socket, all.fill, 1, PGOFF_FILL));
    mapped.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
}

fn map<T: Entry>(
    socket: BorrowedFd<'_>,
    offset: RingOffset,
    ring_size: u32,
    pgoff: i64,
) -> io::Result<(Mapping, Offsets)> {
    let to_usize = |value: u64| usize::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    let offsets = Offsets {
        producer: to_usize(offset.producer)?,
        consumer: to_usize(offset.consumer)?,
        flags: to_usize(offset.flags)?,
        entries: to_usize(offset.desc)?,
    };
    let len = offsets.entries + ring_size as usize * size_of::<T>();
    Ok((Mapping::shared_at(socket, len, pgoff)?, offsets))
}

/// Rings in plain memory, for tests that play the kernel.
#[cfg(test)]
pub mod fake;
