//! The lanes hold every membership socket, from before a group is joined on it: a group is left when the last descriptor
//! closes, and control may die at any instant.

use super::socket::Limits;
use super::{MembershipError, Memberships, Refused, family};
use crate::descriptors::{self, Short};
use relay_common::table::Join;
use std::os::fd::OwnedFd;
use std::sync::Arc;

impl Memberships {
    /// Opens the sockets that these joins will need beside those that are there, so that all can be held in one go.
    ///
    /// # Errors
    /// When the kernel has no more sockets for us, or they would take the descriptors that are kept free.
    pub fn make_room<'a>(&mut self, joins: impl Iterator<Item = &'a Join>) -> Result<(), MembershipError> {
        let mut needed = [0, 0];
        for join in joins {
            needed[family(join.group.is_ipv4())] += self.parts_needed(join);
        }
        let lacking = |v4: bool| {
            let places = self.with_room[family(v4)].iter().map(|socket| &self.sockets[*socket]);
            let free: usize = places.map(|socket| socket.room - socket.groups).sum();
            needed[family(v4)].saturating_sub(free).div_ceil(self.limits.groups)
        };
        let lacking = [true, false].map(|v4| (v4, lacking(v4)));
        let needed = lacking[0].1 + lacking[1].1;
        if let Err(Short { open, limit }) = descriptors::room_for(needed) {
            return Err(MembershipError::Descriptors { needed, open, limit });
        }
        for (v4, lacking) in lacking {
            for _ in 0..lacking {
                self.open(v4).map_err(|error| match error {
                    Refused::Socket(source) | Refused::Join(source) => MembershipError::Socket(source),
                })?;
            }
        }
        Ok(())
    }

    /// The most places that a join can take beside what is held.
    fn parts_needed(&self, join: &Join) -> usize {
        let Limits { sources_v4, sources_v6, .. } = self.limits;
        let limit = if join.group.is_ipv4() { sources_v4 } else { sources_v6 };
        let parts = join.sources.len().div_ceil(limit).max(1);
        match self.held.get(&(join.ifindex, join.group)) {
            Some(held) if held[..].iter().all(|part| part.sources.is_empty()) == join.sources.is_empty() => {
                parts.saturating_sub(held.len())
            }
            _ => parts,
        }
    }

    /// The sockets that no lane holds yet, with what the lanes will know them by. They count as held from now on.
    pub fn take_new(&mut self) -> Vec<(u64, Arc<OwnedFd>)> {
        let new = self.sockets.iter_mut().filter(|socket| !socket.is_held);
        let take = new.map(|socket| {
            socket.is_held = true;
            (socket.tag, Arc::clone(&socket.descriptor))
        });
        take.collect()
    }
}
