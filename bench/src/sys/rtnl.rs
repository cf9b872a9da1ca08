//! The kernel's lock of all network settings (rtnl), held for as long as one likes.
//!
//! A call of ethtool reads its arguments with the lock held. Half of these lie on a page that is not there before this
//! process says so (userfaultfd), and until then the call stands still, and the lock with it. What a driver does that
//! resets its card for seconds is the same to everybody else.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::ptr::NonNull;
use std::thread::JoinHandle;

const PAGE: usize = 4096;
const UFFD_API: u64 = 0xaa;
const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const UFFDIO_ZEROPAGE: libc::c_ulong = 0xc020_aa04;
const REGISTER_MISSING: u64 = 1;
/// The size of what the kernel tells of a page that was touched.
const MESSAGE: usize = 32;
const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// Reads twelve bytes and, on a link without such strings, does nothing.
const ETHTOOL_GSTRINGS: u32 = 0x1b;

/// A page that is there and one behind it that is not, and whoever is told when that is touched.
#[derive(Debug)]
pub struct Lock {
    pages: NonNull<u8>,
    faults: File,
}

// SAFETY: the pages belong to the process; the threads that use them take turns.
unsafe impl Send for Lock {}

/// The lock is held until this is dropped.
#[derive(Debug)]
#[must_use = "the lock is free when this is dropped"]
pub struct Held<'a> {
    lock: &'a Lock,
    call: Option<JoinHandle<()>>,
}

impl Lock {
    /// Holds nothing yet.
    pub fn new() -> io::Result<Self> {
        let (length, both) = (2 * PAGE, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
        let pages =
            unsafe { libc::mmap(std::ptr::null_mut(), length, both, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        let pages = NonNull::new(pages.cast::<u8>()).filter(|_| pages != libc::MAP_FAILED);
        let pages = pages.ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the last four bytes of the first page.
        unsafe { pages.add(PAGE - 4).cast::<u32>().write(ETHTOOL_GSTRINGS) };
        // SAFETY: the call takes no pointer.
        let raw = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        let raw = i32::try_from(raw).ok().filter(|raw| *raw >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the descriptor was just made, and nobody else has it.
        let lock = Self { pages, faults: unsafe { File::from_raw_fd(raw) } };
        lock.tell(UFFDIO_API, [UFFD_API, 0, 0, 0])?;
        lock.tell(UFFDIO_REGISTER, [lock.missing(), PAGE as u64, REGISTER_MISSING, 0])?;
        Ok(lock)
    }

    /// Takes the lock; when this returns it is held.
    pub fn take(&self) -> io::Result<Held<'_>> {
        // SAFETY: the second page is nobody's while the lock is not held: it is not there from here on.
        let gone = unsafe { libc::madvise(self.pages.add(PAGE).as_ptr().cast(), PAGE, libc::MADV_DONTNEED) };
        if gone != 0 {
            return Err(io::Error::last_os_error());
        }
        let arguments = self.pages.as_ptr() as usize + PAGE - 4;
        let call = std::thread::spawn(move || ask_ethtool(arguments));
        let held = Held { lock: self, call: Some(call) };
        // Told when the page is touched, which is after the lock was taken.
        (&self.faults).read_exact(&mut [0; MESSAGE])?;
        Ok(held)
    }

    fn missing(&self) -> u64 {
        (self.pages.as_ptr() as usize + PAGE) as u64
    }

    fn tell(&self, what: libc::c_ulong, mut words: [u64; 4]) -> io::Result<()> {
        // SAFETY: the longest of these requests is of four words, and the kernel writes to no other memory.
        let done = unsafe { libc::ioctl(self.faults.as_raw_fd(), what, words.as_mut_ptr()) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let provided = self.lock.tell(UFFDIO_ZEROPAGE, [self.lock.missing(), PAGE as u64, 0, 0]);
        if let (Ok(()), Some(call)) = (provided, self.call.take()) {
            let _ = call.join();
        }
    }
}

/// What it answers does not matter.
fn ask_ethtool(arguments: usize) {
    let Ok(socket) = UdpSocket::bind("127.0.0.1:0") else { return };
    // SAFETY: plain bytes, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = arguments as *mut libc::c_char;
    // SAFETY: the arguments are twelve bytes of two pages that stay mapped.
    unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
}
