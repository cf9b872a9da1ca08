//! Everything that loads, attaches or writes eBPF. One of the addresses of `unsafe`.

pub mod link; // attaching a program so that a descriptor is all that holds it
pub mod process; // processes as descriptors
pub mod program; // the program and its maps
