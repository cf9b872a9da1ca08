//! The relay's effects. Decisions live in [`relay_common`]; this crate carries them out.

// The way of a packet.
pub mod xsk; // frames come and go through AF_XDP rings
pub mod memory; // what outlives a process: frames, journal, table, counters
pub mod lane; // one process on one core turns a batch of frames into another
pub mod sandbox; // what a lane gives up first

// The way of a configuration change.
pub mod kernel; // the eBPF program and its maps
mod clock;
