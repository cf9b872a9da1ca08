//! XDP programs of a few instructions, and packets made by the kernel itself: bpf(2).
//!
//! `BPF_PROG_TEST_RUN` with live frames runs a program on page after page that holds the same frame and does what the
//! program says. It is the fastest source there is. Pages are recycled as the receiver left them: a receiver that
//! writes into packets spoils the next ones, unless the program writes those bytes anew.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const LINK_CREATE: libc::c_long = 28;

const PROG_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
/// In the driver, not behind it.
const NATIVE: u32 = 1 << 2;
const LIVE_FRAMES: u32 = 1 << 1;
/// Frames that are made and sent on at once: fewer than the 256 places of a veth's ring.
const LIVE_BATCH: u32 = 64;

/// The call's longest attribute here, as 32-bit words; 64-bit members take two of them, low word first.
type Attribute = [u32; 20];

/// An XDP program.
#[derive(Debug)]
pub struct Program(OwnedFd);

/// What a program does with every frame.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// Drops it; the interface counts it as received.
    Drop,
    /// Sends it by the interface with this index.
    Redirect(u32),
}

impl Program {
    /// Loads a program that does this.
    pub fn load(does: Does) -> io::Result<Self> {
        // Instructions of eight bytes: operation, registers (source and destination), offset, constant.
        let exit = instruction(0x95, 0, 0);
        let instructions = match does {
            Does::Drop => vec![instruction(0xb7, 0, 1), exit],
            // r1 = index, r2 = 0, r0 = bpf_redirect(r1, r2)
            Does::Redirect(index) => {
                vec![instruction(0xb7, 1, index), instruction(0xb7, 2, 0), instruction(0x85, 0, 23), exit]
            }
        };
        let mut attribute = Attribute::default();
        attribute[0] = PROG_TYPE_XDP;
        attribute[1] = u32::try_from(instructions.len()).map_err(io::Error::other)?;
        put_pointer(&mut attribute, 2, instructions.as_ptr().addr());
        put_pointer(&mut attribute, 4, c"GPL".as_ptr().addr());
        descriptor(bpf(PROG_LOAD, &attribute)?).map(Self)
    }

    /// Attaches the program to an interface of this thread's namespace; it is detached when the result is dropped.
    pub fn attach(&self, index: u32) -> io::Result<OwnedFd> {
        let mut attribute = Attribute::default();
        attribute[..4].copy_from_slice(&[self.raw()?, index, ATTACH_TYPE_XDP, NATIVE]);
        descriptor(bpf(LINK_CREATE, &attribute)?)
    }

    /// Has the kernel make `count` frames and run the program on each, as if it had come in by this namespace's `lo`.
    pub fn run_on_live_frames(&self, frame: &[u8], count: u32) -> io::Result<()> {
        let mut attribute = Attribute::default();
        attribute[0] = self.raw()?;
        attribute[2] = u32::try_from(frame.len()).map_err(io::Error::other)?;
        put_pointer(&mut attribute, 4, frame.as_ptr().addr());
        attribute[8] = count;
        attribute[16] = LIVE_FRAMES;
        attribute[18] = LIVE_BATCH;
        bpf(PROG_TEST_RUN, &attribute).map(drop)
    }

    fn raw(&self) -> io::Result<u32> {
        u32::try_from(self.0.as_raw_fd()).map_err(io::Error::other)
    }
}

fn instruction(operation: u8, destination: u8, constant: u32) -> u64 {
    u64::from(operation) | u64::from(destination) << 8 | u64::from(constant) << 32
}

#[expect(clippy::cast_possible_truncation, reason = "cut in two on purpose")]
fn put_pointer(attribute: &mut Attribute, at: usize, address: usize) {
    attribute[at..at + 2].copy_from_slice(&[address as u32, (address as u64 >> 32) as u32]);
}

fn bpf(command: libc::c_long, attribute: &Attribute) -> io::Result<libc::c_long> {
    // SAFETY: the pointer and the size describe `attribute`; what it points at is borrowed by the callers for longer
    // than the call, and the kernel only reads it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attribute.as_ptr(), size_of_val(attribute)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(raw: libc::c_long) -> io::Result<OwnedFd> {
    let raw = i32::try_from(raw).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
