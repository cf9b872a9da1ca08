//! Sockets that lanes lack: a queue without one is pending by itself.

use super::{LANES_ANSWER_NS, Strictness};
use crate::crew::{Patience, Trouble};
use crate::node::Node;
use crate::sockets::{Need, Uses};
use relay_common::facts::Facts;
use relay_common::plan::Relay;
use relay_engine::xsk::socket::SocketError;
use std::collections::{BTreeMap, BTreeSet};

impl Node {
    /// Gives lanes the sockets that they lack. Adds the queues that have none, and why: as long as another of its link works
    /// the link does, and loses nothing for it. Where the user demands it, the first that lacks for what is new ends the change.
    pub(super) async fn take_sockets(
        &mut self,
        needed: &BTreeMap<Need, Uses>,
        strictness: Strictness,
        facts: &mut Facts,
    ) -> anyhow::Result<()> {
        let mut lacking: BTreeMap<&str, String> = BTreeMap::new();
        let mut waited_for: BTreeSet<&str> = BTreeSet::new();
        for (need, uses) in needed {
            let link = need.link.as_str();
            if facts.unusable.contains_key(link) {
                continue;
            }
            let before = self.crew.socket(need).map(|socket| socket.output);
            if before.is_none_or(|before| before != uses.output) {
                self.progress.go_on()?;
                let what = format!("giving lane {} a socket on {link} queue {}", need.lane, need.queue);
                self.progress.step_within(what, LANES_ANSWER_NS);
            }
            let trouble = match before {
                None => {
                    // Another program that has one of a link's queues has the others too, and is not waited for at each look.
                    let waits = !waited_for.contains(link) && !self.facts.lacks_socket(link, need.queue);
                    let patience = if waits { Patience::UntilFree } else { Patience::None };
                    let taken = self.take_socket(need, uses.output, needed, (strictness, patience)).await;
                    if waits && matches!(taken, Err(Trouble::Socket(SocketError::InUse { .. }))) {
                        waited_for.insert(link);
                    }
                    taken.err()
                }
                Some(before) if before != uses.output => {
                    let failed = self.crew.use_as(need, uses.output).await.err();
                    facts.unusable.extend(failed.as_ref().map(|error| (link.to_owned(), error.to_string())));
                    failed
                }
                Some(_) => None,
            };
            let Some(trouble) = trouble else { continue };
            let is_others = matches!(trouble, Trouble::Socket(SocketError::InUse { .. }));
            let ends = match strictness {
                Strictness::Demands => self.is_new_use(need, *uses),
                Strictness::Begins => !is_others,
                Strictness::Tolerates | Strictness::TakesBack => false,
            };
            if ends {
                return Err(trouble.into());
            }
            facts.unserved.insert((link.to_owned(), need.queue), trouble.to_string());
            lacking.entry(link).or_insert_with(|| trouble.to_string());
        }
        let has_one = |link: &str| needed.keys().any(|need| need.link == link && self.crew.socket(need).is_some());
        lacking.retain(|link, _| !has_one(link));
        facts.unusable.extend(lacking.into_iter().map(|(link, why)| (link.to_owned(), why)));
        Ok(())
    }

    /// Whether nothing in force uses that link so.
    fn is_new_use(&self, need: &Need, uses: Uses) -> bool {
        let is_sent_to = |relay: &Relay| relay.outputs.iter().any(|output| output.interface == need.link);
        let is_used = |relay: &Relay| {
            uses.is_input && relay.input.interface == need.link || uses.output.is_some() && is_sent_to(relay)
        };
        !self.plan.relays.iter().filter(|relay| relay.enabled).any(is_used)
    }

    async fn take_socket(
        &mut self,
        need: &Need,
        output: Option<u16>,
        needed: &BTreeMap<Need, Uses>,
        (strictness, patience): (Strictness, Patience),
    ) -> Result<(), Trouble> {
        let is_there = |other: &Need| other == need || self.crew.socket(other).is_some();
        let own = needed.iter().filter(|(other, _)| other.lane == need.lane && is_there(other));
        self.crew.check_frames(need.lane, own.map(|(_, uses)| *uses))?;
        // What nobody waits for is tried again anyway.
        let waits = matches!(strictness, Strictness::Demands | Strictness::Begins);
        self.crew.take(need, output, waits, patience).await
    }
}
