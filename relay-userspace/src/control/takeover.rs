//! Taking over from a control that died, or that became a newer binary: the lanes hold everything, and only what
//! differs from what should be is changed.

use super::attach::Hold;
use super::book::Book;
use super::crew::Crew;
use super::facts;
use super::membership::Memberships;
use super::memo::{Memo, Pages};
use super::node::{Node, Start};
use super::process::{self, LaneProcess, Shown};
use super::upgrade;
use super::vault::{Vault, tag};
use crate::kernel::program::{Loading, Program};
use crate::link::neighbour::Neighbours;
use crate::link::netlink::Netlink;
use anyhow::Context as _;
use relay_common::plan::{Lanes, Plan};
use relay_common::table::Kernel;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// Lanes that relay without a control, and what they hold.
#[derive(Debug)]
pub struct Orphans {
    lanes: Vec<(LaneProcess, Shown)>,
    vault: Vault,
    memo: Pages,
    /// What the dead control wrote down.
    pub noted: Memo,
}

impl Orphans {
    /// Looks for lanes that a dead control left. None of them is changed.
    ///
    /// # Errors
    /// When there are lanes that cannot be taken over, with the remedy.
    pub async fn find(start: &Start) -> anyhow::Result<Option<Self>> {
        let mut lanes = Vec::new();
        for door in process::find_doors(&start.run_dir).context("cannot look for lanes of a control that died")? {
            lanes.extend(process::adopt(&door, &start.events).await?);
        }
        if lanes.is_empty() {
            return Ok(None);
        }
        lanes.sort_by_key(|(_, shown)| shown.outfit.number);
        let mut vault = Vault::default();
        for (_, shown) in &mut lanes {
            vault.0.extend(std::mem::take(&mut shown.held));
        }
        let copy = |tag: u64| -> anyhow::Result<OwnedFd> {
            let held = vault.0.get(&tag).context("the lanes that run hold no memo: end them (mcr stop) and start anew")?;
            Ok(held.fd.try_clone()?)
        };
        let [first, second] = tag::MEMO;
        let (memo, noted) = Pages::taken_over([copy(first)?, copy(second)?]);
        Ok(Some(Self { lanes, vault, memo, noted: noted.unwrap_or_default() }))
    }

    /// How the lanes run: what the configuration says of it counts from the next start on.
    #[must_use]
    pub fn lanes(&self, configured: &Lanes) -> Lanes {
        let Some((_, first)) = self.lanes.first() else { return configured.clone() };
        let cores = self.lanes.iter().map(|(_, shown)| shown.outfit.core).collect::<Option<Vec<u32>>>();
        Lanes { cores: cores.unwrap_or_default(), ..first.outfit.lanes(configured) }
    }

    /// Goes on where the dead control stood. When this returns, what runs is what should.
    ///
    /// # Errors
    /// When that cannot be; the lanes relay on as they did.
    pub async fn take_over(self, book: &Book, start: &Start) -> anyhow::Result<Node> {
        let Self { lanes: found, vault, memo, noted } = self;
        let plan = book.plan();
        let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
        let mut neighbours = Neighbours::new();
        let facts = facts::read(&netlink, &mut neighbours, &plan).await?;
        let attached = attached(&vault);
        let old_memberships: Vec<u64> = vault.range(tag::MEMBERSHIP).map(|(tag, _)| tag).collect();
        let next_membership = old_memberships.last().map_or(tag::MEMBERSHIP, |last| last + 1);
        let is_same_object = noted.object == Program::object_hash();
        let parts = (tag::PROGRAM..).zip(Program::PARTS).filter_map(|(tag, name)| {
            let fd = vault.0.get(&tag)?.fd.try_clone().ok()?;
            Some((name, fd))
        });
        let program = if is_same_object {
            Program::adopt(parts)?
        } else {
            tracing::info!("the XDP program is another: it replaces the one that runs");
            Program::load(Loading { max_relays: plan.lanes.max_relays, debug: start.debug })?
        };
        let kernel = if is_same_object { super::reach::found_in_kernel(&program)? } else { Kernel::default() };
        let room = (plan.lanes.max_relays, plan.lanes.max_outputs);
        let crew = Crew::taken_over(found, vault, plan.lanes.clone(), &noted.restarts, &facts, start)?;
        let mut node = Node {
            plan: Plan { relays: Vec::new(), ..plan.clone() },
            table: noted.table(room),
            pending: Vec::new(),
            crew,
            facts,
            place: noted.place(),
            program,
            memberships: Memberships::default(),
            held_memberships: (next_membership, 0),
            kernel,
            neighbours,
            netlink,
            attached,
            memo,
            lanes_run: noted.binary.clone(),
        };
        node.hold_for_successors().await?;
        if let Err(error) = node.go_on(book, &plan).await {
            tracing::error!("not everything is as it should be yet: {error:#}; trying again");
        }
        if !is_same_object {
            node.replace_programs().await?;
        }
        // The groups are joined on sockets of our own by now: those of the dead can go without a leave on the wire.
        for tag in old_memberships {
            node.crew.forget(tag).await;
        }
        node.renew_lanes(book).await?;
        Ok(node)
    }
}

/// What is attached to links, as far as the lanes hold it.
fn attached(vault: &Vault) -> BTreeMap<String, Hold> {
    let one = |(tag, held): (u64, &super::vault::Held)| {
        let ifindex = u32::try_from(tag - tag::ATTACHED).ok()?;
        Hold::taken_over(ifindex, held.fd.try_clone().ok()?, &held.note)
    };
    vault.range(tag::ATTACHED).filter_map(one).collect()
}

impl Node {
    async fn go_on(&mut self, book: &Book, plan: &Plan) -> anyhow::Result<()> {
        let origins = book.origins();
        self.plan = plan.clone();
        self.follow_links(&origins).await
    }

    /// Lanes of another binary are renewed, one by one.
    async fn renew_lanes(&mut self, book: &Book) -> anyhow::Result<()> {
        let own = upgrade::own_binary();
        if self.lanes_run == own {
            return Ok(());
        }
        for number in 0..self.crew.lanes.n_lanes() {
            self.crew.renew(number).await.with_context(|| format!("lane {number} could not be renewed"))?;
        }
        self.lanes_run = own;
        let (table, place) = (self.table.clone(), self.place.clone());
        self.write_memo(&table, &place, &book.origins())
    }
}
