//! Everything that loads, attaches or writes eBPF, by bpf(2) where aya has no call. One of the addresses of `unsafe`.

mod syscall; // bpf(2) itself
mod map; // a map of the program
mod beside; // the program for a link whose VLAN tags may travel beside their frames
pub mod attached; // a program on a link: looked at, replaced, handed on
pub mod link; // attaching a program so that a descriptor is all that holds it
pub mod program; // the program and its maps
pub mod verdicts; // how often it came to each verdict
pub mod mute; // sockets that are held and neither send nor receive
