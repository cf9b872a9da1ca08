//! The table's memory: a word that names the generation in force, and two halves that take turns.
//!
//! Generation `g` lies in half `g % 2`. Control rewrites a half only when every lane runs the other.

use super::Mapping;
use relay_common::table::image::ImageHeader;
use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use zerocopy::IntoBytes as _;

/// Bytes in front of the halves.
const HEAD: usize = super::PAGE;
/// The word that names the generation in force.
const GENERATION: usize = 0;
/// The word that asks lanes to stop.
const STOP: usize = 8;

/// The mapped table.
#[derive(Debug)]
pub struct TableMemory {
    map: Mapping,
    half: usize,
}

impl TableMemory {
    /// Bytes that a table with halves of `image` bytes takes.
    #[must_use]
    pub const fn bytes(image: usize) -> usize {
        HEAD + 2 * super::whole_pages(image)
    }

    /// Maps a table whose halves are `image` bytes long.
    pub fn open(fd: impl AsFd, image: usize) -> io::Result<Self> {
        let half = super::whole_pages(image);
        Ok(Self { map: Mapping::shared(fd, HEAD + 2 * half)?, half })
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.map.words64(at * 8, 1)[0]
    }

    /// The generation in force; 0 before the first.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.word(GENERATION).load(Acquire)
    }

    /// The bytes of a generation. Valid while that generation or the one after it is in force.
    #[inline]
    #[must_use]
    pub fn image(&self, generation: u64) -> &[u8] {
        self.map.bytes(HEAD + (generation % 2) as usize * self.half, self.half)
    }

    /// Writes a generation into its half and puts it in force. Only control calls this, and only when every living
    /// lane has confirmed the generation before.
    pub fn publish(&mut self, generation: u64, write: impl FnOnce(&mut [u8])) {
        let at = HEAD + (generation % 2) as usize * self.half;
        write(self.map.bytes_mut(at, self.half));
        self.word(GENERATION).store(generation, Release);
    }

    /// Whether the half of a generation holds already what would be written there, but for the generation's number.
    #[must_use]
    pub fn holds_already(&self, generation: u64, write: impl FnOnce(&mut [u8])) -> bool {
        let held = self.image(generation);
        // Words, because an image is aligned.
        let mut wanted = vec![0_u64; self.half / 8];
        write(wanted.as_mut_bytes());
        let number = offset_of!(ImageHeader, generation)..offset_of!(ImageHeader, generation) + size_of::<u64>();
        let wanted = wanted.as_bytes();
        held[..number.start] == wanted[..number.start] && held[number.end..] == wanted[number.end..]
    }

    /// Puts what a half holds already in force again, under a new number: nobody who reads it meanwhile is disturbed.
    pub fn publish_again(&self, generation: u64) {
        let at = HEAD + (generation % 2) as usize * self.half + offset_of!(ImageHeader, generation);
        self.map.words64(at, 1)[0].store(generation, Release);
        self.word(GENERATION).store(generation, Release);
    }

    /// Asks every lane to finish what it has and end.
    pub fn ask_to_stop(&self) {
        self.word(STOP).store(1, Release);
    }

    /// Whether lanes are asked to end.
    #[inline]
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.word(STOP).load(Acquire) != 0
    }
}
