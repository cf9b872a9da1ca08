//! From one state to the next: sockets that are new, the table and the maps, programs on links that are new, and then
//! away with what nobody needs. A change that fails is taken back by reaching for the state before it.

mod down; // links that are down
mod take; // sockets that lanes lack
mod world; // the effects of a change

use super::apply::apply;
use super::attach::Unattached;
use super::memo::Memo;
use super::node::Node;
use super::origins::Origins;
use super::own_ports;
use super::sockets::{Need, Uses, needs, would_be_cut};
use super::tried::Tried;
use crate::bpf::program::Program;
use anyhow::Context as _;
use relay_common::facts::{Facts, Link};
use relay_common::plan::Plan;
use relay_common::table::{Change, Kernel, NewOwners, Placement, Table, diff, towards};
use relay_engine::clock::now_ns;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use world::{World, hold_memberships};

/// So long the kernel is waited for when it is asked for its links.
const KERNEL_ANSWERS_NS: u64 = 20_000_000_000;
/// Lanes have so long to answer before they are ended, one after the other, and a busy queue to come free.
const LANES_ANSWER_NS: u64 = 20_000_000_000;
/// So long nothing is looked at the long way while the links are what they were.
const LOOKED_AFTER_NS: u64 = 30_000_000_000;
/// A driver that resets its link for a program takes so long at most.
pub(super) const DRIVER_RESETS_NS: u64 = 10_000_000_000;

/// Why a state could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreached {
    /// It does not fit this node.
    #[error("{}", .0.join("; "))]
    Conflict(Vec<String>),
    /// Something on the way failed; the state before is in force again.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// Something on the way failed, and so did the way back: control goes on trying.
    #[error("{failed:#}; and what was before could not be brought back yet: {back:#}")]
    Torn {
        /// What failed.
        failed: anyhow::Error,
        /// Why it could not be taken back.
        back: anyhow::Error,
    },
}

impl Node {
    /// Carries out a change of the plan. Refused or failed, everything is as it was.
    ///
    /// # Errors
    /// Why not.
    pub async fn change(&mut self, plan: Plan, origins: &Origins) -> Result<(), Unreached> {
        let facts = self.read_facts(&plan).await.map_err(Unreached::Failed)?;
        self.progress.step("looking whether it fits this node");
        let place = Placement::new(&plan, &facts, Some(&self.place));
        let refused = self.tried.refused(&plan, &facts, &place, &self.table);
        if !refused.is_empty() {
            return Err(Unreached::Conflict(refused));
        }
        let before = self.plan.clone();
        let Err(failed) = self.reach(plan, facts.clone(), origins, Strictness::Demands).await else { return Ok(()) };
        if self.progress.is_ending() {
            // Everything is taken down in a moment.
            return Err(Unreached::Failed(failed));
        }
        match self.reach(before, facts, origins, Strictness::TakesBack).await {
            Ok(()) => Err(Unreached::Failed(failed)),
            Err(back) => Err(Unreached::Torn { failed, back }),
        }
    }

    /// Brings the plan into force that a node begins with. A link that another program uses keeps nothing else dark.
    ///
    /// # Errors
    /// Why not.
    pub async fn begin_with(&mut self, plan: Plan, origins: &Origins) -> anyhow::Result<()> {
        let facts = self.read_facts(&plan).await?;
        self.reach(plan, facts, origins, Strictness::Begins).await
    }

    /// Reads the links again and carries out what that changes. Says whether there was anything to do: with thousands of
    /// relays it takes long to find that out the long way, which is done now and then whatever the links say, or if asked for.
    ///
    /// # Errors
    /// What failed on the way; it is tried again at the next look.
    pub async fn follow_links(&mut self, origins: &Origins, anyway: bool) -> anyhow::Result<bool> {
        let plan = self.plan.clone();
        let mut facts = self.read_facts(&plan).await?;
        if !anyway && self.is_settled(&mut facts) {
            return Ok(false);
        }
        self.reach(plan, facts, origins, Strictness::Tolerates).await.map(|()| true)
    }

    /// Whether everything is as it should be, and the links are what they were then. What could not be done is tried again
    /// at each look.
    fn is_settled(&mut self, facts: &mut Facts) -> bool {
        let Some((at, restarts)) = &self.settled else { return false };
        if now_ns().saturating_sub(*at) > LOOKED_AFTER_NS || *restarts != self.crew.restarts() {
            return false;
        }
        let inputs: Vec<Link> = self.place.inputs().filter_map(|(link, _)| facts.link(link).cloned()).collect();
        facts.tags_stripped = self.offloads.keep_tags(inputs.iter());
        let is_whole = self.crew.generation() == self.table.generation && self.kernel == self.table.kernel;
        is_whole
            && *facts == self.facts
            && !self.place.waits()
            && !self.own_ports.lacks_any()
            && !self.has_stale_cards()
    }

    /// What the kernel says now. It does not answer while a driver resets its card, or anybody else holds the lock of all
    /// network settings.
    async fn read_facts(&mut self, plan: &Plan) -> anyhow::Result<Facts> {
        self.progress.step_within("reading links and neighbours", KERNEL_ANSWERS_NS);
        let read = super::facts::read(&self.netlink, &mut self.neighbours, plan);
        let patience = Duration::from_nanos(KERNEL_ANSWERS_NS);
        let late = || format!("the kernel has not told of its links for {} s", patience.as_secs());
        timeout(patience, read).await.with_context(late)?
    }

    async fn reach(
        &mut self,
        plan: Plan,
        facts: Facts,
        origins: &Origins,
        strictness: Strictness,
    ) -> anyhow::Result<()> {
        self.step_to(plan, facts, origins, strictness).await?;
        // The number of an output link that went is free only now that no lane sends by it: it may be another's.
        if self.place.waits() {
            let (plan, facts) = (self.plan.clone(), self.facts.clone());
            self.step_to(plan, facts, origins, strictness).await?;
        }
        Ok(())
    }

    async fn step_to(
        &mut self,
        plan: Plan,
        mut facts: Facts,
        origins: &Origins,
        strictness: Strictness,
    ) -> anyhow::Result<()> {
        self.settled = None;
        self.progress.step_within("taking sockets away from lanes", LANES_ANSWER_NS);
        self.crew.finish_drops().await?;
        self.progress.step("placing links and queues");
        let place = self.tried.place(&plan, &facts);
        let place = place.unwrap_or_else(|| Placement::new(&plan, &facts, Some(&self.place)));
        let brought = self.bring_into_force(&plan, &mut facts, &place, origins, strictness).await;
        if brought.is_err() {
            self.place.note_tried(&place);
            self.tried = Tried::default();
        }
        // Also what a change that failed has opened.
        self.crew.forget_all(self.memberships.give_up_empty()).await;
        brought?;
        (self.plan, self.facts, self.place) = (plan, facts, place.settled());
        // Fresh facts know of no link that cannot be used, and of no queue without a socket: then they differ at each look.
        self.settled = Some((now_ns(), self.crew.restarts()));
        Ok(())
    }

    async fn bring_into_force(
        &mut self,
        plan: &Plan,
        facts: &mut Facts,
        place: &Placement,
        origins: &Origins,
        strictness: Strictness,
    ) -> anyhow::Result<()> {
        let inputs = place.inputs().filter_map(|(link, _)| facts.link(link));
        facts.tags_stripped = self.offloads.keep_tags(inputs);
        let needed = needs(plan, place, facts);
        self.drop_sockets_in_the_way(&needed, facts).await?;
        let cut = would_be_cut(plan, place, facts);
        if strictness == Strictness::Demands
            && let Some((_, error)) = cut.iter().find(|(link, _)| !self.facts.unusable.contains_key(*link))
        {
            anyhow::bail!("{error}");
        }
        facts.unusable = cut.into_iter().map(|(link, error)| (link, error.to_string())).collect();
        self.take_sockets(&needed, strictness, facts).await?;
        self.fill_table(plan, facts, place, origins, strictness).await?;
        self.progress.step_within("emptying the cards of links that are down", LANES_ANSWER_NS);
        self.empty_cards_of_links_that_are_down(&needed, facts, place).await?;
        self.progress.step("attaching the XDP program to links");
        let troubled = self.attach(plan, facts, place).await;
        let ends = |link: &String, problem: &Unattached| match strictness {
            Strictness::Demands => !self.facts.unusable.contains_key(link),
            Strictness::Begins => !problem.is_others,
            Strictness::Tolerates | Strictness::TakesBack => false,
        };
        if let Some((_, problem)) = troubled.iter().find(|(link, problem)| ends(link, problem)) {
            anyhow::bail!("{}", problem.text);
        }
        if !troubled.is_empty() {
            facts.unusable.extend(troubled.into_iter().map(|(link, problem)| (link, problem.text)));
            self.fill_table(plan, facts, place, origins, strictness).await?;
        }
        self.progress.step_within("taking away what nobody needs", LANES_ANSWER_NS);
        self.detach_what_nobody_needs(place).await;
        self.drop_sockets_that_nobody_needs(&needed).await;
        self.offloads.restore(|link| place.input(link).is_some());
        Ok(())
    }

    /// Away with sockets of links that are gone or were made anew, and of queues that want another: nothing comes in on
    /// the first any more, and a queue has one socket.
    async fn drop_sockets_in_the_way(&mut self, needed: &BTreeMap<Need, Uses>, facts: &Facts) -> anyhow::Result<()> {
        let is_alive = |need: &Need| facts.links.iter().any(|l| l.ifindex == need.ifindex && l.name == need.link);
        let is_wanted_otherwise = |need: &Need| {
            let same_queue = |other: &Need| other.ifindex == need.ifindex && other.queue == need.queue;
            needed.keys().any(|other| same_queue(other) && other != need)
        };
        let sockets: Vec<Need> = self.crew.sockets().into_iter().map(|socket| socket.need.clone()).collect();
        for need in sockets.iter().filter(|need| !is_alive(need) || is_wanted_otherwise(need)) {
            self.crew.drop_socket(need).await?;
        }
        Ok(())
    }

    /// Compiles the table and brings it into force; the memo first, so that no successor knows less than the lanes.
    async fn fill_table(
        &mut self,
        plan: &Plan,
        facts: &Facts,
        place: &Placement,
        origins: &Origins,
        strictness: Strictness,
    ) -> anyhow::Result<()> {
        self.progress.step("compiling the table");
        self.give_queues_their_sockets(place)?;
        let mut compiled = self.tried.take(plan, facts, place, &self.table);
        // What the lanes run counts: a failed attempt has used up a number, and a predecessor may have written one down
        // that it did not come to use. The half of the table that lanes read is that of their number.
        compiled.table.generation = self.crew.generation() + 1;
        let is_whole = self.crew.generation() == self.table.generation && self.kernel == self.table.kernel;
        // After a change that failed half-way what is in force is no table: start from what lies in the kernel.
        let changes = if is_whole {
            diff(&self.table, &compiled.table)
        } else {
            towards(&self.kernel, &self.table, &compiled.table)
        };
        if changes.is_empty() {
            // Names and switches that no lane reads may differ all the same.
            compiled.table.generation = self.table.generation;
        }
        let mut owners = NewOwners::between(&self.table, &compiled.table);
        if self.crew.runs(self.table.generation) {
            self.crew.clear(&owners.of_free);
        } else {
            // After a change that failed half-way, lanes may count where this table knows nobody.
            owners.of_taken.append(&mut owners.of_free);
        }
        if compiled.table.relays != self.table.relays || *place != self.place || !changes.is_empty() {
            self.progress.step("writing down what a successor needs");
            self.write_memo(&compiled.table, place, origins)?;
        }
        let wanted_ports = own_ports::wanted(&compiled.table, facts);
        let new_ports = self.own_ports.bind(&wanted_ports);
        if !new_ports.is_empty() {
            self.crew.hold_all(new_ports).await;
        }
        if !changes.is_empty() {
            let Self { crew, program, memberships, kernel, progress, .. } = self;
            progress.step_within("having the lanes hold sockets of groups", LANES_ANSWER_NS);
            // Held before they are joined on, and all in one go: no death of control leaves a group, and a lane that hangs
            // is waited for once.
            memberships.make_room(changes.iter().filter_map(Change::as_join))?;
            hold_memberships(crew, memberships).await;
            let takes_back = strictness == Strictness::TakesBack;
            let mut world = World { crew, program, memberships, takes_back, handed_on: &owners.of_taken };
            apply(&mut world, kernel, &changes, &compiled.table, progress).await?;
            tracing::info!(generation = compiled.table.generation, changes = changes.len(), "applied");
            compiled.table.generation = self.crew.generation();
        }
        self.crew.forget_all(self.own_ports.release(&wanted_ports)).await;
        self.table = Arc::new(compiled.table);
        self.pending = Arc::new(compiled.pending);
        Ok(())
    }

    pub(super) fn write_memo(&mut self, table: &Table, place: &Placement, origins: &Origins) -> anyhow::Result<()> {
        let memo = Memo {
            object: self.runs.object.clone(),
            program_place: self.runs.place,
            binary: self.lanes_run.clone(),
            restarts: self.crew.restarts(),
            starts: self.crew.starts(),
            lane_users: self.crew.users(),
            pipes: self.crew.outputs(),
            unkept: self.unkept.clone(),
            ..Memo::of(table, place)
        };
        self.memo.write(&memo, table, origins).context("cannot write down what a successor needs")
    }

    /// Writes down what a successor needs, as it is now.
    pub(super) fn remember(&mut self, origins: &Origins) -> anyhow::Result<()> {
        let (table, place) = (self.table.clone(), self.place.clone());
        self.write_memo(&table, &place, origins)
    }

    fn give_queues_their_sockets(&mut self, place: &Placement) -> anyhow::Result<()> {
        use std::os::fd::AsFd as _;
        for socket in self.crew.sockets().into_iter().filter(|socket| socket.need.receives) {
            let Some(at) = place.input(&socket.need.link) else { continue };
            // A lane that was taken over may say that it has any queue; it gets what is its own.
            if place.lane(&socket.need.link, socket.need.queue, self.crew.lanes.n_lanes()) != socket.need.lane {
                continue;
            }
            self.program.put_socket(at.socket_base() + socket.need.queue, socket.bound.fd.as_fd())?;
        }
        Ok(())
    }

    async fn drop_sockets_that_nobody_needs(&mut self, needed: &BTreeMap<Need, Uses>) {
        let sockets: Vec<Need> = self.crew.sockets().into_iter().map(|socket| socket.need.clone()).collect();
        for need in sockets.iter().filter(|need| !needed.contains_key(need)) {
            // It does no harm until it can be taken away.
            if let Err(trouble) = self.crew.drop_socket(need).await {
                tracing::warn!(link = %need.link, queue = need.queue, "a socket stays for now: {trouble}");
            }
        }
    }
}

/// What to make of a link that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strictness {
    /// Somebody asked for it and waits for the answer: it is an error.
    Demands,
    /// A node begins: it is an error, but that another program uses a link, whose relays wait for it.
    Begins,
    /// The rest works: what uses the link is pending.
    Tolerates,
    /// As before; and a lane that hangs may be left where it is, because what it reads is what is brought back.
    TakesBack,
}

/// What a successor finds in the kernel's maps.
pub(super) fn found_in_kernel(program: &Program) -> anyhow::Result<Kernel> {
    let (inputs, sources, own_macs) = (program.inputs()?, program.sources()?, program.own_macs()?);
    Ok(Kernel { inputs, sources, own_macs, joins: BTreeMap::new() })
}

/// The eBPF object of this binary, by its hash.
#[must_use]
pub(super) fn object() -> String {
    let hash = Program::object_hash()
        .map_or_else(|_| String::new(), |hash| hash.iter().map(|byte| format!("{byte:02x}")).collect());
    // For tests: every binary has another.
    if cfg!(feature = "chaos") && std::env::var_os("MCR_CHAOS_OBJECT").is_some() {
        return hash + &super::upgrade::own_binary();
    }
    hash
}
