//! mcr beside everything else that lives on a host, with real packets. See README.md in this folder for the table.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test ends where it fails, and says what is left over")]

mod log; // a log that nobody reads
mod line; // source, relay and receiver in a row
mod query; // what routers ask, and what the kernel answers
mod groups; // joined groups as the kernel shows them

mod coexistence;
mod joins;
mod keepalived;
mod reports;
mod senders;
mod why;
mod oracles;
mod video;
mod refused_file;
mod refusals;
mod checked;
mod kernel;
mod probe;
mod huge;
mod hostile;
mod tokens;
mod unit;
mod words;
mod whole; // export and import
mod idle;
