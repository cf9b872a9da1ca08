//! Groups that are joined, so that switches and routers send them and the NIC's filter lets them in.
//!
//! The sockets are not bound to a port, so no stream queues up in them. A group and its sources may be spread over
//! several sockets, because the kernel limits both: a link receives what any socket asked for. That also makes every
//! change gapless: what is new is asked for on one socket before what is old is given up on another.

mod adopt; // sockets that a dead control left
mod hold; // the lanes hold every socket
mod roll;
mod socket;

pub use self::roll::Roll;
pub use self::socket::Limits;
use self::socket::{MembershipSocket, Refused, forget, is_full};
use super::vault::tag;
use relay_engine::sys::multicast;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// Why a group could not be joined or left.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Not a group.
    #[error("{group} is not a multicast group: give an address in 224.0.0.0/4 or ff00::/8")]
    NotAGroup {
        /// The address.
        group: IpAddr,
    },
    /// A source of the other family.
    #[error("{source_address} cannot be a source of {group}: one is IPv4, the other IPv6")]
    OtherFamily {
        /// The group.
        group: IpAddr,
        /// The source.
        source_address: IpAddr,
    },
    /// No socket.
    #[error("cannot open a socket for group memberships: {0}; raise the limit of open files (LimitNOFILE)")]
    Socket(#[source] io::Error),
    /// As many are in use as may be, but for those that are kept free.
    #[error(
        "{needed} more sockets for group memberships would take descriptors that mcr needs to go on: {open} of {limit} are open; \
         raise the limit of open files (LimitNOFILE)"
    )]
    Descriptors {
        /// How many sockets.
        needed: usize,
        /// How many descriptors are open.
        open: u64,
        /// How many may be.
        limit: u64,
    },
    /// The kernel refused.
    #[error("cannot join {group} on interface {ifindex}: {source}")]
    Join {
        /// The interface.
        ifindex: u32,
        /// The group.
        group: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A group on a link.
pub type Group = (u32, IpAddr);

/// One group, or some of its sources, on one socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    socket: usize,
    /// Empty: any source.
    sources: Vec<IpAddr>,
}

/// A group that is held, as [`Memberships::held`] lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The interface.
    pub ifindex: u32,
    /// The group.
    pub group: IpAddr,
    /// The sources it is asked for from, in order; any when empty.
    pub sources: Vec<IpAddr>,
}

/// All groups that this node has joined. Sockets are opened in the network namespace of the thread that calls.
pub struct Memberships {
    limits: Limits,
    sockets: Vec<MembershipSocket>,
    /// The sockets that take another group, of IPv4 and of IPv6: none of the others is looked at for a new one.
    with_room: [BTreeSet<usize>; 2],
    held: BTreeMap<Group, Vec<Part>>,
    roll: Roll,
    next_tag: u64,
}

impl Default for Memberships {
    fn default() -> Self {
        Self::new(Limits::read())
    }
}

impl Memberships {
    /// Nothing joined, within these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            sockets: Vec::new(),
            with_room: [BTreeSet::new(), BTreeSet::new()],
            held: BTreeMap::new(),
            roll: Roll::default(),
            next_tag: tag::MEMBERSHIP,
        }
    }

    /// Joins a group on a link from these sources, or from any when there are none. A group that is held already gets
    /// these sources instead of its own, and loses no packet of a source that stays. Refused, everything stays as it was.
    ///
    /// # Errors
    /// When the kernel refuses, or the addresses do not go together.
    pub fn join(&mut self, ifindex: u32, group: IpAddr, sources: &[IpAddr]) -> Result<(), MembershipError> {
        if !group.is_multicast() {
            return Err(MembershipError::NotAGroup { group });
        }
        if let Some(source) = sources.iter().find(|source| source.is_ipv4() != group.is_ipv4()) {
            return Err(MembershipError::OtherFamily { group, source_address: *source });
        }
        let wanted: BTreeSet<IpAddr> = sources.iter().copied().collect();
        let group = (ifindex, group);
        let old = self.held.remove(&group).unwrap_or_default();
        let sources = wanted.iter().copied().collect();
        let any_source = old.iter().any(|part| part.sources.is_empty());
        match (any_source, wanted.is_empty()) {
            (true, true) => {
                self.held.insert(group, old);
                Ok(())
            }
            (false, false) if !old.is_empty() => {
                self.change_sources(group, old, &wanted).map_err(|error| refused(group, error))
            }
            _ => self.replace(group, old, &wanted),
        }
        .inspect(|()| self.roll.enter(group, sources))
    }

    /// Leaves a group on a link with all of its sources. Leaving what is not held is no error.
    pub fn leave(&mut self, ifindex: u32, group: IpAddr) {
        for part in self.held.remove(&(ifindex, group)).unwrap_or_default() {
            self.leave_part((ifindex, group), &part);
        }
        self.roll.strike((ifindex, group));
    }

    /// Gives up the sockets that hold no group: by what the lanes know them, for them to let go.
    pub fn give_up_empty(&mut self) -> Vec<u64> {
        if self.sockets.iter().all(|socket| socket.groups > 0) {
            return Vec::new();
        }
        let (mut places, mut gone) = (Vec::with_capacity(self.sockets.len()), Vec::new());
        for socket in std::mem::take(&mut self.sockets) {
            if socket.groups == 0 {
                places.push(None);
                gone.push(socket.tag);
            } else {
                places.push(Some(self.sockets.len()));
                self.sockets.push(socket);
            }
        }
        for part in self.held.values_mut().flatten() {
            part.socket = places[part.socket].unwrap_or(part.socket);
        }
        self.with_room = [BTreeSet::new(), BTreeSet::new()];
        for socket in 0..self.sockets.len() {
            self.look_for_room(socket);
        }
        gone
    }

    /// What is held, in order.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let one = |(&(ifindex, group), parts): (&Group, &Vec<Part>)| {
            let mut sources: Vec<IpAddr> = parts.iter().flat_map(|part| part.sources.iter().copied()).collect();
            sources.sort_unstable();
            sources.dedup();
            Held { ifindex, group, sources }
        };
        self.held.iter().map(one).collect()
    }

    /// What is held, for whoever reports it.
    #[must_use]
    pub fn roll(&self) -> Roll {
        self.roll.clone()
    }

    /// How many sockets hold a group: each of them is one membership to the kernel.
    #[must_use]
    pub fn n_sockets(&self, ifindex: u32, group: IpAddr) -> usize {
        self.held.get(&(ifindex, group)).map_or(0, Vec::len)
    }

    /// The sockets, to be held by other processes too: a group is left when its last descriptor closes.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|socket| socket.descriptor.as_fd())
    }

    /// Joins beside the parts of `old`, then leaves those.
    fn replace(&mut self, group: Group, old: Vec<Part>, sources: &BTreeSet<IpAddr>) -> Result<(), MembershipError> {
        let taken: Vec<usize> = old.iter().map(|part| part.socket).collect();
        match self.join_parts(group, sources, &taken) {
            Ok(parts) => {
                for part in &old {
                    self.leave_part(group, part);
                }
                self.held.insert(group, parts);
                Ok(())
            }
            Err(error) => {
                if !old.is_empty() {
                    self.held.insert(group, old);
                }
                Err(refused(group, error))
            }
        }
    }

    /// Adds sources where there is room, then drops those that are wanted no longer.
    fn change_sources(&mut self, group: Group, mut parts: Vec<Part>, wanted: &BTreeSet<IpAddr>) -> Result<(), Refused> {
        let before = parts.clone();
        let held: BTreeSet<IpAddr> = parts.iter().flat_map(|part| part.sources.iter().copied()).collect();
        let mut missing: BTreeSet<IpAddr> = wanted.difference(&held).copied().collect();
        let limit = self.limit_of_sources(group);
        for part in &mut parts {
            while let Some(source) = missing.first().copied().filter(|_| part.sources.len() < limit) {
                let socket = &self.sockets[part.socket].descriptor;
                if multicast::join_source(socket, group.0, group.1, source).is_err() {
                    break; // The other sockets are tried, and say why when they refuse too.
                }
                part.sources.push(source);
                missing.pop_first();
            }
        }
        if !missing.is_empty() {
            let taken: Vec<usize> = parts.iter().map(|part| part.socket).collect();
            match self.join_parts(group, &missing, &taken) {
                Ok(more) => parts.extend(more),
                Err(error) => {
                    self.leave_sources(group, &mut parts, &held);
                    self.held.insert(group, before);
                    return Err(error);
                }
            }
        }
        self.leave_sources(group, &mut parts, wanted);
        self.held.insert(group, parts);
        Ok(())
    }

    /// Leaves every source that is not among those to keep, and every part without any.
    fn leave_sources(&mut self, group: Group, parts: &mut Vec<Part>, keep: &BTreeSet<IpAddr>) {
        parts.retain_mut(|part| {
            if !part.sources.iter().any(|source| keep.contains(source)) {
                self.leave_part(group, part);
                return false;
            }
            part.sources.retain(|source| {
                let keeps = keep.contains(source);
                if !keeps {
                    let socket = &self.sockets[part.socket].descriptor;
                    forget(group, multicast::leave_source(socket, group.0, group.1, *source));
                }
                keeps
            });
            true
        });
    }

    /// Joins on sockets other than `taken`: a socket can be in a group only once. All or nothing.
    fn join_parts(&mut self, group: Group, sources: &BTreeSet<IpAddr>, taken: &[usize]) -> Result<Vec<Part>, Refused> {
        let sources: Vec<IpAddr> = sources.iter().copied().collect();
        let mut taken = taken.to_vec();
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = sources.as_slice();
        loop {
            let piece = rest.len().min(self.limit_of_sources(group));
            match self.join_part(group, &rest[..piece], &taken) {
                Ok(part) => {
                    rest = &rest[part.sources.len()..];
                    taken.push(part.socket);
                    parts.push(part);
                }
                Err(error) => {
                    for part in &parts {
                        self.leave_part(group, part);
                    }
                    return Err(error);
                }
            }
            if rest.is_empty() {
                return Ok(parts);
            }
        }
    }

    /// Joins on the first socket that takes the group, or on a new one; fewer sources than asked when a socket is full.
    fn join_part(&mut self, group: Group, sources: &[IpAddr], taken: &[usize]) -> Result<Part, Refused> {
        let v4 = group.1.is_ipv4();
        loop {
            let free = self.with_room[family(v4)].iter().find(|socket| !taken.contains(socket)).copied();
            let socket = match free {
                Some(socket) => socket,
                None => self.open(v4)?,
            };
            let candidate = &mut self.sockets[socket];
            match candidate.take(group, sources) {
                Ok(joined) => {
                    candidate.groups += 1;
                    self.look_for_room(socket);
                    return Ok(Part { socket, sources: sources[..joined].to_vec() });
                }
                // Its memory is used up. An empty socket that refuses will not be better the next time.
                Err(error) if is_full(&error) && candidate.groups > 0 => {
                    candidate.room = candidate.groups;
                    self.look_for_room(socket);
                }
                Err(error) => return Err(Refused::Join(error)),
            }
        }
    }

    fn open(&mut self, v4: bool) -> Result<usize, Refused> {
        let socket = self.sockets.len();
        self.sockets.push(MembershipSocket::open(self.next_tag, v4, self.limits.groups)?);
        self.next_tag += 1;
        self.look_for_room(socket);
        Ok(socket)
    }

    fn look_for_room(&mut self, socket: usize) {
        let MembershipSocket { v4, room, groups, .. } = self.sockets[socket];
        let with_room = &mut self.with_room[family(v4)];
        if groups < room {
            with_room.insert(socket)
        } else {
            with_room.remove(&socket)
        };
    }

    fn limit_of_sources(&self, group: Group) -> usize {
        if group.1.is_ipv4() { self.limits.sources_v4 } else { self.limits.sources_v6 }
    }

    fn leave_part(&mut self, group: Group, part: &Part) {
        let socket = &mut self.sockets[part.socket];
        forget(group, multicast::leave(&socket.descriptor, group.0, group.1));
        socket.room = self.limits.groups;
        socket.groups -= 1;
        self.look_for_room(part.socket);
    }
}

/// Where sockets of a family are counted.
const fn family(v4: bool) -> usize {
    if v4 { 0 } else { 1 }
}

fn refused((ifindex, group): Group, error: Refused) -> MembershipError {
    match error {
        Refused::Socket(source) => MembershipError::Socket(source),
        Refused::Join(source) => MembershipError::Join { ifindex, group, source },
    }
}

/// What several relays want of their groups together: all sources that any of them names, or any source as soon as one
/// of them names none. The map's entries are what [`Memberships::join`] takes.
#[must_use]
pub fn union(wanted: impl IntoIterator<Item = (u32, IpAddr, Vec<IpAddr>)>) -> BTreeMap<Group, Vec<IpAddr>> {
    let mut union: BTreeMap<Group, Option<BTreeSet<IpAddr>>> = BTreeMap::new();
    for (ifindex, group, sources) in wanted {
        let all = union.entry((ifindex, group)).or_insert_with(|| Some(BTreeSet::new()));
        match all {
            Some(all) if !sources.is_empty() => all.extend(sources),
            _ => *all = None,
        }
    }
    union.into_iter().map(|(group, sources)| (group, sources.into_iter().flatten().collect())).collect()
}

#[cfg(test)]
mod tests;
