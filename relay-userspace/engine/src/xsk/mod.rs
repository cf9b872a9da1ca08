//! AF_XDP: rings, sockets and the few calls that a lane makes.
//!
//! Four rings carry frames between a lane and the kernel. The lane puts empty frames on FILL; the kernel writes
//! packets into them and puts them on RX. The lane puts packets on TX; the kernel sends them and puts the frames on
//! COMPLETION. Each ring is two indices and an array of descriptors in memory that both sides map.
//!
//! This folder is one of the addresses of `unsafe`.
#![expect(unsafe_code, reason = "rings in memory shared with the kernel, and socket options that nix lacks")]

pub mod options; // what is asked of a socket, and set on it
pub mod port; // a lane's four rings of one socket
pub mod ring; // two indices and an array
pub mod levels; // how full the rings are
pub mod socket; // creating, registering and binding, by xdpilone
pub mod release; // whether the kernel has let go of one that was closed
