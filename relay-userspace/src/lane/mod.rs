//! A lane: one process on one core that relays. It has its own frames, its own receive queues and its own transmit
//! queue on every output link, and no rights.

pub mod forward; // what becomes of a batch: pure
pub mod handoff; // what control hands to a lane, and the lane's answers
pub mod ports; // the lane's sockets, and the commit that moves their rings
pub mod round; // the loop: all ring operations stand here
pub mod wait; // spin or sleep

#[cfg(test)]
mod fixtures;
mod run;
pub use run::{pin, run};
