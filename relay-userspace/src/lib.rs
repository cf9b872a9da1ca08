//! The relay's effects. Decisions live in [`relay_common`]; this crate carries them out.

// The way of a configuration change.
pub mod control; // what follows the plan
pub mod kernel; // bare system calls
pub mod link; // what the kernel says of links
pub mod links; // the command `mcr links`
