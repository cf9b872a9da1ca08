//! The API: HTTP on a Unix socket and on TCP. It looks at the node's view and asks at its desk; it never touches a lane.
//!
//! Reading order: `server` starts and ends it, `listen` opens its sockets, `connection` serves one client, `access`
//! says who may, `routes` is the list of what can be asked; the rest answers.

mod access; // who asks, and whether they may
mod host; // for whom a request is meant
mod denied; // who was not given what they asked for
mod condition; // ETag, If-Match, If-None-Match
mod connection; // one client, with its deadlines
mod document; // the OpenAPI document
mod places; // who has a place at a door
mod long; // long answers
mod limits; // how much of everything
mod listen; // the sockets that clients come by
mod node; // the node as a whole
mod page; // what a person sees of it in a browser
mod probe; // whether it lives, is ready, is healthy; its numbers
mod problem; // what went wrong
mod many; // many relays at once
mod relays; // what is asked of relays
mod capture; // a relay's packets as they go by
mod changes; // what became of what was asked for
mod whole; // a whole node as one document
mod request; // bodies and parameters
mod routes; // everything that can be asked
mod server; // the thread of the API
pub mod serve; // what it shows of a running node
mod doubts; // what of [http] would not work here
mod shared; // what all clients share
mod tls; // certificates that are renewed
mod wanted; // what could not be had at the beginning
mod sight; // what the API is told to show
mod stream; // events as they happen

pub use document::document;
pub use doubts::{doubts, is_heard_by, place_doubt};
pub use limits::Counts;
pub use server::{Opened, Server, open, start};
pub use sight::Sight;

#[cfg(test)]
mod tests;
