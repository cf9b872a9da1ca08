//! Packets made by the kernel itself: bpf(2).
//!
//! `BPF_PROG_TEST_RUN` with live frames runs a program on page after page that holds the same frame and does what the
//! program says. It is the fastest source there is. Pages are recycled as the receiver left them: the program must
//! write anew what a receiver may have changed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

const PROG_TEST_RUN: libc::c_long = 10;
const LIVE_FRAMES: u32 = 1 << 1;

/// The call's attribute as 32-bit words; 64-bit members take two of them, low word first.
type Attribute = [u32; 20];

/// Runs an XDP program on `count` live frames, as if they had come in by this namespace's `lo`. So many of them are
/// made and sent on at once: fewer than the 256 places of a veth's ring.
pub fn run_on_live_frames(program: BorrowedFd<'_>, frame: &[u8], count: u32, at_once: u32) -> io::Result<()> {
    let mut attribute = Attribute::default();
    attribute[0] = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    attribute[2] = u32::try_from(frame.len()).map_err(io::Error::other)?;
    put_pointer(&mut attribute, 4, frame.as_ptr().addr());
    attribute[8] = count;
    attribute[16] = LIVE_FRAMES;
    attribute[18] = at_once;
    // SAFETY: the pointer and the size describe `attribute`; `frame`, which it points at, is borrowed for longer than
    // the call, and the kernel only reads it.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_TEST_RUN, attribute.as_ptr(), size_of_val(&attribute)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(clippy::cast_possible_truncation, reason = "cut in two on purpose")]
fn put_pointer(attribute: &mut Attribute, at: usize, address: usize) {
    attribute[at..at + 2].copy_from_slice(&[address as u32, (address as u64 >> 32) as u32]);
}
