//! The bench: scenarios, contestants, and what is measured of them.
//!
//! Everything here is about figures; that packets are right is proven by the tests. Still no figure is taken from a run
//! in which a packet was doubled, came late, or is missing without a counter that says where it went.

// What is measured, and where.
pub mod scenario; // what is measured, against whom
pub mod stage; // generator, relay and sink: namespaces and links
pub mod contestant; // who takes part

// Measuring.
mod program; // what runs in the kernel
pub mod generator; // packets at a pace
pub mod gauge; // what arrives, how late, how evenly
pub mod account; // where packets and time went
pub mod search; // the highest rate without loss
pub mod bout; // one contestant's turn
pub mod session; // everything, in rounds

// What comes of it.
pub mod results; // as it is kept
pub mod machine; // what it ran on
mod derived; // what follows from it
mod number; // figures as people read them
mod bounds; // what we ask of MCR
pub mod document; // the page
pub mod plot; // its pictures
pub mod page; // both as files
pub mod compare; // two runs side by side

#[cfg(test)]
mod fixture; // results that nobody measured
#[cfg(test)]
mod golden; // texts that tests hold to a file
