//! Every decision of the relay. This crate knows no Linux, no clock and no socket.
#![no_std]
#![forbid(unsafe_code)]
