//! Memberships that a dead control left: the lanes hold its sockets, and the kernel says what each of them is in.
//!
//! Nothing is written down for this, so nothing can be out of date: what was joined and what is believed to be are one.

use super::socket::{Limits, MembershipSocket};
use super::{Group, Memberships, Part};
use crate::link::groups::Listed;
use relay_common::facts::Facts;
use relay_common::table::Join;
use relay_engine::sys::multicast;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

impl Memberships {
    /// Takes sockets over, each with what the lanes know it by. `listed` are the groups of all links. Answers also what
    /// holds nothing: the tags of sockets that can go.
    #[must_use]
    pub fn taken_over(
        limits: Limits,
        held: impl Iterator<Item = (u64, Arc<OwnedFd>)>,
        listed: &[Listed],
    ) -> (Self, Vec<u64>) {
        let mut memberships = Self::new(limits);
        let (mut sockets, mut needless) = (Vec::new(), Vec::new());
        for (tag, descriptor) in held {
            memberships.next_tag = memberships.next_tag.max(tag + 1);
            match MembershipSocket::taken_over(tag, descriptor, limits.groups) {
                Ok(socket) => sockets.push(socket),
                Err(_) => needless.push(tag),
            }
        }
        let mut found: BTreeMap<Group, Vec<Part>> = BTreeMap::new();
        for v4 in [true, false] {
            let of_family: Vec<usize> = (0..sockets.len()).filter(|at| sockets[*at].v4 == v4).collect();
            find(&mut sockets, &of_family, listed.iter().filter(|one| one.group.is_ipv4() == v4), &mut found);
        }
        memberships.sockets = sockets;
        for (group, parts) in found {
            let sources: BTreeSet<IpAddr> = parts.iter().flat_map(|part| part.sources.iter().copied()).collect();
            memberships.roll.enter(group, sources.into_iter().collect());
            memberships.held.insert(group, parts);
        }
        // Those without a group make room for what the kernel still counts on them: groups of links that are gone.
        needless.extend(memberships.give_up_empty());
        for at in 0..memberships.sockets.len() {
            memberships.look_for_room(at);
        }
        (memberships, needless)
    }

    /// What is held, as the table has it. A device that is unknown has no name.
    #[must_use]
    pub fn joins(&self, facts: &Facts) -> BTreeMap<Group, Join> {
        let name = |ifindex: u32| facts.links.iter().find(|link| link.ifindex == ifindex).map(|link| link.name.clone());
        let one = |(&(ifindex, group), parts): (&Group, &Vec<Part>)| {
            let any = parts.iter().any(|part| part.sources.is_empty());
            let sources = parts.iter().filter(|_| !any).flat_map(|part| part.sources.iter().copied()).collect();
            ((ifindex, group), Join { device: name(ifindex).unwrap_or_default(), ifindex, group, sources })
        };
        self.held.iter().map(one).collect()
    }
}

/// Looks which sockets are in each group, until as many were found as the kernel counts. They were joined in order, so
/// the socket of the group before is asked first.
fn find<'a>(
    sockets: &mut [MembershipSocket],
    of_family: &[usize],
    listed: impl Iterator<Item = &'a Listed>,
    found: &mut BTreeMap<Group, Vec<Part>>,
) {
    let mut listed: Vec<&Listed> = listed.collect();
    listed.sort_unstable_by_key(|one| (one.ifindex, one.group));
    let mut start = 0;
    for Listed { ifindex, group, users } in listed {
        let mut left = *users;
        for step in 0..of_family.len() {
            if left == 0 {
                break;
            }
            let at = (start + step) % of_family.len();
            let socket = of_family[at];
            if let Ok(Some(sources)) = multicast::sources(&sockets[socket].descriptor, *ifindex, *group) {
                sockets[socket].groups += 1;
                found.entry((*ifindex, *group)).or_default().push(Part { socket, sources });
                left -= 1;
                start = at;
            }
        }
    }
}
