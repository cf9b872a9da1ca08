//! Every decision of the relay. This crate knows no Linux, no clock and no socket: what is written here
//! runs in the XDP program, in a lane and in an ordinary test alike.
//!
//! The modules stand in reading order: first the way of a packet, then the way of a configuration change.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;
#[cfg(test)]
extern crate std;

// The way of a packet.
pub mod abi; // what the XDP program, control and the lanes share
pub mod frame; // the one way to look into a frame
pub mod wire; // the headers as they lie on the wire
pub mod datagram; // a parsed datagram: where its headers stand, whose it is
pub mod decide; // what becomes of a frame
pub mod unfinished; // UDP checksums that a sender left to a NIC that was not on the way
pub mod rewrite; // the header it leaves with
pub mod drops; // every reason why a packet is not sent, with its name
pub mod owner; // who has a frame
pub mod journal; // how a batch is committed so that death loses nothing
pub mod counters; // what a lane counts, and where
pub mod looping; // whether what a relay sends comes round over other nodes
pub mod meter; // what a lane measures of a relay's input

// The way of a configuration change.
#[cfg(feature = "alloc")]
pub mod circles; // outputs that lead back to where they came from
#[cfg(feature = "alloc")]
pub mod meetings; // outputs of two relays that nobody can tell apart
pub mod entry; // a relay and an output as a lane reads them
#[cfg(feature = "alloc")]
pub mod facts; // what is known of a link
#[cfg(feature = "alloc")]
pub mod outputs; // the outputs of a relay
#[cfg(feature = "alloc")]
pub mod plan; // the configuration that is true
#[cfg(feature = "alloc")]
pub mod report; // the groups of a link, as its switch hears of them
#[cfg(feature = "alloc")]
pub mod table; // plan and facts become what lanes and kernel read
#[cfg(feature = "alloc")]
pub mod trial; // how long a configuration has that nobody has confirmed yet
#[cfg(feature = "alloc")]
pub mod unasked; // what of another configuration comes into force by itself
#[cfg(feature = "alloc")]
pub mod why; // the first broken step of a relay's way

// What is known of kernels.
#[cfg(feature = "alloc")]
pub mod faults; // those that a relay meets, by version
pub mod release; // which version a kernel is

// What is said of a running node.
#[cfg(feature = "alloc")]
pub mod health; // whether packets can flow
pub mod silence; // when a stream counts as interrupted
pub mod hang; // whether a lane hangs
#[cfg(feature = "alloc")]
pub mod throttle; // how often something is said
#[cfg(feature = "alloc")]
pub mod written; // what a process writes, as lines for a log
#[cfg(feature = "alloc")]
pub mod pattern; // names with stars
#[cfg(feature = "alloc")]
pub mod label; // what people sort relays by
#[cfg(feature = "alloc")]
pub mod selector; // which relays are meant

// Beside both.
#[cfg(any(feature = "fixtures", test))]
pub mod fixtures; // frames and what becomes of them, for tests here and in the kernel
