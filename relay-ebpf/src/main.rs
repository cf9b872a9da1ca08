//! The XDP program: a thin shell around [`relay_common::decide`].
#![no_std]
#![no_main]

mod beside; // a VLAN tag that is not in the frame
mod frame; // the context as a frame
mod maps; // what control tells the program, and what it counts

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::debug;
use frame::XdpFrame;
use maps::{Maps, SOCKETS};
use relay_common::decide::{Action, Decision, Verdict, decide};

/// Sees every frame of an input link first: takes ours to their lane, leaves the others to the kernel.
#[xdp]
fn relay(context: XdpContext) -> u32 {
    take::<true>(&context)
}

/// The same for links on which a VLAN tag may travel beside its frame: what it decides by must be in the frame. It is
/// loaded for one link, and its driver is asked; it writes no lines, so that it needs no other maps than ours.
#[xdp]
fn relay_tags(context: XdpContext) -> u32 {
    if beside::has_vlan(&context) {
        return end(Verdict::TagBeside, xdp_action::XDP_PASS);
    }
    take::<false>(&context)
}

/// Passes every frame: a link that is an output only, and zero-copy, may need a program to send.
#[xdp]
fn pass(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[inline(always)]
fn take<const LINES: bool>(context: &XdpContext) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the context holds 32 bits")]
    let ifindex = context.ingress_ifindex() as u32;
    let queue = context.rx_queue_index();
    let decision = decide(&XdpFrame::new(context), ifindex, queue, &Maps);
    match decision.verdict.action() {
        Action::Redirect => redirect::<LINES>(context, &decision),
        Action::Drop => end(decision.verdict, xdp_action::XDP_DROP),
        Action::Pass => end(decision.verdict, xdp_action::XDP_PASS),
    }
}

/// Hands a frame to the socket of its queue, or to the kernel when there is none.
#[inline(always)]
fn redirect<const LINES: bool>(context: &XdpContext, decision: &Decision) -> u32 {
    // Looked for first: a frame that passes stays as it came, without a stamp that would keep GRO from joining it.
    if SOCKETS.get(decision.socket).is_none() {
        return end(Verdict::NoSocket, xdp_action::XDP_PASS);
    }
    if LINES {
        debug!(context, "relay in slot {}: frame to socket {}", decision.slot, decision.socket);
    }
    frame::stamp(context, decision.slot);
    match SOCKETS.redirect(decision.socket, u64::from(xdp_action::XDP_PASS)) {
        Ok(action) => end(Verdict::Ours, action),
        Err(action) => end(Verdict::NoSocket, action),
    }
}

/// Counts the verdict on the way out.
#[inline(always)]
fn end(verdict: Verdict, action: u32) -> u32 {
    maps::count(verdict);
    action
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[expect(unsafe_code, reason = "the kernel reads the licence from a named section")]
// SAFETY: the symbol is only read by the loader, and no other symbol has this name.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
