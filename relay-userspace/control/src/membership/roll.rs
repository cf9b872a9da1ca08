//! The groups that are held, for a thread that reports them whatever control is busy with.

use super::Group;
use relay_common::report::Member;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is held, by link and group, with its sources. Copies are the same roll.
#[derive(Clone, Debug, Default)]
pub struct Roll(Arc<Mutex<BTreeMap<Group, Vec<IpAddr>>>>);

impl Roll {
    /// The groups of a link.
    #[must_use]
    pub fn of(&self, ifindex: u32) -> Vec<Member> {
        let all = self.lock();
        let of_link = all.iter().filter(|((link, _), _)| *link == ifindex);
        of_link.map(|((_, group), sources)| (*group, sources.clone())).collect()
    }

    pub(super) fn enter(&self, group: Group, sources: Vec<IpAddr>) {
        self.lock().insert(group, sources);
    }

    pub(super) fn strike(&self, group: Group) {
        self.lock().remove(&group);
    }

    /// Whoever held it did one thing with it, which cannot be half done.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Group, Vec<IpAddr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
