//! Zero-copy on real drivers, without a NIC: mcr in guests whose NICs an emulator plays. See docs/zero-copy.md.
//!
//! `cargo xtask test vm` brings the parts and runs this. It needs no rights.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod cpio; // the file system that a guest boots from
mod parts; // what xtask has brought
mod nic; // a NIC, as the emulator is told of it
mod wire; // its other end, which is ours
mod guest; // an emulated machine that does what it is told
mod mcr; // mcr in it
mod calls; // what the guest's kernel says
mod play; // one case
mod table; // what was proved

mod kills; // lanes that die
mod rebinds; // what that costs on old kernels
mod unplug; // links that go and come back
mod backlog; // lanes that could not run for a moment
mod down; // links that are down for a while
mod reclaim; // frames of a socket that was dropped

// The guests, each a test; the longest come first by their names, since that is the order they are run in.
mod igb;
mod virtio;
mod without; // kernels without zero-copy
mod without_memory; // a lane that the kernel ends
