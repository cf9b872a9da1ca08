//! Packets made by the kernel itself: bpf(2).
//!
//! `BPF_PROG_TEST_RUN` with live frames runs a program on page after page that holds the same frame and does what the
//! program says. It is the fastest source there is. Pages are recycled as the receiver left them: the program must
//! write anew what a receiver may have changed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const PROG_TEST_RUN: libc::c_long = 10;
const LIVE_FRAMES: u32 = 1 << 1;

/// The call's attribute as 32-bit words; 64-bit members take two of them, low word first.
type Attribute = [u32; 20];

/// More frames than anybody waits for.
const FOR_EVER: u32 = 1 << 31;

/// Runs an XDP program on live frames, as if they had come in by this namespace's `lo`, until [`interrupt`] ends it. So
/// many of them are made and sent on at once: fewer than the 256 places of a veth's ring.
pub fn run_on_live_frames(program: BorrowedFd<'_>, frame: &[u8], at_once: u32) -> io::Result<()> {
    let mut attribute = Attribute::default();
    attribute[0] = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    attribute[2] = u32::try_from(frame.len()).map_err(io::Error::other)?;
    put_pointer(&mut attribute, 4, frame.as_ptr().addr());
    attribute[8] = FOR_EVER;
    attribute[16] = LIVE_FRAMES;
    attribute[18] = at_once;
    // SAFETY: the pointer and the size describe `attribute`; `frame`, which it points at, is borrowed for longer than
    // the call, and the kernel only reads it.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_TEST_RUN, attribute.as_ptr(), size_of_val(&attribute)) };
    match io::Error::last_os_error() {
        error if done < 0 && error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Ends the system call that a thread is in. A thread that is in none is not disturbed: call it until the thread is
/// where it should be.
pub fn interrupt<T>(thread: &JoinHandle<T>) -> io::Result<()> {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing, and nobody else uses this signal.
    unsafe { sigaction(Signal::SIGUSR2, &action) }?;
    // SAFETY: the thread has not been joined: its handle is borrowed.
    match unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR2) } {
        // It has ended by itself.
        0 | libc::ESRCH => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "cut in two on purpose")]
fn put_pointer(attribute: &mut Attribute, at: usize, address: usize) {
    attribute[at..at + 2].copy_from_slice(&[address as u32, (address as u64 >> 32) as u32]);
}
