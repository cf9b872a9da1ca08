//! Every decision of the relay. This crate knows no Linux, no clock and no socket: what is written here
//! runs in the XDP program, in a lane and in an ordinary test alike.
//!
//! The modules stand in reading order: first the way of a packet, then the way of a configuration change.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

// The way of a packet.
pub mod abi; // what the XDP program, control and the lanes share
pub mod drops; // every reason why a packet is not sent, with its name

// The way of a configuration change.
#[cfg(feature = "alloc")]
pub mod circles; // outputs that lead back to where they came from
pub mod entry; // a relay and an output as a lane reads them
#[cfg(feature = "alloc")]
pub mod facts; // what is known of a link
#[cfg(feature = "alloc")]
pub mod plan; // the configuration that is true
#[cfg(feature = "alloc")]
pub mod table; // plan and facts become what lanes and kernel read
