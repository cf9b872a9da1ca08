//! The unit of deploy/ as systemd runs it: in a container that boots it, with packets that flow through.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod container; // a booted systemd
mod stage; // the links and the stream

mod begins; // systemd starts it
mod reloads; // a file is taken, or refused
mod deaths; // control or a lane is killed, or hangs
mod stops; // nothing is sent after systemctl stop
mod upgrades; // another binary takes over
mod tells; // what systemd and its journal are told
mod boots; // the whole node is booted again
