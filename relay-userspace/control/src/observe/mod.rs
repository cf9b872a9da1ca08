//! Looking at a node: its health, its state and its numbers, read from what control shows and what lanes count. Nothing
//! here waits for control, writes where a lane reads, or changes anything.

pub mod stream; // how a relay does
pub mod rates; // packets a second, from two looks
pub mod round_trip; // what comes round over other nodes
mod warnings; // what is probably not meant
pub mod health; // whether packets can flow

pub mod metrics; // numbers for Prometheus
pub mod requests; // what was asked of the API
mod access; // whom the API lets in
mod documents; // the node as the API shows it
mod diff; // the configuration file against what runs
mod export; // all that is in force
pub mod capture; // a relay's packets in a file
pub mod why; // why a relay's stream is silent
pub mod report; // what was counted
#[cfg(test)]
pub(crate) mod fixtures;

pub use diff::diff;
pub use documents::{links, pending, relay, relays, status};
pub use export::export;
pub use health::{health, live, ready};
pub use rates::Rates;
pub use requests::Requests;
pub use warnings::{warnings, warnings_of};
