//! Links, neighbours and memberships against a real kernel, in network namespaces of their own.

#[cfg(test)]
#[path = "netns_link/events.rs"]
mod events;
#[cfg(test)]
#[path = "netns_link/facts.rs"]
mod facts;
#[cfg(test)]
#[path = "netns_link/levels.rs"]
mod levels;
#[cfg(test)]
#[path = "netns_link/memberships.rs"]
mod memberships;
#[cfg(test)]
#[path = "netns_link/neighbours.rs"]
mod neighbours;
#[cfg(test)]
#[path = "netns_link/wire.rs"]
mod wire;
