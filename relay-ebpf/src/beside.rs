//! A VLAN tag that is not in the frame but beside it: taken out by hardware, or kept there by the kernel on the way from a
//! container.
#![expect(unsafe_code, reason = "the driver is asked by a call that only the kernel knows the address of")]

use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
use core::mem::transmute;
use relay_common::abi::RX_VLAN_TAG;

/// The kernel's `bpf_xdp_metadata_rx_vlan_tag`: 0 when there is a tag.
type RxVlanTag = unsafe extern "C" fn(*mut xdp_md, *mut u16, *mut u16) -> i64;

/// Whether the frame belongs to a VLAN by a tag beside it. A priority tag (identifier 0) is no VLAN.
#[inline(always)]
pub(crate) fn has_vlan(context: &XdpContext) -> bool {
    const IDENTIFIER: u16 = 0x0fff;
    // SAFETY: the loader puts a call of that function, of exactly this signature, in the place of this one.
    let ask: RxVlanTag = unsafe { transmute(RX_VLAN_TAG as usize) };
    let (mut protocol, mut tag) = (0_u16, 0_u16);
    // SAFETY: the context is the one the kernel called us with, and both values live until the call returns.
    let answer = unsafe { ask(context.ctx, &raw mut protocol, &raw mut tag) };
    answer == 0 && tag & IDENTIFIER != 0
}
