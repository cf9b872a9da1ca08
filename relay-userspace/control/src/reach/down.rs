//! Links that are down: what a card has of their packets is thrown away, with its socket.
//!
//! In zero-copy a card sends what it has when its link is up again, however old that is, and only the kernel can take it
//! from the card. So the socket is dropped and another one takes its place, while the link is down and nothing is lost by it.

use super::{Need, Node, Uses};
use crate::station::LaneSocket;
use relay_common::facts::Facts;
use relay_common::table::Placement;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Node {
    /// No lane puts a packet on a ring of such a link any more: the table says so, and is in force.
    pub(super) async fn empty_cards_of_links_that_are_down(
        &mut self,
        needed: &BTreeMap<Need, Uses>,
        facts: &Facts,
        place: &Placement,
    ) -> anyhow::Result<()> {
        let ring_size = self.crew.lanes.ring_size;
        let has_stale = |socket: &Arc<LaneSocket>| {
            let LaneSocket { need, output, bound, .. } = &**socket;
            output.is_some() && bound.zero_copy && is_down(need, facts) && needed.contains_key(need)
        };
        // Their needs only: the kernel does not let go of a socket that anybody has open.
        let stale: Vec<(Need, u32)> = {
            let sockets = self.crew.sockets();
            let stale = sockets.iter().filter(|socket| has_stale(socket));
            stale.map(|socket| (socket.need.clone(), socket.under_way(ring_size))).filter(|(_, n)| *n > 0).collect()
        };
        for (need, packets) in &stale {
            let (link, queue) = (&need.link, need.queue);
            match self.crew.empty_card(need).await {
                Ok(()) => {
                    tracing::info!(%link, queue, packets, "thrown away: the link is down, and they would be late")
                }
                // It is taken when links are looked at next.
                Err(trouble) => {
                    tracing::warn!(%link, queue, "a socket of a link that is down is away for now: {trouble}")
                }
            }
        }
        if stale.is_empty() { Ok(()) } else { self.give_queues_their_sockets(place) }
    }
}

impl Node {
    /// Whether a card may hold packets of a link that is down.
    pub(super) fn has_stale_cards(&self) -> bool {
        let is_stale = |socket: &Arc<LaneSocket>| {
            socket.output.is_some() && socket.bound.zero_copy && is_down(&socket.need, &self.facts)
        };
        self.crew.sockets().iter().any(is_stale)
    }
}

/// As the table has it: see [`relay_common::table::PendingReason::LinkDown`].
fn is_down(need: &Need, facts: &Facts) -> bool {
    facts.links.iter().any(|link| link.ifindex == need.ifindex && !(link.up && link.carrier))
}
