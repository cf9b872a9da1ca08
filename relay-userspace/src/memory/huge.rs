//! Memory in huge pages: a lane's frames are a hundred megabytes, of which the processor would have to look up every 4 KiB anew,
//! and when a lane dies the kernel takes them down page by page before the lane that follows can be started.

use super::{Mapping, PAGE, create, create_of_length};
use crate::clock::now_ns;
use nix::sys::memfd::MFdFlags;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

/// The larger pages of x86-64, and of most arm64.
pub const HUGE_PAGE: usize = 2 << 20;
/// Where memory is in pieces, the kernel moves others' pages to make a huge one. A start waits for that so long and no longer.
const COLLAPSES_WITHIN_NS: u64 = 1_000_000_000;
/// The bit of a page in /proc/self/pagemap that says that it is mapped.
const PRESENT: u64 = 1 << 63;

/// Makes a memfd for frames, in huge pages where they can be had: those that are reserved on this machine, else what the kernel can
/// put together now, as long as it is wanted. Says whether all of it lies in such.
pub fn create_for_frames(name: &CStr, len: usize, is_wanted: impl Fn() -> bool) -> io::Result<(OwnedFd, bool)> {
    if len.is_multiple_of(HUGE_PAGE)
        && let Ok(fd) = create_of_length(name, len, MFdFlags::MFD_HUGETLB)
        // Who maps them has them set aside.
        && Mapping::shared_bare(&fd, len).is_ok()
    {
        return Ok((fd, true));
    }
    let fd = create(name, len)?;
    let huge = len.is_multiple_of(HUGE_PAGE) && collapse(&Mapping::shared_bare(&fd, len)?, is_wanted);
    Ok((fd, huge))
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

/// Whether memory begins with a huge page: then all of it comes at once where one byte is read.
pub fn is_huge(fd: impl AsFd) -> bool {
    let Ok(area) = Mapping::shared_bare(fd, HUGE_PAGE) else { return false };
    let last = area.start().as_ptr() as usize + HUGE_PAGE - PAGE;
    let mut entry = [0; 8];
    let read = |entry: &mut [u8]| File::open("/proc/self/pagemap")?.read_exact_at(entry, (last / PAGE * 8) as u64);
    area.words32(0, 1)[0].load(std::sync::atomic::Ordering::Relaxed);
    read(&mut entry).is_ok() && u64::from_ne_bytes(entry) & PRESENT != 0
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
        assert_eq!(is_huge(&fd), huge);
        let again = Mapping::shared_bare(&fd, 2 * HUGE_PAGE).unwrap();
        assert_eq!(again.start().as_ptr() as usize % HUGE_PAGE, 0);
        assert!(
            again.words32(0, HUGE_PAGE / 2).iter().all(|word| word.load(std::sync::atomic::Ordering::Relaxed) == 0)
        );
    }

    #[test]
    fn ordinary_memory_is_told_from_huge_pages() {
        assert!(!is_huge(create(c"frames", 2 * HUGE_PAGE).unwrap()));
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
