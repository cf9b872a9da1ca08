//! Bare system calls that no crate of ours wraps.

pub mod multicast; // joining and leaving groups on a socket
pub mod sysctl; // the kernel's limits
