//! Everything that loads, attaches or writes eBPF. One of the addresses of `unsafe`.

mod bpf; // bpf(2) itself
mod map; // a map of the program
mod beside; // the program for a link whose VLAN tags may travel beside their frames
pub mod attached; // a program on a link: looked at, replaced, handed on
pub mod link; // attaching a program so that a descriptor is all that holds it
pub mod passing; // descriptors that go from one process to another
pub mod process; // processes as descriptors
pub mod program; // the program and its maps
pub mod verdicts; // how often it came to each verdict
pub mod multicast; // joining and leaving groups on a socket
pub mod mute; // sockets that are held and neither send nor receive
pub mod packet; // a look at a link as the kernel sees it
pub mod release; // which kernel this is
pub mod module; // whether a driver is a module of it
pub mod sysctl; // the kernel's limits
