//! The journal of one lane: what a commit is going to store, written down before any of it is stored.

use super::Mapping;
use relay_common::journal::{
    BATCH, COMMITTED, HeaderMove, IDLE, Journal, LAYOUT, MAX_RINGS, MAX_WORDS, RingMove, WordMove,
};
use std::io;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU32, compiler_fence};

/// Where in a commit a test makes the lane die.
#[cfg(feature = "chaos")]
pub mod phase {
    /// Everything is written down, nothing is stored.
    pub const BEFORE_SEAL: u32 = 0;
    /// The journal says committed, nothing else is stored.
    pub const SEALED: u32 = 1;
    /// Half of the owner words are stored.
    pub const HALF_WORDS: u32 = 2;
    /// Half of the headers are stored, the last one half.
    pub const HALF_HEADERS: u32 = 3;
    /// Half of the ring indices are stored.
    pub const HALF_RINGS: u32 = 4;
    /// Everything is stored, the journal still says committed.
    pub const STORED: u32 = 5;
    /// How many phases there are.
    pub const COUNT: u32 = 6;
}

/// The journal, in shared memory that only this lane writes.
#[derive(Debug)]
pub struct Log {
    map: Mapping,
    n_rings: usize,
    n_words: usize,
    n_headers: usize,
    /// How many commits there were, for tests that die in one of them.
    #[cfg(feature = "chaos")]
    death: Option<(u32, u64)>,
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
        Ok(Self {
            map,
            n_rings: 0,
            n_words: 0,
            n_headers: 0,
            #[cfg(feature = "chaos")]
            death: death_wish(),
        })
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

    /// Takes back the place that [`Log::header`] gave last.
    #[inline]
    pub fn forget_header(&mut self) {
        self.n_headers -= 1;
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
        self.die_at(0);
        // The kernel stops a process between two instructions and all stores before that point happen, so the order
        // of the instructions is all that a successor needs. The fence keeps the compiler from changing it.
        self.state().store(COMMITTED, Release);
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        self.die_at(1);
        self.store_all(ledger, area, publish);
        self.die_at(5);
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        self.state().store(IDLE, Release);
        (self.n_rings, self.n_words, self.n_headers) = (0, 0, 0);
    }

    /// Finishes the commit of a lane that died in it.
    pub fn redo(&mut self, ledger: &Mapping, area: &mut Mapping, publish: impl FnMut(u32, u32)) {
        let journal = self.journal();
        let (n_rings, n_words, n_headers) = (journal.n_rings, journal.n_words, journal.n_headers);
        (self.n_rings, self.n_words, self.n_headers) = (n_rings as usize, n_words as usize, n_headers as usize);
        self.store_all(ledger, area, publish);
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        self.state().store(IDLE, Release);
        (self.n_rings, self.n_words, self.n_headers) = (0, 0, 0);
    }

    /// Every store here may be repeated.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "places in an area that is mapped, on 64 bits")]
    fn store_all(&mut self, ledger: &Mapping, area: &mut Mapping, mut publish: impl FnMut(u32, u32)) {
        let (n_rings, n_words, n_headers) = (self.n_rings, self.n_words, self.n_headers);
        let n_frames = ledger.len() / size_of::<u32>();
        let owners = ledger.words32(0, n_frames);
        for at in 0..n_words {
            let WordMove { frame, owner } = self.journal().words[at];
            owners[frame as usize].store(owner, Relaxed);
            self.die_half_way(2, at, n_words);
        }
        for at in 0..n_headers {
            let HeaderMove { at: to, header, .. } = &self.journal().headers[at];
            let bytes = header.as_bytes();
            area.bytes_mut(*to as usize, bytes.len()).copy_from_slice(bytes);
            self.die_half_way(3, at, n_headers);
        }
        compiler_fence(std::sync::atomic::Ordering::SeqCst);
        for at in 0..n_rings {
            let RingMove { ring, to } = self.journal().rings[at];
            publish(ring, to);
            self.die_half_way(4, at, n_rings);
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

    #[cfg(not(feature = "chaos"))]
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "tests of sudden death build another version of this")]
    const fn die_at(&self, _phase: u32) {}

    #[cfg(not(feature = "chaos"))]
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "tests of sudden death build another version of this")]
    const fn die_half_way(&self, _phase: u32, _at: usize, _n: usize) {}

    /// Kills this process with a signal that nothing can catch, in the commit and at the phase that a test asked for.
    #[cfg(feature = "chaos")]
    fn die_at(&mut self, phase: u32) {
        let Some((wanted, left)) = &mut self.death else { return };
        if *wanted != phase {
            return;
        }
        *left = left.saturating_sub(1);
        if *left == 0 {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        }
    }

    #[cfg(feature = "chaos")]
    fn die_half_way(&mut self, phase: u32, at: usize, n: usize) {
        if at == n / 2 {
            self.die_at(phase);
        }
    }
}

/// `MCR_CHAOS=PHASE:COMMITS` makes a lane die in that phase of its COMMITS-th commit.
#[cfg(feature = "chaos")]
fn death_wish() -> Option<(u32, u64)> {
    let wish = std::env::var("MCR_CHAOS").ok()?;
    let (phase, commits) = wish.split_once(':')?;
    Some((phase.parse().ok()?, commits.parse().ok()?))
}
