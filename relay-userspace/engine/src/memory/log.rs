//! The journal of one lane: what a commit is going to store, written down before any of it is stored.

use super::Mapping;
use relay_common::journal::{
    BATCH, COMMITTED, HeaderMove, IDLE, Journal, LAYOUT, MAX_RINGS, MAX_SOCKETS, MAX_WORDS, Queue, RingMove, WordMove,
    ring,
};
use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, compiler_fence};

mod death;
#[cfg(test)]
pub use death::Died;
use death::{Death, phase};

/// The journal, in shared memory that only this lane writes.
#[derive(Debug)]
pub struct Log {
    map: Mapping,
    n_rings: usize,
    n_words: usize,
    n_headers: usize,
    turn: u32,
    death: Death,
}

impl Log {
    /// Bytes that a journal takes.
    pub const BYTES: usize = super::whole_pages(size_of::<Journal>());

    /// Opens a journal. One of another layout is refused; a fresh one (all zero) gets this layout.
    pub fn open(mut map: Mapping) -> io::Result<Self> {
        let journal: &mut Journal = map.exclusive(0);
        match journal.layout {
            0 => journal.layout = LAYOUT,
            LAYOUT => {}
            other => return Err(io::Error::other(format!("the journal has layout {other}, this lane knows {LAYOUT}"))),
        }
        Ok(Self { map, n_rings: 0, n_words: 0, n_headers: 0, turn: 0, death: Death::wanted() })
    }

    /// Takes the lane over from a process whose turn was that one, or from one that is gone. Says whether it is this
    /// process's lane now: of two that want to go on from the same turn, one does.
    #[must_use]
    pub fn take_turn(&mut self, from: Option<u32>) -> bool {
        let word = &self.map.words32(offset_of!(Journal, turn), 1)[0];
        let from = from.unwrap_or_else(|| word.load(Acquire));
        let next = from.wrapping_add(1);
        let is_ours = word.compare_exchange(from, next, AcqRel, Acquire).is_ok();
        if is_ours {
            self.turn = next;
        }
        is_ours
    }

    /// The turn that this process has taken.
    #[must_use]
    pub const fn turn(&self) -> u32 {
        self.turn
    }

    /// Whether a commit was under way when the lane before this one died.
    #[must_use]
    pub fn was_interrupted(&self) -> bool {
        self.state().load(Relaxed) == COMMITTED
    }

    /// Owner words that this commit still has room for.
    #[inline]
    #[must_use]
    pub const fn room(&self) -> usize {
        MAX_WORDS - self.n_words
    }

    /// Writes an owner word down.
    #[inline]
    pub fn word(&mut self, frame: u32, owner: u32) {
        let at = self.n_words;
        self.journal().words[at] = WordMove { frame, owner };
        self.n_words += 1;
    }

    /// Writes a ring index down.
    #[inline]
    pub fn ring(&mut self, ring: u32, to: u32) {
        let at = self.n_rings;
        debug_assert!(at < MAX_RINGS, "more rings than a lane can have");
        self.journal().rings[at] = RingMove { ring, to };
        self.n_rings += 1;
    }

    /// A place for the header of the next frame that is rewritten where it is; at most one for each frame received.
    #[inline]
    pub fn header(&mut self) -> &mut HeaderMove {
        let at = self.n_headers;
        debug_assert!(at < BATCH, "more headers than frames in a batch");
        self.n_headers += 1;
        &mut self.journal().headers[at]
    }

    /// The header that was written to the place that [`Log::header`] gave last.
    pub fn last_header(&mut self) -> &[u8] {
        let at = self.n_headers - 1;
        self.journal().headers[at].header.as_bytes()
    }

    /// Takes back the place that [`Log::header`] gave last.
    #[inline]
    pub fn forget_header(&mut self) {
        self.n_headers -= 1;
    }

    /// The packets of a socket that is going away were taken off its rings.
    pub fn withdrawn(&mut self) {
        self.death.at(phase::WITHDRAWN);
    }

    /// How many entries of a socket's transmit ring were made void and not completed, up to the last commit.
    #[must_use]
    pub fn voids(&mut self, socket: u16) -> u32 {
        self.journal().voids.get(usize::from(socket)).copied().unwrap_or(0)
    }

    /// A socket of that number is taken up: before any frame is its.
    pub fn set_queue(&mut self, socket: u16, queue: Queue) {
        if let Some(place) = self.journal().queues.get_mut(usize::from(socket)) {
            *place = queue;
        }
    }

    /// On which queue the socket of that number is, or was last, for whoever has the lane's memory. `None` when there never
    /// was one, or none can have that number.
    pub fn queue_of(ledger: impl AsFd, socket: u16) -> io::Result<Option<Queue>> {
        if usize::from(socket) >= MAX_SOCKETS {
            return Ok(None);
        }
        let map = Mapping::shared(ledger, Self::BYTES)?;
        let at = offset_of!(Journal, queues) + usize::from(socket) * size_of::<Queue>();
        let [ifindex, number] = map.words32(at, 2) else { return Ok(None) };
        let queue = Queue { ifindex: ifindex.load(Relaxed), number: number.load(Relaxed) };
        Ok((queue.ifindex != 0).then_some(queue))
    }

    /// Whether nothing is written down.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.n_words == 0 && self.n_rings == 0
    }

    /// Stores everything that is written down. `publish` stores one ring index.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the journal's arrays are much shorter")]
    pub(super) fn commit(&mut self, ledger: &Mapping, area: &mut Mapping, publish: impl FnMut(u32, u32)) {
        let (n_rings, n_words, n_headers) = (self.n_rings, self.n_words, self.n_headers);
        let journal = self.journal();
        (journal.n_rings, journal.n_words, journal.n_headers) = (n_rings as u32, n_words as u32, n_headers as u32);
        self.death.at(phase::BEFORE_SEAL);
        // The kernel stops a process between two instructions and all stores before that point happen, so the order
        // of the instructions is all that a successor needs. The fence keeps the compiler from changing it.
        self.state().store(COMMITTED, Release);
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        self.death.at(phase::SEALED);
        self.store_all(ledger, area, publish);
        self.death.at(phase::STORED);
        self.finish();
    }

    /// Finishes the commit of a lane that died in it.
    pub fn redo(&mut self, ledger: &Mapping, area: &mut Mapping, publish: impl FnMut(u32, u32)) {
        let journal = self.journal();
        let (n_rings, n_words, n_headers) = (journal.n_rings, journal.n_words, journal.n_headers);
        (self.n_rings, self.n_words, self.n_headers) = (n_rings as usize, n_words as usize, n_headers as usize);
        self.store_all(ledger, area, publish);
        self.finish();
    }

    /// Ends the commit. The second fence keeps what the next one writes down from being written before this one ended.
    #[inline]
    fn finish(&mut self) {
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        self.state().store(IDLE, Release);
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        (self.n_rings, self.n_words, self.n_headers) = (0, 0, 0);
    }

    /// Every store here may be repeated.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "places in an area that is mapped, on 64 bits")]
    fn store_all(&mut self, ledger: &Mapping, area: &mut Mapping, mut publish: impl FnMut(u32, u32)) {
        let Self { map, n_rings, n_words, n_headers, death, .. } = self;
        let Journal { rings, words, headers, voids, .. } = map.exclusive(0);
        let owners = ledger.words32(0, ledger.len() / size_of::<u32>());
        for (at, WordMove { frame, owner }) in words[..*n_words].iter().enumerate() {
            owners[*frame as usize].store(*owner, Relaxed);
            death.half_way(phase::HALF_WORDS, at, *n_words);
        }
        for (at, HeaderMove { at: to, header, .. }) in headers[..*n_headers].iter().enumerate() {
            match header.plain() {
                // Its length is known when this is compiled, so it takes no call.
                Some(bytes) => area.bytes_mut(*to as usize, bytes.len()).copy_from_slice(bytes),
                None => {
                    let bytes = header.as_bytes();
                    area.bytes_mut(*to as usize, bytes.len()).copy_from_slice(bytes);
                }
            }
            death.half_way(phase::HALF_HEADERS, at, *n_headers);
        }
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        for (at, RingMove { ring, to }) in rings[..*n_rings].iter().enumerate() {
            if *ring < ring::VOIDS {
                publish(*ring, *to);
            } else if let Some(voids) = voids.get_mut((*ring - ring::VOIDS) as usize) {
                *voids = *to;
            }
            death.half_way(phase::HALF_RINGS, at, *n_rings);
        }
    }

    #[inline(always)]
    fn journal(&mut self) -> &mut Journal {
        self.map.exclusive(0)
    }

    #[inline(always)]
    fn state(&self) -> &AtomicU32 {
        &self.map.words32(0, 1)[0]
    }

    /// Dies at a point of a later commit: with 0 at the first. `None` lives on.
    #[cfg(test)]
    pub const fn die_after(&mut self, points: Option<u64>) {
        self.death.0 = points;
    }
}

#[cfg(test)]
mod tests;
