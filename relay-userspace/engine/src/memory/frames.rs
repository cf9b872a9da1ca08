//! Frames as ownership tokens, the words that say who has each, and the pool of free ones.
//!
//! A [`Frame`] is proof that no ring and no other piece of code has that part of the area. It cannot be copied, so
//! using a frame twice does not compile. What the kernel hands back is only believed when the owner word agrees.

use super::{Mapping, PAGE, log::Log};
use relay_common::abi::Stamp;
use relay_common::journal::MAX_SOCKETS;
use relay_common::owner::Owner;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// The mirror's word for a frame whose token is alive; never in shared memory.
const HELD: u32 = u32::MAX;

/// A frame that is ours: the token of its number.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a frame that is forgotten is lost to the pool"]
pub struct Frame(u32);

impl Frame {
    /// Its number within the lane.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.0
    }
}

/// How many frames of a lane are whose, by their owner words. Exact while no commit is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// In the pool.
    pub free: u64,
    /// With the kernel, for packets that come in, or with one in a receive ring.
    pub fill: u64,
    /// With the kernel, to be sent.
    pub transmit: u64,
    /// Nobody's: the word makes no sense.
    pub lost: u64,
}

impl Census {
    /// Counts the frames whose words these are.
    #[must_use]
    pub fn of(words: &[AtomicU32]) -> Self {
        let mut census = Self::default();
        for word in words {
            match Owner::from_word(word.load(Relaxed)) {
                Some(Owner::Free) => census.free += 1,
                Some(Owner::Fill { .. }) => census.fill += 1,
                Some(Owner::Transmit { .. }) => census.transmit += 1,
                None => census.lost += 1,
            }
        }
        census
    }
}

/// Takes some ten microseconds: a lane's round takes longer.
const BROUGHT_AT_ONCE: usize = 32 * PAGE;

/// All frames of a lane.
#[derive(Debug)]
pub struct Frames {
    area: Mapping,
    ledger: Mapping,
    /// The owner words as they will be after the commit under way.
    mine: Box<[u32]>,
    free: Vec<u32>,
    /// Free after the commit under way: until then a successor may still need their bytes.
    freed: Vec<u32>,
    /// Completed in the commit under way, and not yet given a new owner. Their packets are gone, so that nobody needs their
    /// bytes and they may go straight to a fill ring.
    spent: Vec<u32>,
    /// Per socket: frames that the kernel has through its fill ring.
    filled: Vec<u32>,
    frame_size: u32,
    shift: u32,
    /// Bytes of the area whose pages this process has mapped.
    brought: usize,
}

impl Frames {
    /// Takes stock of the frames by their owner words. A word that makes no sense counts as lost: such a frame is
    /// never used again, and the number of them is the second value. Frames of a socket that is not there are no
    /// such: they wait until the kernel has let go of them ([`Frames::reclaim`]).
    #[must_use]
    pub fn take_stock(area: Mapping, ledger: Mapping, frame_size: u32) -> (Self, usize) {
        let n = area.len() / frame_size as usize;
        let words = ledger.words32(0, n);
        let mine: Box<[u32]> = words.iter().map(|word| word.load(Relaxed)).collect();
        let mut free = Vec::with_capacity(n);
        let mut filled = vec![0; MAX_SOCKETS];
        let mut lost = 0;
        // The first frames come out of the pool first.
        for (number, &word) in (0_u32..).zip(&mine).collect::<Vec<_>>().into_iter().rev() {
            match Owner::from_word(word) {
                Some(Owner::Free) => free.push(number),
                Some(Owner::Fill { socket }) if (socket as usize) < MAX_SOCKETS => filled[socket as usize] += 1,
                Some(Owner::Transmit { .. }) => {}
                _ => lost += 1,
            }
        }
        let shift = frame_size.trailing_zeros();
        let (freed, spent) = (Vec::with_capacity(n), Vec::with_capacity(n));
        (Self { area, ledger, mine, free, freed, spent, filled, frame_size, shift, brought: 0 }, lost)
    }

    /// Has the next few pages of the frames mapped. Says whether there may be more. A lane that follows a dead one relays
    /// meanwhile, and a packet in a frame that was not brought yet waits for that page alone.
    pub fn bring_some(&mut self) -> bool {
        let left = self.area.len() - self.brought;
        let some = left.min(BROUGHT_AT_ONCE);
        if some == 0 {
            return false;
        }
        let can = self.area.bring(self.brought, some);
        self.brought += if can { some } else { left };
        can
    }

    /// How many frames there are.
    #[must_use]
    pub fn n_frames(&self) -> usize {
        self.mine.len()
    }

    /// Free frames in the pool.
    #[must_use]
    pub fn n_free(&self) -> usize {
        self.free.len()
    }

    /// Frames that the kernel has through that socket's fill ring, or may still look at since that socket was dropped.
    #[must_use]
    pub fn n_filled(&self, socket: u16) -> u32 {
        self.filled[socket as usize]
    }

    /// Bytes per frame.
    #[must_use]
    pub const fn frame_size(&self) -> u32 {
        self.frame_size
    }

    /// Takes a received frame from the kernel: its token and where in the frame the bytes begin. `None` when the
    /// descriptor lies outside the area or crosses a frame, or when that socket was never given the frame.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "frames have numbers of 32 bits")]
    pub fn receive(&mut self, socket: u16, at: u64, len: u32) -> Option<(Frame, u32)> {
        let number = at >> self.shift;
        let word = self.mine.get_mut(usize::try_from(number).ok()?)?;
        let offset = at & u64::from(self.frame_size - 1);
        if *word != (Owner::Fill { socket }).word() || offset + u64::from(len) > u64::from(self.frame_size) {
            return None;
        }
        *word = HELD;
        self.filled[socket as usize] -= 1;
        // Another core or the NIC has written the packet. The stamp's line and that of the headers are on their way
        // while the rest of the batch is taken.
        self.area.prefetch((at as usize).wrapping_sub(size_of::<Stamp>()));
        self.area.prefetch(at as usize);
        Some((Frame(number as u32), offset as u32))
    }

    /// Has the processor fetch a packet, of which all bytes will be read.
    #[inline]
    pub fn prefetch(&self, frame: &Frame, at: u32, len: u32) {
        self.area.prefetch_all((frame.0 as usize) << self.shift | at as usize, len as usize);
    }

    /// Takes a free frame.
    #[inline]
    pub fn reserve(&mut self) -> Option<Frame> {
        let number = self.free.pop()?;
        self.mine[number as usize] = HELD;
        Some(Frame(number))
    }

    /// The bytes of a frame.
    #[inline]
    #[must_use]
    pub fn bytes(&self, frame: &Frame) -> &[u8] {
        // SAFETY: `place` says where a frame lies, and while its token is lent nobody else writes to it.
        unsafe { std::slice::from_raw_parts(self.place(frame), self.frame_size as usize) }
    }

    /// The bytes of a frame, to write.
    #[inline]
    pub fn bytes_mut(&mut self, frame: &mut Frame) -> &mut [u8] {
        // SAFETY: as for `bytes`; the token is lent exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.place(frame), self.frame_size as usize) }
    }

    /// Writes zeros to a part of a frame that nobody reads.
    #[cold]
    #[inline(never)]
    pub fn clear(&mut self, frame: &Frame, from: usize, to: usize) {
        self.area.bytes_mut((frame.0 as usize) << self.shift, self.frame_size as usize)[from..to].fill(0);
    }

    /// Where a frame begins in this process: all of it lies in the area.
    #[inline]
    fn place(&self, frame: &Frame) -> *mut u8 {
        // The area was divided into as many frames as there are words.
        assert!((frame.0 as usize) < self.mine.len(), "a frame of another area");
        self.area.start().as_ptr().wrapping_add((frame.0 as usize) << self.shift)
    }

    /// The bytes of two frames: one to read, one to write.
    #[inline]
    pub fn pair(&mut self, from: &Frame, to: &mut Frame) -> (&[u8], &mut [u8]) {
        let size = self.frame_size as usize;
        let (from, to) = ((from.0 as usize) << self.shift, (to.0 as usize) << self.shift);
        self.area.two_parts(from, to, size)
    }

    /// Where a frame begins, in bytes from the start of the area.
    #[inline]
    #[must_use]
    pub const fn start(&self, frame: &Frame) -> u64 {
        (frame.0 as u64) << self.shift
    }

    /// Gives a frame back to the pool, with the commit under way.
    #[inline]
    pub fn release(&mut self, frame: Frame, log: &mut Log) {
        self.set(frame.0, Owner::Free, log);
        self.freed.push(frame.0);
    }

    /// Gives a frame to that many transmit rings, with the commit under way.
    #[inline]
    pub fn send(&mut self, frame: Frame, rings: u8, log: &mut Log) {
        self.set(frame.0, Owner::Transmit { rings }, log);
    }

    /// Gives up to so many frames to a fill ring, with the commit under way: those that were just completed, then free ones.
    /// `put` gets the address of each.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "frames have numbers of 32 bits")]
    pub fn fill_each(&mut self, socket: u16, most: usize, log: &mut Log, mut put: impl FnMut(u64)) {
        let Self { mine, free, spent, filled, shift, .. } = self;
        let word = (Owner::Fill { socket }).word();
        let mut left = most;
        for pool in [spent, free] {
            let first = pool.len().saturating_sub(left);
            left -= pool.len() - first;
            for number in pool.drain(first..).rev() {
                mine[number as usize] = word;
                log.word(number, word);
                put(u64::from(number) << *shift);
            }
        }
        filled[socket as usize] += (most - left) as u32;
    }

    /// Takes one completion of a transmit ring. `false` when that frame is not being transmitted.
    #[inline]
    pub fn complete(&mut self, at: u64, log: &mut Log) -> bool {
        let Ok(number) = u32::try_from(at >> self.shift) else { return false };
        let Some(&word) = self.mine.get(number as usize) else { return false };
        // As far more often than all else together.
        if word == (Owner::Transmit { rings: 1 }).word() {
            self.mine[number as usize] = HELD;
            self.spent.push(number);
            return true;
        }
        match Owner::from_word(word) {
            Some(Owner::Transmit { rings }) => {
                self.set(number, Owner::Transmit { rings: rings - 1 }, log);
                true
            }
            _ => false,
        }
    }

    /// Whether the frame there is on any transmit ring.
    #[must_use]
    pub fn is_sent(&self, at: u64) -> bool {
        let word = usize::try_from(at >> self.shift).ok().and_then(|number| self.mine.get(number));
        word.is_some_and(|word| matches!(Owner::from_word(*word), Some(Owner::Transmit { .. })))
    }

    /// Takes a frame off the transmit ring of a socket that is going away. If it lies on no other, it waits until the
    /// kernel has let go of that socket. `false` when that frame is not being transmitted.
    pub fn withdraw(&mut self, socket: u16, at: u64, log: &mut Log) -> bool {
        let Ok(number) = u32::try_from(at >> self.shift) else { return false };
        match self.mine.get(number as usize).map(|word| Owner::from_word(*word)) {
            Some(Some(Owner::Transmit { rings: 1 })) => {
                self.set(number, Owner::Fill { socket }, log);
                self.filled[socket as usize] += 1;
                true
            }
            Some(Some(Owner::Transmit { rings })) => {
                self.set(number, Owner::Transmit { rings: rings - 1 }, log);
                true
            }
            _ => false,
        }
    }

    /// Has up to `most` frames that were handed over to be sent wait for a socket that the kernel lets go of, with the
    /// commit under way: for a lane whose rings are all gone. Says how many.
    pub fn give_up(&mut self, socket: u16, most: usize, log: &mut Log) -> usize {
        let is_sent = |word: &u32| matches!(Owner::from_word(*word), Some(Owner::Transmit { .. }));
        let frames: Vec<u32> =
            (0_u32..).zip(&self.mine).filter(|(_, word)| is_sent(word)).map(|(frame, _)| frame).take(most).collect();
        for &number in &frames {
            self.set(number, Owner::Fill { socket }, log);
            self.filled[socket as usize] += 1;
        }
        frames.len()
    }

    /// Takes back up to `most` frames of a socket that the kernel has let go of, with the commit under way. Says how
    /// many.
    pub fn reclaim(&mut self, socket: u16, most: usize, log: &mut Log) -> usize {
        let wanted = (Owner::Fill { socket }).word();
        let frames: Vec<u32> =
            (0_u32..).zip(&self.mine).filter(|(_, word)| **word == wanted).map(|(frame, _)| frame).take(most).collect();
        for &number in &frames {
            self.set(number, Owner::Free, log);
            self.freed.push(number);
            self.filled[socket as usize] -= 1;
        }
        frames.len()
    }

    /// Commits what was logged: stores owner words and headers, then runs `publish` (which stores the ring indices),
    /// and ends the journal. Frames that became free may be used from here on.
    #[inline]
    pub fn commit(&mut self, log: &mut Log, publish: impl FnMut(u32, u32)) {
        while let Some(number) = self.spent.pop() {
            self.set(number, Owner::Free, log);
            self.freed.push(number);
        }
        log.commit(&self.ledger, &mut self.area, publish);
        self.free.append(&mut self.freed);
    }

    /// Bytes of the area, whoever has them: to look at, before the commit under way gives them to the kernel.
    pub fn bytes_at(&self, at: usize, len: usize) -> &[u8] {
        self.area.bytes(at, len)
    }

    #[inline]
    fn set(&mut self, number: u32, owner: Owner, log: &mut Log) {
        let word = owner.word();
        self.mine[number as usize] = word;
        log.word(number, word);
    }
}

#[cfg(test)]
mod tests;
