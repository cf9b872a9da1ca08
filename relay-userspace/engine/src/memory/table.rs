//! The table's memory: a word that names the generation in force, and two halves that take turns.
//!
//! Generation `g` lies in half `g % 2`. Control rewrites a half only when every lane runs the other. Only control writes:
//! a lane gets a descriptor that cannot, and all that lanes are told of by this memory, they are told by control.

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

/// The table as a lane has it mapped: to be read.
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

    /// Maps a table whose halves are `image` bytes long, to read it.
    pub fn open(fd: impl AsFd, image: usize) -> io::Result<Self> {
        Ok(Self { map: Mapping::read_only(fd, Self::bytes(image))?, half: super::whole_pages(image) })
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

    /// Whether lanes are asked to end.
    #[inline]
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.word(STOP).load(Acquire) != 0
    }
}

/// The table as control has it mapped: to be written.
#[derive(Debug)]
pub struct TableWriter(TableMemory);

impl std::ops::Deref for TableWriter {
    type Target = TableMemory;

    fn deref(&self) -> &TableMemory {
        &self.0
    }
}

impl TableWriter {
    /// Maps a table whose halves are `image` bytes long, to write it.
    pub fn open(fd: impl AsFd, image: usize) -> io::Result<Self> {
        let map = Mapping::shared(fd, TableMemory::bytes(image))?;
        Ok(Self(TableMemory { map, half: super::whole_pages(image) }))
    }

    /// Writes a generation into its half and puts it in force. Only control calls this, and only when every living
    /// lane has confirmed the generation before.
    pub fn publish(&mut self, generation: u64, write: impl FnOnce(&mut [u8])) {
        let half = self.half;
        write(self.0.map.bytes_mut(HEAD + (generation % 2) as usize * half, half));
        self.word(GENERATION).store(generation, Release);
    }

    /// Puts what a half holds already in force again, under a new number: nobody who reads it meanwhile is disturbed.
    pub fn publish_again(&self, generation: u64) {
        let at = HEAD + (generation % 2) as usize * self.half + offset_of!(ImageHeader, generation);
        self.0.map.words64(at, 1)[0].store(generation, Release);
        self.word(GENERATION).store(generation, Release);
    }

    /// Lanes are to go on, also those that a dead control has asked to end and that are still there.
    pub fn go_on(&self) {
        self.word(STOP).store(0, Release);
    }

    /// Asks every lane to finish what it has and end.
    pub fn ask_to_stop(&self) {
        self.word(STOP).store(1, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::{TableMemory, TableWriter};
    use crate::memory::{self, Mapping};
    use nix::errno::Errno;

    #[test]
    fn who_has_a_table_to_read_cannot_write_it_and_nobody_changes_its_length() {
        let bytes = TableMemory::bytes(64);
        let made = memory::create(c"table", bytes).unwrap();
        let (lane, mut control) = (memory::read_only(&made).unwrap(), TableWriter::open(&made, 64).unwrap());
        assert_eq!(Mapping::shared(&lane, bytes).unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert_eq!(nix::unistd::write(&lane, b"stop"), Err(Errno::EBADF));
        for length in [0, 2 * bytes as i64] {
            assert_eq!(nix::unistd::ftruncate(&made, length), Err(Errno::EPERM));
        }
        let read = TableMemory::open(&lane, 64).unwrap();
        control.publish(1, |half| half[0] = 7);
        control.ask_to_stop();
        assert_eq!((read.generation(), read.image(1)[0], read.is_stopping()), (1, 7, true));
        // The next control has what a lane shows it, and goes on writing.
        drop((made, control));
        let mut next = TableWriter::open(memory::writable(&lane).unwrap(), 64).unwrap();
        next.publish(2, |half| half[0] = 8);
        next.go_on();
        assert_eq!((read.generation(), read.image(2)[0], read.is_stopping()), (2, 8, false));
    }
}
