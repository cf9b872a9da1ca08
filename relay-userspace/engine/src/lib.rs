//! The way of a packet: a lane, the memory and the rings it works with, and the system calls that this takes.
//!
//! This is what a lane executes, so it depends on neither tokio nor serde nor TLS. Decisions are in [`relay_common`].

pub mod xsk; // frames come and go through AF_XDP rings
pub mod memory; // what outlives a process: frames, journal, table, counters
pub mod lane; // one process on one core turns a batch of frames into another
pub mod sandbox; // what a lane gives up before it looks at a packet
pub mod sys; // bare system calls
pub mod clock; // the one clock
