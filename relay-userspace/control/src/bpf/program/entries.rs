//! What control writes into the program's maps and reads back from them.

use super::{Program, ProgramError};
use crate::bpf::map::Put;
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey};
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, BorrowedFd};

impl Program {
    /// Puts an input, in place of what its key says now.
    pub fn put_input(&self, key: InputKey, value: InputValue) -> Result<(), ProgramError> {
        self.inputs.put(&key, &value, Put::Any)
    }

    /// Takes an input out.
    pub fn remove_input(&self, key: InputKey) -> Result<(), ProgramError> {
        self.inputs.remove(&key)
    }

    /// The inputs as they lie in the kernel.
    pub fn inputs<C: FromIterator<(InputKey, InputValue)>>(&self) -> Result<C, ProgramError> {
        self.inputs.entries()
    }

    /// Allows a source, for the relay at that slot.
    pub fn put_source(&self, key: SourceKey, slot: u32) -> Result<(), ProgramError> {
        self.sources.put(&key, &slot, Put::Any)
    }

    /// Forbids a source.
    pub fn remove_source(&self, key: SourceKey) -> Result<(), ProgramError> {
        self.sources.remove(&key)
    }

    /// The sources as they lie in the kernel.
    pub fn sources<C: FromIterator<(SourceKey, u32)>>(&self) -> Result<C, ProgramError> {
        self.sources.entries()
    }

    /// Adds a hardware address of ours.
    pub fn put_own_mac(&self, key: MacKey) -> Result<(), ProgramError> {
        self.own_macs.put(&key, &1, Put::Any)
    }

    /// Takes a hardware address of ours out.
    pub fn remove_own_mac(&self, key: MacKey) -> Result<(), ProgramError> {
        self.own_macs.remove(&key)
    }

    /// Our hardware addresses as they lie in the kernel.
    pub fn own_macs(&self) -> Result<BTreeSet<MacKey>, ProgramError> {
        Ok(self.own_macs.entries::<Vec<_>>()?.into_iter().map(|(key, _)| key).collect())
    }

    /// Gives a queue its socket.
    pub fn put_socket(&self, place: u32, socket: BorrowedFd<'_>) -> Result<(), ProgramError> {
        self.sockets.put(&place, &socket.as_raw_fd().cast_unsigned(), Put::Any)
    }

    /// Takes a queue's socket out: its frames pass, counted as `no_socket`.
    pub fn remove_socket(&self, place: u32) -> Result<(), ProgramError> {
        self.sockets.remove(&place)
    }

    /// Whether a queue has its socket. The kernel shows nobody which one is there, and replaces only what is there: an
    /// empty place stays empty, and one that held another socket holds this one afterwards.
    pub fn has_socket(&self, place: u32, socket: BorrowedFd<'_>) -> Result<bool, ProgramError> {
        self.sockets.put_if_there(&place, &socket.as_raw_fd().cast_unsigned())
    }
}
