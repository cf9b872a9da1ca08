//! The command line as it is used: the binary itself, against a server that plays the API's contract.

#![expect(clippy::unwrap_used, reason = "a test")]

mod changes; // relays are added, changed, removed
mod looks; // what is shown
mod pages; // what is made from the command line's own definition
mod play; // the server
mod reach; // control is slow, gone, or closed to us
mod several; // what it does with several relays at once
mod stage; // the binary and its socket
mod top; // a node, watched
