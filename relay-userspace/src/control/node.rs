//! A node: everything control holds, how it comes up, how it follows the links and how it goes down.
//!
//! Up: facts, table, program, memory and sockets, lanes, memberships, maps, the socket map, and the program is attached
//! last, when everything that a packet needs is there. Down is the other way round: detach first.

use super::crew::Crew;
use super::event::Event;
use super::facts;
use super::membership::Memberships;
use super::station::{LaneSocket, interface};
use crate::kernel::program::{Attached, Loading, Program};
use crate::link::neighbour::Neighbours;
use crate::link::netlink::Netlink;
use crate::report::Report;
use crate::xsk::socket::probe;
use anyhow::{Context, bail};
use relay_common::facts::{Facts, Link};
use relay_common::plan::{Plan, Relay};
use relay_common::table::{Kernel, Pending, Placement, Table, compile, diff, towards};
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Lanes have so long to send what they have when the node goes down.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// Some drivers reset a link when a program is attached; that takes so long at most.
const CARRIER_PATIENCE: Duration = Duration::from_secs(10);
const CARRIER_STEP: Duration = Duration::from_millis(20);
/// A carrier that has stayed for so long after a reset stays.
const CARRIER_STEADY: Duration = Duration::from_secs(1);

/// Whether links have a carrier, and how often that has changed, by name.
type Carriers = BTreeMap<String, (bool, u32)>;

/// Everything control holds.
#[expect(missing_debug_implementations, reason = "aya's types have none")]
pub struct Node {
    /// The plan in force.
    pub plan: Plan,
    /// The table in force.
    pub table: Table,
    /// What cannot work yet.
    pub pending: Vec<Pending>,
    /// All lanes.
    pub crew: Crew,
    pub(super) program: Program,
    pub(super) memberships: Memberships,
    /// What lies in the kernel's maps and memberships.
    pub(super) kernel: Kernel,
    pub(super) neighbours: Neighbours,
    place: Placement,
    facts: Facts,
    /// The links that were there at the start, by name: sockets are bound to these.
    at_start: BTreeMap<String, Link>,
    netlink: Netlink,
    attached: Vec<(String, Attached)>,
}

impl Node {
    /// Brings everything up. When this returns packets flow; when it fails nothing is left behind.
    pub async fn bring_up(plan: Plan, debug: bool, events: UnboundedSender<Event>) -> anyhow::Result<Self> {
        super::crew::check_cores(&plan.lanes)?;
        let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
        let mut neighbours = Neighbours::new();
        let facts = facts::read(&netlink, &mut neighbours, &plan).await?;
        let place = Placement::new(&plan, &facts, None);
        let compiled = compile(&plan, &facts, &place, None);
        if !compiled.refused.is_empty() {
            let texts: Vec<String> = compiled.refused.iter().map(|conflict| format!("  {conflict}")).collect();
            bail!("this configuration does not fit this node:\n{}", texts.join("\n"));
        }
        super::advice::advise(&netlink, &plan, &place).await?;
        let program = Program::load(Loading { max_relays: plan.lanes.max_relays, debug })?;
        let mut crew = Crew::build(&plan, &place, &facts, events)?;
        crew.start()?;
        let empty = Table::empty(plan.lanes.max_relays, plan.lanes.max_outputs);
        let mut node = Self {
            table: empty,
            pending: Vec::new(),
            crew,
            program,
            memberships: Memberships::default(),
            kernel: Kernel::default(),
            neighbours,
            place,
            at_start: facts.links.iter().map(|link| (link.name.clone(), link.clone())).collect(),
            facts,
            netlink,
            attached: Vec::new(),
            plan,
        };
        let changes = towards(&node.kernel, &compiled.table);
        node.apply(&changes, &compiled.table).await?;
        node.table = compiled.table;
        node.tell_pending(compiled.pending);
        node.give_queues_their_sockets()?;
        node.attach().await?;
        Ok(node)
    }

    fn give_queues_their_sockets(&mut self) -> anyhow::Result<()> {
        for post in &self.crew.posts {
            for socket in post.station.sockets.iter().filter(|socket| socket.receives) {
                let Some(place) = self.place.input(&socket.link) else { continue };
                self.program.put_socket(place.socket_base() + socket.queue, socket.bound.fd.as_fd())?;
            }
        }
        Ok(())
    }

    /// Attaches the relay program to input links, and the passing one to output links that only zero-copy needs it on.
    async fn attach(&mut self) -> anyhow::Result<()> {
        let before = self.carriers().await?;
        let inputs: Vec<String> = self.place.inputs().map(|(link, _)| link.to_owned()).collect();
        for name in &inputs {
            let Some(link) = self.facts.link(name) else { continue };
            let attached = self.program.attach(name, link.ifindex, interface(&self.plan, name).mode)?;
            let zero_copy = self.is_zero_copy(name);
            tracing::info!(link = %name, mode = attached.hook.name(), zero_copy, queues = link.n_rx_queues, "input attached");
            self.attached.push((name.clone(), attached));
        }
        let outputs: Vec<String> = self.place.outputs().map(|(link, _)| link.to_owned()).collect();
        for name in outputs.iter().filter(|name| !inputs.contains(name)) {
            let Some(link) = self.facts.link(name) else { continue };
            let zero_copy = self.is_zero_copy(name);
            if self.sockets_of(name).any(|socket| socket.bound.zero_copy) {
                tracing::warn!(link = %name, "zero-copy needs a program on this output link: its driver may reset it for seconds");
                self.attached.push((name.clone(), self.program.attach_pass(name, link.ifindex)?));
            }
            tracing::info!(link = %name, zero_copy, "output ready");
        }
        self.wait_for_carriers(&before).await?;
        self.probe_zero_copy()
    }

    fn sockets_of(&self, link: &str) -> impl Iterator<Item = &LaneSocket> {
        self.crew.posts.iter().flat_map(|post| &post.station.sockets).filter(move |socket| socket.link == link)
    }

    fn is_zero_copy(&self, link: &str) -> bool {
        let mut sockets = self.sockets_of(link);
        sockets.next().is_some_and(|socket| socket.bound.zero_copy) && sockets.all(|socket| socket.bound.zero_copy)
    }

    /// A driver may bind in zero-copy and then not send. It can be asked only now that its link has a program.
    fn probe_zero_copy(&self) -> anyhow::Result<()> {
        let sockets = self.crew.posts.iter().flat_map(|post| &post.station.sockets);
        for socket in sockets.filter(|socket| socket.bound.zero_copy && socket.output.is_some()) {
            let LaneSocket { link, queue, .. } = socket;
            probe(socket.bound.fd.as_fd()).with_context(|| {
                format!("{link} queue {queue} cannot send in zero-copy: use zero_copy = \"never\" for this interface")
            })?;
        }
        Ok(())
    }

    /// The carrier of every link with a program of ours.
    async fn carriers(&self) -> anyhow::Result<Carriers> {
        let readings = self.netlink.readings(None).await?;
        Ok(readings.into_iter().map(|one| (one.link.name, (one.link.carrier, one.carrier_changes))).collect())
    }

    /// Waits until every link that its driver reset for the program has its carrier back for good: after a reset it may
    /// come and go once more.
    async fn wait_for_carriers(&mut self, before: &Carriers) -> anyhow::Result<()> {
        let ours: Vec<&str> = self.attached.iter().map(|(name, _)| name.as_str()).collect();
        let (mut waited, mut steady, mut last) = (Duration::ZERO, Duration::ZERO, Carriers::new());
        while waited < CARRIER_PATIENCE {
            let now = self.carriers().await?;
            let was_reset = |name: &&&str| before.get(**name).is_some_and(|was| was.0 && now.get(**name) != Some(was));
            let mut reset = ours.iter().filter(was_reset).peekable();
            let Some(first) = reset.peek() else { return Ok(()) };
            if waited.is_zero() {
                tracing::info!(link = %first, "waiting for the carrier: this driver resets the link for a program");
            }
            let is_back = reset.all(|name| now.get(*name).is_some_and(|is| is.0 && last.get(*name) == Some(is)));
            steady = if is_back { steady + CARRIER_STEP } else { Duration::ZERO };
            if steady >= CARRIER_STEADY {
                return Ok(());
            }
            last = now;
            tokio::time::sleep(CARRIER_STEP).await;
            waited += CARRIER_STEP;
        }
        tracing::warn!("a link lost its carrier when the program was attached and did not get it back");
        Ok(())
    }

    /// Reads the links again and carries out what that changes.
    pub async fn follow_links(&mut self) -> anyhow::Result<()> {
        let mut facts = facts::read(&self.netlink, &mut self.neighbours, &self.plan).await?;
        // Sockets are bound to the links that were there at the start: a link that has come since, or come back as
        // another, has none.
        let known = |link: &Link| self.at_start.get(&link.name).is_some_and(|first| first.ifindex == link.ifindex);
        let placed = |name: &str| self.place.input(name).is_some() || self.place.output(name).is_some();
        for link in facts.links.iter().filter(|link| !known(link)) {
            let is_wanted = placed(&link.name) || self.plan.relays.iter().any(|relay| uses(relay, &link.name));
            if is_wanted && self.facts.link(&link.name).is_none_or(|before| before.ifindex != link.ifindex) {
                tracing::warn!(link = %link.name, "this link has come since mcr started: restart mcr to use it");
            }
        }
        for link in facts.links.iter().filter(|link| placed(&link.name)) {
            let queues = |link: &Link| (link.n_rx_queues, link.n_tx_queues);
            if self.facts.link(&link.name).is_some_and(|before| queues(before) != queues(link)) {
                let (rx, tx) = queues(link);
                tracing::error!(link = %link.name, rx, tx, "its queues have changed: restart mcr to use them all");
            }
        }
        self.facts = facts.clone();
        facts.links.retain(|link| known(link) || !placed(&link.name));
        for link in &mut facts.links {
            // A queue that has come since has no socket.
            let first = self.at_start.get(&link.name).map_or(link.n_tx_queues, |first| first.n_tx_queues);
            link.n_tx_queues = link.n_tx_queues.min(first);
        }
        self.recompile(&facts).await
    }

    async fn recompile(&mut self, facts: &Facts) -> anyhow::Result<()> {
        let mut compiled = compile(&self.plan, facts, &self.place, Some(&self.table));
        // A number is used once: lanes may still read what a failed attempt wrote.
        compiled.table.generation = compiled.table.generation.max(self.crew.generation() + 1);
        let is_whole = self.crew.generation() == self.table.generation && self.kernel == self.table.kernel;
        // After a change that failed half-way what is in force is no table: start from what lies in the kernel.
        let changes =
            if is_whole { diff(&self.table, &compiled.table) } else { towards(&self.kernel, &compiled.table) };
        if !changes.is_empty() {
            self.apply(&changes, &compiled.table).await?;
            tracing::info!(generation = compiled.table.generation, changes = changes.len(), "applied");
            self.table = compiled.table;
        }
        self.tell_pending(compiled.pending);
        Ok(())
    }

    /// Tells what has become pending and what works again.
    fn tell_pending(&mut self, pending: Vec<Pending>) {
        for new in pending.iter().filter(|new| !self.pending.contains(new)) {
            tracing::warn!("pending: {new}");
        }
        for old in &self.pending {
            if !pending.iter().any(|new| (&new.relay, new.part) == (&old.relay, old.part)) {
                tracing::info!(relay = %old.relay, part = %old.part, "no longer pending");
            }
        }
        self.pending = pending;
    }

    /// What was counted so far.
    pub fn report(&self) -> anyhow::Result<Report> {
        Report::gather(&self.table, &self.crew, self.program.verdicts()?)
    }

    /// Goes down: no new packet comes in, everything that came is sent, then the lanes end and groups are left.
    pub async fn take_down(mut self) -> anyhow::Result<Report> {
        self.attached.clear();
        self.crew.stop(STOP_PATIENCE).await?;
        let report = self.report();
        drop(self.memberships);
        report
    }

    /// The loaded object, for the logger of a person who debugs.
    pub const fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

fn uses(relay: &Relay, link: &str) -> bool {
    relay.enabled && (relay.input.interface == link || relay.outputs.iter().any(|output| output.interface == link))
}
