//! What is known of a relay's way, gathered: what the node knows itself, and what only a look at the kernel tells.
//! [`relay_common::why`] judges it.

pub mod look; // everything together
pub mod members; // who is in a group
pub mod listeners; // who waits for what the program takes away
mod wire; // what goes past the program

pub use look::{Joined, Known, attachment, look};
