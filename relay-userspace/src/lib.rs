//! The relay's effects. Decisions live in [`relay_common`]; this crate carries them out.

// The way of a packet.
pub mod xsk; // frames come and go through AF_XDP rings
pub mod memory; // what outlives a process: frames, journal, table, counters
pub mod lane; // one process on one core turns a batch of frames into another
pub mod sandbox; // what a lane gives up before it looks at a packet

// The way of a configuration change.
pub mod config; // a file becomes a plan, or a list of errors
pub mod link; // what the kernel says of links
pub mod kernel; // the eBPF program and its maps, and bare system calls
pub mod control; // a plan becomes changes, and changes are applied

// Beside both.
pub mod args; // what can be said on the command line
pub mod check; // the command `mcr check`
pub mod links; // the command `mcr links`
pub mod preflight; // what must be so before anything is made
pub mod capture; // packets that lanes show, in a file
pub mod report; // what was counted
pub mod notify; // what systemd is told
mod clock; // the one clock
