//! The laboratory: namespaces, links, sources, sinks and ledgers.
//!
//! It is the independent second implementation that checks the relay, so it shares no code with it: it builds and
//! parses its own packets, counts on its own, and knows the relay only as a process with a configuration file.
//!
//! A test reads like this: make [`Namespace`]s, connect them with [`links::Veth`], start the relay as a [`Process`],
//! start a [`Sink`] on each output and a [`Source`] on the input, and ask each [`Ledger`] at the end.

// The place where packets flow.
pub mod links; // veth pairs between namespaces
pub mod netns; // network namespaces that vanish with their maker
pub mod process; // a child process and its lines
pub mod probes;
pub mod relay; // the relay under test
pub mod terminal; // a terminal, with a command in it
pub mod tmpfs; // a small disk that can be full

// The packets.
pub mod ledger; // what was sent, and what of it arrived
pub mod packet; // frames from headers, and headers from frames
pub mod payload; // bytes that prove where they come from

// The two ends.
pub mod listener; // plain UDP sockets, as a decoder has them
pub mod sink; // takes every frame of an interface
pub mod source; // sends streams at a rate
mod window; // holds a source back while too much is under way

// Figures.
pub mod measure; // scenarios, contestants, results

// Beneath all.
pub mod clock;
pub mod sys; // the only unsafe file of this crate

pub use ledger::{Ledger, SharedLedger};
pub use listener::UdpListener;
pub use netns::Namespace;
pub use process::Process;
pub use relay::Relay;
pub use sink::Sink;
pub use source::Source;
pub use terminal::Terminal;
pub use tmpfs::Tmpfs;
