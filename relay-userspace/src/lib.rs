//! The relay's effects. Decisions live in [`relay_common`]; this crate carries them out.

// The way of a packet.
pub mod xsk; // frames come and go through AF_XDP rings
pub mod memory; // what outlives a process: frames, journal, table, counters
pub mod lane; // one process on one core turns a batch of frames into another
pub mod sandbox; // what a lane gives up before it looks at a packet

// The way of a configuration change.
pub mod config; // a file becomes a plan, or a list of errors
pub mod link; // what the kernel says of links
pub mod kernel; // the eBPF program and its maps, and bare system calls
pub mod control; // a plan becomes changes, and changes are applied
pub mod api; // where people and programs ask for changes and look

// Beside both.
pub mod args; // what can be said on the command line
pub mod cli; // the commands that ask a running mcr
pub mod check; // the command `mcr check`
pub mod links; // the command `mcr links`
pub mod local; // what this machine knows of a node whose control does not answer
pub mod probe; // the command `mcr probe`
pub mod preflight; // what must be so before anything is made
pub mod capture; // packets that lanes show, in a file
pub mod report; // what was counted
pub mod events; // what happened
pub mod observe; // how the node does, and its numbers
pub mod why; // what is known of a relay's way
pub mod serve; // what the API shows of a running node
pub mod notify; // what systemd is told
pub mod rights; // what control keeps of its rights
pub mod users; // the users of this machine
mod clock; // the one clock
