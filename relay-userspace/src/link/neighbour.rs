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
    /// By link and next hop, what is known of it.
    hops: BTreeMap<Destination, Hop>,
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

    /// Makes these the wanted destinations and reads everything again. What is wanted no longer is let go of.
    ///
    /// # Errors
    /// The first answer that the kernel did not give; everything else was done.
    pub async fn want(&mut self, netlink: &Netlink, wanted: &BTreeSet<Destination>) -> Result<(), LinkError> {
        self.wanted.retain(|destination, _| wanted.contains(destination));
        for destination in wanted {
            self.wanted.entry(*destination).or_default();
        }
        self.refresh(netlink).await
    }

    /// Looks up every route again and has the kernel keep every next hop. To be called after changes of links,
    /// addresses and routes, when a neighbour's entry went away, and every few seconds: the kernel forgets what it was
    /// asked to keep when a link loses its carrier, and kernels before 5.16 keep nothing.
    ///
    /// # Errors
    /// The first answer that the kernel did not give; everything else was done.
    pub async fn refresh(&mut self, netlink: &Netlink) -> Result<(), LinkError> {
        let mut result = Ok(());
        for ((ifindex, destination), next_hop) in &mut self.wanted {
            match netlink.route(*destination, *ifindex).await {
                Ok(found) => *next_hop = found,
                Err(error) => result = result.and(Err(error)),
            }
        }
        self.release_unwanted(netlink).await;
        for ((ifindex, _), next_hop) in &self.wanted {
            let Some(next_hop) = *next_hop else { continue };
            let kept = netlink.keep_neighbour(*ifindex, next_hop).await;
            let found = netlink.neighbour(*ifindex, next_hop).await;
            let hop = self.hops.entry((*ifindex, next_hop)).or_default();
            match found {
                Ok(found) => *hop = Hop { mac: found.or(hop.mac), fresh: found.is_some() },
                Err(error) => result = result.and(Err(error)),
            }
            if let Err(error) = kept {
                result = result.and(Err(error));
            }
        }
        result
    }

    /// Lets go of next hops that no destination has. One that merely has no route now stays known.
    async fn release_unwanted(&mut self, netlink: &Netlink) {
        let used: BTreeSet<Destination> =
            self.wanted.iter().filter_map(|((ifindex, _), next_hop)| Some((*ifindex, (*next_hop)?))).collect();
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

/// What a notice changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// Nothing that is wanted.
    Nothing,
    /// A hardware address: tables must be compiled again.
    Address,
    /// The kernel has no address any more, or no entry: [`Neighbours::refresh`] should follow soon.
    Lost,
}

#[cfg(test)]
mod tests;
