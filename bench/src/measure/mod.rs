//! The bench: scenarios, contestants, and what is measured of them.
//!
//! Everything here is about figures; that packets are right is proven by the tests. Still no figure is taken from a run
//! in which a packet was doubled, came late, or is missing without a counter that says where it went.

pub mod contestant; // who takes part
pub mod results; // what was measured, as it is kept
pub mod scenario; // what is measured, against whom
pub mod stage; // generator, relay and sink: namespaces and links
