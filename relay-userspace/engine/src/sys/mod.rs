//! Bare system calls, for which nix has no function. One of the addresses of `unsafe`.

pub mod fd_passing; // descriptors that go from one process to another
pub mod multicast; // joining and leaving groups on a socket
pub mod packet; // a look at a link as the kernel sees it
pub mod process; // processes as descriptors
pub mod sysctl; // the kernel's limits
