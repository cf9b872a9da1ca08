//! The relay's effects. Decisions live in [`relay_common`]; this crate carries them out.

// The way of a configuration change.
pub mod check; // what a file would do here: mcr check
pub mod config; // a file becomes a plan, or a list of errors
