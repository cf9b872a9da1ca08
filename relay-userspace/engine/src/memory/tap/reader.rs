//! The side of a tap that captures: it says what is shown, and takes it.

use super::{About, FILL, HEAD, IN, N_WANTED, OUT, RECORD, RING, RING_BYTES, Record, SNAP, TAIL, Way, Words, open};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use zerocopy::{FromZeros, IntoBytes};

/// A packet that a lane has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caught {
    /// When, whose and which way.
    pub about: About,
    /// How long it was.
    pub original: u32,
    /// Its first bytes: all, unless they are more than was asked for.
    pub bytes: Vec<u8>,
}

/// The reader of a tap. There is one at a time; when it goes, nothing is shown any more.
#[derive(Debug)]
pub struct TapReader {
    words: Words,
}

impl TapReader {
    /// Maps a tap to read from it. What a reader before has wanted and not taken is forgotten.
    pub fn open(fd: impl AsFd) -> io::Result<Self> {
        let reader = Self { words: Words(open(fd)?) };
        reader.want_none();
        reader.forget_all();
        Ok(reader)
    }

    /// Has packets of the relay at that slot shown, or no longer. Says whether that is new.
    pub fn want(&self, slot: u32, wanted: bool) -> bool {
        let Some(word) = self.words.wanted().get((slot / u64::BITS) as usize) else { return false };
        let bit = 1 << (slot % u64::BITS);
        let before = if wanted { word.fetch_or(bit, Relaxed) } else { word.fetch_and(!bit, Relaxed) };
        let is_new = (before & bit != 0) != wanted;
        if is_new && wanted {
            self.words.at(N_WANTED).fetch_add(1, Relaxed);
        } else if is_new {
            self.words.at(N_WANTED).fetch_sub(1, Relaxed);
        }
        is_new
    }

    /// Has nothing shown.
    pub fn want_none(&self) {
        self.words.at(N_WANTED).store(0, Relaxed);
        self.words.wanted().iter().for_each(|word| word.store(0, Relaxed));
    }

    /// How many bytes of each packet are shown.
    pub fn set_snap(&self, bytes: u32) {
        self.words.at(SNAP).store(bytes.into(), Relaxed);
    }

    /// Takes the next packet; `None` when all that was shown is taken.
    pub fn take(&mut self) -> Option<Caught> {
        loop {
            let (head, tail) = (self.words.at(HEAD).load(Acquire), self.words.at(TAIL).load(Relaxed));
            if head == tail {
                return None;
            }
            let Some((len, caught)) = self.record(head, tail) else {
                // No lane writes this. What it meant to show is lost, and nothing else.
                self.forget_all();
                return None;
            };
            self.words.at(TAIL).store(tail + len, Release);
            if caught.is_some() {
                return caught;
            }
        }
    }

    /// The record at the tail: how long it is, and its packet unless it only fills the ring. `None` if it is no record:
    /// the lane that wrote it parses what strangers send, so nothing in it is believed.
    fn record(&self, head: u64, tail: u64) -> Option<(u64, Option<Caught>)> {
        let available = head.checked_sub(tail).filter(|n| *n <= RING_BYTES && n % 8 == 0)?;
        let within = available.min(RING_BYTES - tail % RING_BYTES);
        let mut record = Record::new_zeroed();
        self.copy(tail, &mut record.as_mut_bytes()[..8]);
        let len = u64::from(record.len);
        if len < 8 || len % 8 != 0 || len > within {
            return None;
        }
        if record.kind == FILL {
            return Some((len, None));
        }
        if len < RECORD {
            return None;
        }
        self.copy(tail, record.as_mut_bytes());
        if len != (RECORD + u64::from(record.caught)).next_multiple_of(8) || u64::from(record.len) != len {
            return None;
        }
        let way = match record.kind {
            IN => Way::In { ifindex: record.link },
            OUT => Way::Out { link: u16::try_from(record.link).ok()?, counter: record.counter },
            _ => return None,
        };
        let mut bytes = vec![0; record.caught as usize];
        self.copy(tail + RECORD, &mut bytes);
        let about = About { time_ns: record.time_ns, slot: record.slot, way };
        Some((len, Some(Caught { about, original: record.original, bytes })))
    }

    /// Copies out of the ring, by words that anybody may write meanwhile.
    fn copy(&self, at: u64, to: &mut [u8]) {
        let words = self.words.0.words64(RING + (at % RING_BYTES) as usize, to.len().div_ceil(8));
        for (part, word) in to.chunks_mut(8).zip(words) {
            part.copy_from_slice(&word.load(Relaxed).to_ne_bytes()[..part.len()]);
        }
    }

    fn forget_all(&self) {
        self.words.at(TAIL).store(self.words.at(HEAD).load(Acquire), Release);
    }
}

impl Drop for TapReader {
    fn drop(&mut self) {
        self.want_none();
    }
}
