//! The binary `mcr`: its commands that look at this machine, beside those of the inner crates.

pub mod check; // the command `mcr check`
pub mod links; // the command `mcr links`
pub mod local; // what this machine knows of a node whose control does not answer
pub mod probe; // the command `mcr probe`
