//! Hardware addresses of unicast destinations: routes are looked up, and the kernel is asked to keep the neighbours.

use super::event::LinkEvent;
use super::netlink::{LinkError, Netlink};
use relay_common::facts::Neighbour;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A unicast destination as outputs name it: the index of the output's link, and the address.
pub type Destination = (u32, IpAddr);

/// The unicast destinations that are wanted, and what is known of each.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// The next hop of each destination; `None` while no route leads there.
    wanted: BTreeMap<Destination, Option<IpAddr>>,
    /// Those whose route was not looked up yet.
    unasked: BTreeSet<Destination>,
    /// By link and next hop, what is known of it.
    hops: BTreeMap<Destination, Hop>,
    /// That the kernel has no room for more, and what helps.
    full: Option<String>,
}

/// What is known of a next hop.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    /// Its last hardware address, which stays while the kernel asks for it again.
    mac: Option<[u8; 6]>,
    /// Whether the kernel has that address now.
    fresh: bool,
}

impl Neighbours {
    /// Nothing wanted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes these the wanted destinations, looks up the routes of those that are new, and has the kernel keep every next
    /// hop. What is wanted no longer is let go of. To be called every few seconds: the kernel forgets what it was asked to
    /// keep when a link loses its carrier, and kernels before 5.16 keep nothing.
    ///
    /// # Errors
    /// The first answer that the kernel did not give; everything else was done.
    pub async fn want(&mut self, netlink: &Netlink, wanted: &BTreeSet<Destination>) -> Result<(), LinkError> {
        self.wanted.retain(|destination, _| wanted.contains(destination));
        self.unasked.retain(|destination| wanted.contains(destination));
        for destination in wanted.iter().filter(|destination| !self.wanted.contains_key(destination)) {
            self.unasked.insert(*destination);
        }
        for destination in &self.unasked {
            self.wanted.entry(*destination).or_default();
        }
        let routes = self.look_up(netlink).await;
        self.release_unwanted(netlink).await;
        routes.and(self.keep(netlink).await)
    }

    /// Every route may be another: links, addresses or routes have changed.
    pub fn doubt_routes(&mut self) {
        self.unasked = self.wanted.keys().copied().collect();
    }

    /// Looks up the routes that nobody has asked for yet. One that cannot be had stays as it was, and is asked for again.
    async fn look_up(&mut self, netlink: &Netlink) -> Result<(), LinkError> {
        let mut result = Ok(());
        let unasked: Vec<Destination> = self.unasked.iter().copied().collect();
        for destination in unasked {
            let (ifindex, address) = destination;
            match netlink.route(address, ifindex).await {
                Ok(found) => {
                    self.wanted.insert(destination, found);
                    self.unasked.remove(&destination);
                }
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// Has the kernel keep every next hop. Those that it keeps cost one question together.
    async fn keep(&mut self, netlink: &Netlink) -> Result<(), LinkError> {
        let used = self.used();
        if used.is_empty() {
            self.note_room(None);
            return Ok(());
        }
        let entries = netlink.neighbours().await?;
        let (mut result, mut full) = (Ok(()), None);
        for (ifindex, next_hop) in used {
            let found = match entries.get(&(ifindex, next_hop)) {
                Some(entry) if entry.is_kept => Ok(entry.mac),
                _ => {
                    if let Err(error) = netlink.keep_neighbour(ifindex, next_hop).await {
                        full = full.or_else(|| told_of_room(&error));
                        result = result.and(Err(error));
                    }
                    netlink.neighbour(ifindex, next_hop).await
                }
            };
            let hop = self.hops.entry((ifindex, next_hop)).or_default();
            match found {
                Ok(found) => *hop = Hop { mac: found.or(hop.mac), fresh: found.is_some() },
                Err(error) => result = result.and(Err(error)),
            }
        }
        self.note_room(full);
        result
    }

    /// Tells once that there is no room.
    fn note_room(&mut self, full: Option<String>) {
        if let Some(text) = full.as_deref().filter(|_| self.full.is_none()) {
            tracing::warn!("a unicast output waits for its neighbour: {text}");
        }
        self.full = full;
    }

    /// Why neighbours are missing that nobody would miss otherwise.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.full.as_deref()
    }

    /// The next hops that destinations have.
    fn used(&self) -> BTreeSet<Destination> {
        self.wanted.iter().filter_map(|((ifindex, _), next_hop)| Some((*ifindex, (*next_hop)?))).collect()
    }

    /// Lets go of next hops that no destination has. One that merely has no route now stays known.
    async fn release_unwanted(&mut self, netlink: &Netlink) {
        let used = self.used();
        let links_without_route: BTreeSet<u32> =
            self.wanted.iter().filter(|(_, next_hop)| next_hop.is_none()).map(|((ifindex, _), _)| *ifindex).collect();
        let unused: Vec<Destination> = self
            .hops
            .keys()
            .filter(|hop| !used.contains(hop) && !links_without_route.contains(&hop.0))
            .copied()
            .collect();
        for hop in unused {
            self.hops.remove(&hop);
            // A neighbour that the kernel keeps for nobody costs a question now and then, and nothing else.
            if let Err(error) = netlink.release_neighbour(hop.0, hop.1).await {
                tracing::debug!(ifindex = hop.0, next_hop = %hop.1, %error, "a neighbour stays kept");
            }
        }
    }

    /// Takes in a notice. Answers what it changed.
    pub fn learn(&mut self, event: &LinkEvent) -> Learned {
        let LinkEvent::NeighbourChanged { ifindex, address, mac } = event else { return Learned::Nothing };
        let Some(hop) = self.hops.get_mut(&(*ifindex, *address)) else { return Learned::Nothing };
        let before = std::mem::replace(hop, Hop { mac: mac.or(hop.mac), fresh: mac.is_some() });
        match (before.fresh, hop.fresh) {
            (_, true) if before.mac != hop.mac => Learned::Address,
            // Told once: a neighbour that stays away fails again and again.
            (true, false) => Learned::Lost,
            _ => Learned::Nothing,
        }
    }

    /// What is known, for the compiler of tables. A destination that no route leads to is left out.
    #[must_use]
    pub fn facts(&self) -> Vec<Neighbour> {
        let fact = |(&(ifindex, destination), next_hop): (&Destination, &Option<IpAddr>)| {
            let next_hop = (*next_hop)?;
            let mac = self.hops.get(&(ifindex, next_hop)).and_then(|hop| hop.mac);
            Some(Neighbour { ifindex, destination, next_hop, mac })
        };
        self.wanted.iter().filter_map(fact).collect()
    }
}

fn told_of_room(error: &LinkError) -> Option<String> {
    matches!(error, LinkError::NeighboursFull { .. }).then(|| error.to_string())
}

/// What a notice changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// Nothing that is wanted.
    Nothing,
    /// A hardware address: tables must be compiled again.
    Address,
    /// The kernel has no address any more, or no entry: [`Neighbours::want`] should follow soon.
    Lost,
}

#[cfg(test)]
mod tests;
