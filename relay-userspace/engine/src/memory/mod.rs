//! Memory that outlives a process: memfds, mapped by control and by a lane.
//!
//! This folder is one of the addresses of `unsafe`: everything above it handles frames and words through checked,
//! safe calls.
#![expect(unsafe_code, reason = "mapping shared memory and lending out its parts")]

pub mod counters; // what a lane counts
pub mod frames; // frames as ownership tokens, their owner words, the pool
pub mod huge; // memory in huge pages, for frames
pub mod log; // the journal of one lane
pub mod table; // the two halves of the table
pub mod tap; // packets shown to whoever captures them
mod words; // words that are looked for once

use nix::fcntl::{FallocateFlags, FcntlArg, OFlag, SealFlag, fallocate, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use nix::sys::stat::{Mode, fchmod};
use std::ffi::CStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};
use zerocopy::{FromBytes, IntoBytes};

/// The unit in which the kernel maps memory.
pub const PAGE: usize = 4096;
/// What a processor fetches at once.
const CACHE_LINE: usize = 64;

/// Rounds up to whole pages.
#[must_use]
pub const fn whole_pages(len: usize) -> usize {
    len.next_multiple_of(PAGE)
}

/// Makes a memfd of that length, all zero. Whoever has it can rely on the length: nobody changes it any more.
pub fn create(name: &CStr, len: usize) -> io::Result<OwnedFd> {
    create_of_length(name, len, MFdFlags::empty())
}

/// Makes a memfd whose length changes, empty. Read it, do not map it: who shrinks it kills who has it mapped.
pub fn create_resizable(name: &CStr) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)?;
    close_to_others(&fd)?;
    Ok(fd)
}

fn create_of_length(name: &CStr, len: usize, more: MFdFlags) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING | more)?;
    close_to_others(&fd)?;
    nix::unistd::ftruncate(&fd, len as i64)?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW))?;
    Ok(fd)
}

/// Everybody may open a fresh memfd who sees a descriptor of it in /proc; from here on only this user.
fn close_to_others(fd: &OwnedFd) -> io::Result<()> {
    Ok(fchmod(fd, Mode::S_IRUSR | Mode::S_IWUSR)?)
}

/// Gives the kernel what the heap does not need any more. What a large change takes for a moment stays with this process
/// otherwise, because something small that lives on lies behind it.
pub fn give_back() {
    // SAFETY: it has no argument that could be wrong, and what is in use stays where it is.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// A descriptor of the same memory by which nobody can write to it: what lanes get of what only control writes.
pub fn read_only(memory: impl AsFd) -> io::Result<OwnedFd> {
    reopen(memory, OFlag::O_RDONLY)
}

/// A descriptor of the same memory to write to, for the user who made it.
pub fn writable(memory: impl AsFd) -> io::Result<OwnedFd> {
    reopen(memory, OFlag::O_RDWR)
}

fn reopen(memory: impl AsFd, how: OFlag) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", memory.as_fd().as_raw_fd());
    Ok(open(path.as_str(), how | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Has a part of a memfd its pages now, and not when each is looked at.
pub fn allocate(fd: impl AsFd, at: usize, len: usize) -> io::Result<()> {
    Ok(fallocate(fd, FallocateFlags::empty(), at as i64, len as i64)?)
}

/// What the kernel says of a memfd. The name is what it was made with, and who has it cannot give it another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// What it was made as.
    pub name: String,
    /// The user who made it.
    pub owner: u32,
    /// How long it is.
    pub len: u64,
    /// Whether nobody can make it shorter.
    pub keeps_length: bool,
    /// Whether this descriptor can only read.
    pub is_read_only: bool,
}

impl About {
    /// Asks about a descriptor, which must be one of a memfd.
    pub fn of(fd: impl AsFd) -> io::Result<Self> {
        let fd = fd.as_fd();
        let path = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        let name = path.to_str().and_then(|path| path.strip_prefix("/memfd:")?.strip_suffix(" (deleted)"));
        let name = name.ok_or_else(|| io::Error::other(format!("{} is no memory", path.display())))?.to_owned();
        let found = nix::sys::stat::fstat(fd)?;
        let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS).unwrap_or(0));
        let how = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
        Ok(Self {
            name,
            owner: found.st_uid,
            len: found.st_size.cast_unsigned(),
            keeps_length: seals.contains(SealFlag::F_SEAL_SHRINK),
            is_read_only: how & OFlag::O_ACCMODE == OFlag::O_RDONLY,
        })
    }
}

/// A piece of mapped memory, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is memory like any other; it belongs to the process, not to the thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference there are atomic words, and bytes that by the protocol of their part of the memory
// nobody writes while they are lent; everything else needs the mapping exclusively.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of a file, shared, present from the start.
    pub fn shared(fd: impl AsFd, len: usize) -> io::Result<Self> {
        Self::shared_at(fd, len, 0)
    }

    /// Maps `len` bytes of a file from an offset.
    pub fn shared_at(fd: impl AsFd, len: usize, offset: i64) -> io::Result<Self> {
        Self::shared_as(fd, len, offset, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_POPULATE)
    }

    /// Maps the first `len` bytes of a file, shared, and none of its pages: for a hundred megabytes they take ten milliseconds. Each
    /// comes when it is looked at, or with [`Mapping::bring`].
    pub fn shared_bare(fd: impl AsFd, len: usize) -> io::Result<Self> {
        Self::shared_as(fd, len, 0, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::empty())
    }

    /// Maps the first `len` bytes of a file, shared, to be read: a store ends this process.
    pub fn read_only(fd: impl AsFd, len: usize) -> io::Result<Self> {
        Self::shared_as(fd, len, 0, ProtFlags::PROT_READ, MapFlags::MAP_POPULATE)
    }

    fn shared_as(fd: impl AsFd, len: usize, offset: i64, protection: ProtFlags, more: MapFlags) -> io::Result<Self> {
        let size = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let (place, flags) = (huge::place_for(len), MapFlags::MAP_SHARED | more);
        // SAFETY: a new mapping at an address of the kernel's choice, for all that is wished, touches no memory that is in use.
        let start = unsafe { mmap(place, size, protection, flags, fd, offset)? }.cast();
        let mapping = Self { start, len };
        // Advice only: without it a core dump has all packets in it.
        // SAFETY: the range is the mapping just made.
        let _ = unsafe { madvise(start.cast(), len, MmapAdvise::MADV_DONTDUMP) };
        Ok(mapping)
    }

    /// Has the pages of a part mapped, which begins at one. Says whether the kernel can: before Linux 5.14 each comes when it is
    /// looked at.
    pub fn bring(&self, at: usize, len: usize) -> bool {
        assert!(at.is_multiple_of(PAGE), "pages are brought as a whole");
        self.check::<u8>(at, len);
        // SAFETY: the part lies in the mapping, and what is in its pages stays as it is.
        unsafe { madvise(self.start.add(at).cast(), len, MmapAdvise::MADV_POPULATE_WRITE) }.is_ok()
    }

    /// Private memory of this process, all zero: for what needs no second process, and for tests.
    pub fn anonymous(len: usize) -> io::Result<Self> {
        let size = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: as above.
        let start =
            unsafe { mmap_anonymous(None, size, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)? };
        Ok(Self { start: start.cast(), len })
    }

    /// Where it begins.
    #[inline]
    #[must_use]
    pub const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its length in bytes.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty; no mapping is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// 32-bit words that several processes read and write.
    #[inline]
    #[must_use]
    pub fn words32(&self, at: usize, n: usize) -> &[AtomicU32] {
        self.check::<AtomicU32>(at, n);
        // SAFETY: the range is inside the mapping and aligned, every bit pattern is a word, and atomics may be shared.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at).cast(), n) }
    }

    /// 64-bit words that several processes read and write.
    #[inline]
    #[must_use]
    pub fn words64(&self, at: usize, n: usize) -> &[AtomicU64] {
        self.check::<AtomicU64>(at, n);
        // SAFETY: as for `words32`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at).cast(), n) }
    }

    /// Has the processor fetch the cache line at an offset, which will be looked at soon.
    #[inline]
    pub fn prefetch(&self, at: usize) {
        // SAFETY: a prefetch is a hint; it neither reads nor faults, whatever the address.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.start.as_ptr().wrapping_add(at).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }

    /// Has the processor fetch so many bytes from an offset into its second cache: the first is too small for packets.
    #[inline]
    pub fn prefetch_all(&self, at: usize, len: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            let first = self.start.as_ptr().wrapping_add(at).cast_const().cast::<[i8; CACHE_LINE]>();
            // SAFETY: as for `prefetch`.
            let fetch = |line: usize| unsafe { _mm_prefetch::<_MM_HINT_T1>(first.wrapping_add(line).cast()) };
            let fetch_eight = |line: usize| (line..line + 8).for_each(fetch);
            let n = len.div_ceil(CACHE_LINE);
            if n < 8 {
                (0..n).for_each(fetch);
            } else {
                // Eight at once: counting would take more than fetching. The last eight may have been fetched in part, which
                // costs nothing.
                (0..n / 8).for_each(|eight| fetch_eight(eight * 8));
                fetch_eight(n - 8);
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (at, len);
    }

    /// Plain memory that nobody else touches while the reference lives: the caller holds the mapping exclusively
    /// and, by the protocol of this part of the memory, is its only user.
    #[inline]
    fn exclusive<T: FromBytes + IntoBytes>(&mut self, at: usize) -> &mut T {
        self.check::<T>(at, 1);
        // SAFETY: inside the mapping, aligned, valid for every bit pattern; exclusive as said above.
        unsafe { &mut *self.start.as_ptr().add(at).cast() }
    }

    /// Plain bytes that nobody else writes while the reference lives.
    #[inline]
    fn bytes(&self, at: usize, len: usize) -> &[u8] {
        self.check::<u8>(at, len);
        // SAFETY: inside the mapping; not written meanwhile, as said above.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at), len) }
    }

    /// Plain bytes that nobody else touches while the reference lives.
    #[inline]
    fn bytes_mut(&mut self, at: usize, len: usize) -> &mut [u8] {
        self.check::<u8>(at, len);
        // SAFETY: as for `exclusive`.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(at), len) }
    }

    /// Two parts of equal length that do not overlap: one to read, one to write.
    #[inline]
    fn two_parts(&mut self, read: usize, write: usize, len: usize) -> (&[u8], &mut [u8]) {
        self.check::<u8>(read, len);
        self.check::<u8>(write, len);
        assert!(read.abs_diff(write) >= len, "two parts of a mapping overlap");
        // SAFETY: both inside the mapping and disjoint; exclusive as said at `exclusive`.
        unsafe {
            let start = self.start.as_ptr();
            (std::slice::from_raw_parts(start.add(read), len), std::slice::from_raw_parts_mut(start.add(write), len))
        }
    }

    #[inline(always)]
    fn check<T>(&self, at: usize, n: usize) {
        let end = n.checked_mul(size_of::<T>()).and_then(|len| len.checked_add(at));
        assert!(end.is_some_and(|end| end <= self.len), "a part of a mapping lies outside of it");
        assert!(at.is_multiple_of(align_of::<T>()), "a part of a mapping is not aligned");
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by this value and nothing borrowed from it is alive.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}
