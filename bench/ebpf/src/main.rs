//! What the bench runs in the kernel.
#![no_std]
#![no_main]

mod abi; // what the programs and the bench share
mod packet; // bytes of a packet
mod stamp; // what marks our packets

mod generate; // packets at a pace
mod sink; // counts them and measures their way
mod ceiling; // what could be reached at most

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[expect(unsafe_code, reason = "the kernel reads the licence from a named section")]
// SAFETY: the symbol is only read by the loader, and no other symbol has this name.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
