//! A lane: one process on one core that relays. It has its own frames, its own receive queues and its own transmit
//! queue on every output link, and no rights.

pub mod forward; // what becomes of a batch: pure
pub mod handoff; // what control and a lane say to each other
pub mod ports; // the lane's sockets, and the commit that moves their rings
pub mod drain; // how a transmit ring drains, and when it is waited for
mod stale; // what waits for a link that does not send
pub mod round; // the loop: all ring operations of packets stand here
pub mod change; // sockets come and go while it relays
mod recount; // what lies on the transmit rings when it starts
pub mod vault; // descriptors that are held for control
pub mod desk; // where control is heard, and let in again after it died
pub mod wait; // spin or sleep
#[cfg(feature = "chaos")]
mod late; // answers too late, for tests
#[cfg(feature = "chaos")]
mod writes; // writes on its standard error, for tests
#[cfg(feature = "chaos")]
mod tries; // a lane in a stranger's hands, for tests

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod world;
mod run;
pub use run::{pin, run};

/// What every lane's process is called, before its number.
pub const LANE: &str = "mcr-lane-";
