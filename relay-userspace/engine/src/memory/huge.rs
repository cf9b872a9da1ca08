//! Memory in huge pages: a lane's frames are a hundred megabytes, of which the processor would have to look up every 4 KiB anew,
//! and when a lane dies the kernel takes them down page by page before the lane that follows can be started.

use super::{Mapping, PAGE, allocate, create, create_of_length};
use crate::clock::now_ns;
use nix::sys::memfd::MFdFlags;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

/// The larger pages of x86-64, and of most arm64.
pub const HUGE_PAGE: usize = 2 << 20;
/// Memory is had in such pieces. One takes some ten milliseconds; all of it, where there are gigabytes, seconds.
pub const PIECE: usize = 64 << 20;
/// Where memory is in pieces, the kernel moves others' pages to make a huge one. A start waits for that so long and no longer.
const COLLAPSES_WITHIN_NS: u64 = 1_000_000_000;
/// The bit of a page in /proc/self/pagemap that says that it is mapped.
const PRESENT: u64 = 1 << 63;

/// Makes a memfd for frames, in huge pages where they can be had: those that are reserved on this machine, else what the kernel can
/// put together now, as long as it is wanted. Says whether all of it lies in such.
pub fn create_for_frames(name: &CStr, len: usize, is_wanted: impl Fn() -> bool) -> io::Result<(OwnedFd, bool)> {
    if len.is_multiple_of(HUGE_PAGE)
        && let Ok(fd) = reserved(name, len, &is_wanted)
    {
        return Ok((fd, true));
    }
    let fd = create(name, len)?;
    let huge = len.is_multiple_of(HUGE_PAGE) && collapse(&Mapping::shared_bare(&fd, len)?, is_wanted);
    Ok((fd, huge))
}

/// Makes a memfd of huge pages that are reserved on this machine, all of which are there when this returns.
fn reserved(name: &CStr, len: usize, is_wanted: impl Fn() -> bool) -> io::Result<OwnedFd> {
    let fd = create_of_length(name, len, MFdFlags::MFD_HUGETLB)?;
    // Who maps them has them set aside: where there are too few, others keep them.
    Mapping::shared_bare(&fd, len)?;
    // What is set aside may still not be had, as where a container is limited in what it takes.
    for at in (0..len).step_by(PIECE) {
        while let Err(error) = allocate(&fd, at, PIECE.min(len - at)) {
            // A signal interrupts it.
            if error.kind() != io::ErrorKind::Interrupted || !is_wanted() {
                return Err(error);
            }
        }
    }
    Ok(fd)
}

/// Has the kernel put huge pages into memory that has none yet (since Linux 6.1, whatever the machine is set to), until one cannot
/// be had. Says whether it got them all.
fn collapse(area: &Mapping, is_wanted: impl Fn() -> bool) -> bool {
    let end = now_ns() + COLLAPSES_WITHIN_NS;
    (0..area.len()).step_by(HUGE_PAGE).all(|at| {
        // Where no page is there yet, the kernel looks no further.
        is_wanted() && area.bring(at, PAGE) && now_ns() < end && {
            let part = area.start().as_ptr().wrapping_add(at);
            // SAFETY: the part lies in the mapping, and what is in its pages stays as it is.
            unsafe { libc::madvise(part.cast(), HUGE_PAGE, libc::MADV_COLLAPSE) == 0 }
        }
    })
}

/// Whether so much memory lies in huge pages, all of it: then each comes at once where one byte of it is read. Whoever made it may
/// have taken pages out of it again, so none is looked at that the kernel does not give.
pub fn is_huge(fd: impl AsFd, len: usize) -> bool {
    if fstatfs(&fd).is_ok_and(|found| found.filesystem_type() == HUGETLBFS_MAGIC) {
        return true;
    }
    let Ok(area) = Mapping::shared_bare(fd, len) else { return false };
    let Ok(pages) = File::open("/proc/self/pagemap") else { return false };
    (0..len).step_by(HUGE_PAGE).all(|at| {
        let last = area.start().as_ptr() as usize + (at + HUGE_PAGE).min(len) - PAGE;
        let mut entry = [0; 8];
        area.bring(at, PAGE)
            && pages.read_exact_at(&mut entry, (last / PAGE * 8) as u64).is_ok()
            && u64::from_ne_bytes(entry) & PRESENT != 0
    })
}

/// Where so much memory would fit now, at an address for huge pages. It is a wish: what else is mapped meanwhile may take the place.
pub(super) fn place_for(len: usize) -> Option<NonZeroUsize> {
    if len < HUGE_PAGE {
        return None;
    }
    let more = NonZeroUsize::new(len.checked_add(HUGE_PAGE)?)?;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use, and nobody knows of it until
    // it is gone.
    unsafe {
        let room =
            mmap_anonymous(None, more, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE).ok()?;
        munmap(room, more.get()).ok()?;
        NonZeroUsize::new((room.as_ptr() as usize).next_multiple_of(HUGE_PAGE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The address cache and the end of a lane profit only if it is so where it is mapped again.
    #[test]
    fn frames_lie_in_huge_pages_where_the_kernel_has_them() {
        let (fd, huge) = create_for_frames(c"frames", 2 * HUGE_PAGE, || true).unwrap();
        assert_eq!(is_huge(&fd, 2 * HUGE_PAGE), huge);
        let again = Mapping::shared_bare(&fd, 2 * HUGE_PAGE).unwrap();
        assert_eq!(again.start().as_ptr() as usize % HUGE_PAGE, 0);
        assert!(
            again.words32(0, HUGE_PAGE / 2).iter().all(|word| word.load(std::sync::atomic::Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn ordinary_memory_is_told_from_huge_pages() {
        assert!(!is_huge(create(c"frames", 2 * HUGE_PAGE).unwrap(), 2 * HUGE_PAGE));
    }

    /// Where the kernel could put together the first and not the last.
    #[test]
    fn memory_of_which_a_part_lies_in_huge_pages_does_not() {
        let fd = create(c"frames", 3 * HUGE_PAGE).unwrap();
        let area = Mapping::shared_bare(&fd, 3 * HUGE_PAGE).unwrap();
        let asked = std::cell::Cell::new(0);
        collapse(&area, || asked.replace(asked.get() + 1) < 2);
        assert!(!is_huge(&fd, 3 * HUGE_PAGE));
    }

    /// No mapping lies in the place of another.
    #[test]
    fn mappings_of_any_length_lie_side_by_side() {
        let lens = [PAGE, HUGE_PAGE - PAGE, HUGE_PAGE, HUGE_PAGE + PAGE, 3 * HUGE_PAGE + 5 * PAGE];
        let all = lens.map(|len| Mapping::shared(create(c"some", len).unwrap(), len).unwrap());
        for (number, mapping) in (1..).zip(&all) {
            mapping
                .words32(0, mapping.len() / 4)
                .iter()
                .for_each(|word| word.store(number, std::sync::atomic::Ordering::Relaxed));
        }
        for (number, mapping) in (1..).zip(&all) {
            let words = mapping.words32(0, mapping.len() / 4);
            assert!(words.iter().all(|word| word.load(std::sync::atomic::Ordering::Relaxed) == number));
        }
    }
}
