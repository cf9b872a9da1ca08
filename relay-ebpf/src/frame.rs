//! The XDP context as a [`Frame`], and the stamp in front of it.
#![expect(unsafe_code, reason = "a frame is reached by address here; the verifier checks what is argued")]

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_meta},
    programs::XdpContext,
};
use relay_common::{abi::Stamp, datagram::MAX_HEADER, frame::Frame};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// The frame that the program runs for.
///
/// Its addresses are those of before any call that moves the frame's edges; after one the verifier refuses them.
pub(crate) struct XdpFrame {
    data: usize,
    data_end: usize,
}

impl XdpFrame {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        Self { data: context.data(), data_end: context.data_end() }
    }
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn header<T: FromBytes + KnownLayout + Immutable + Unaligned>(&self, at: usize) -> Option<&T> {
        // The verifier must see a bound on what is added to an address, and no header begins later.
        if at > MAX_HEADER {
            return None;
        }
        let start = self.data + at;
        if start + size_of::<T>() > self.data_end {
            return None;
        }
        // SAFETY: the bytes from `start` on are within the frame, as was just compared; any bytes are a `T`, at any
        // address; nobody writes to the frame while the program runs.
        Some(unsafe { &*(start as *const T) })
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.data_end - self.data
    }
}

/// Writes a stamp in front of the frame, where the driver has room for one: the relay's slot, and the time now.
///
/// The frame's edges move: an [`XdpFrame`] of before is of no use any more.
#[inline(always)]
pub(crate) fn stamp(context: &XdpContext, slot: u32) {
    const ROOM: i32 = 16;
    const { assert!(size_of::<Stamp>() == ROOM.unsigned_abs() as usize) };
    // SAFETY: the context is the one the kernel called us with.
    if unsafe { bpf_xdp_adjust_meta(context.ctx, -ROOM) } != 0 {
        return; // the lane looks the relay up by its key
    }
    let start = context.metadata();
    if start + size_of::<Stamp>() > context.data() {
        return;
    }
    // SAFETY: the helper reads a clock.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the bytes between `start` and the frame are metadata, as was just compared, and the kernel keeps their
    // beginning at a multiple of 4; nobody else reaches them while the program runs.
    unsafe { (start as *mut Stamp).write_unaligned(Stamp { magic: Stamp::MAGIC, slot, time_ns }) };
}
