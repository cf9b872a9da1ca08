//! The vault: descriptors that must outlive control, held by a lane that need not know what they are.

use super::handoff::Message;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is held, in the order in which it came.
#[derive(Debug, Default)]
pub struct Vault {
    held: Vec<(Message, OwnedFd)>,
}

impl Vault {
    /// Keeps a descriptor as the message says. One with the same tag is let go afterwards.
    pub fn hold(&mut self, message: Message, descriptor: OwnedFd) {
        match self.held.iter_mut().find(|(held, _)| held.tag == message.tag) {
            Some(place) => *place = (message, descriptor),
            None => self.held.push((message, descriptor)),
        }
    }

    /// Lets the descriptor of that tag go, if there is one.
    pub fn forget(&mut self, tag: u64) {
        self.held.retain(|(held, _)| held.tag != tag);
    }

    /// The descriptor of that tag, if there is one.
    #[must_use]
    pub fn of(&self, tag: u64) -> Option<BorrowedFd<'_>> {
        self.held.iter().find(|(held, _)| held.tag == tag).map(|(_, descriptor)| descriptor.as_fd())
    }

    /// How many are held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// One of them, with the message that it came with.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<(&Message, BorrowedFd<'_>)> {
        self.held.get(place).map(|(message, descriptor)| (message, descriptor.as_fd()))
    }
}
