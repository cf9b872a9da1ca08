//! A node: everything control holds, how it comes up and how it goes down. How it gets from one state to the next
//! stands in `reach`, how it takes over from a control that died in `takeover`.
//!
//! Up: facts, program, memory and sockets, lanes, then as with every change: memberships, maps, the socket map, and the
//! program is attached last, when everything that a packet needs is there. Down is the other way round: detach first.

use super::attach::Hold;
use super::book::Book;
use super::chaos;
use super::crew::{self, Crew, ToHold};
use super::event::Event;
use super::facts;
use super::fits;
use super::lane_user::LaneUser;
use super::membership::Memberships;
use super::memo::Pages;
use super::offloads::Offloads;
use super::own_ports::OwnPorts;
use super::problem::Problem;
use super::progress::Progress;
use super::reports::{Begins, Reports};
use super::sockets::{Need, needs, would_be_cut};
use super::tried::Tried;
use super::unit::{Told, Unit};
use super::vault::tag;
use super::view::View;
use crate::bpf::program::{Loading, Program};
use crate::link::event::LinkEvent;
use crate::link::neighbour::{Learned, Neighbours};
use crate::link::netlink::Netlink;
use crate::observe::report::Report;
use crate::preflight::features::Feature;
use anyhow::{Context, bail};
use relay_common::facts::Facts;
use relay_common::plan::Plan;
use relay_common::table::{Kernel, Pending, Placement, Table, compile};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Lanes have so long to send what they have when the node goes down.
pub(super) const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// Where locks, doors and sockets lie.
    pub run_dir: PathBuf,
    /// Whether the XDP program writes a line for each frame of a relay.
    pub debug: bool,
    /// Where what happens to lanes and sockets is told.
    pub events: UnboundedSender<Event>,
    /// Whether this kernel lets nobody map the rings of a bound socket: lanes that start have new sockets each time.
    pub rebinds: bool,
    /// The user that lanes run as.
    pub lane_user: LaneUser,
    /// Where it is told what is being done.
    pub progress: Arc<Progress>,
    /// What the control before this one had of the unit.
    pub unit: Option<Arc<OwnedFd>>,
}

/// Everything control holds.
#[expect(missing_debug_implementations, reason = "aya's types have none")]
pub struct Node {
    /// The plan in force.
    pub plan: Plan,
    /// The table in force. Whoever looks at the node shares it.
    pub table: Arc<Table>,
    /// What cannot work yet.
    pub pending: Arc<Vec<Pending>>,
    /// All lanes.
    pub crew: Crew,
    /// What the kernel says of links and neighbours.
    pub facts: Facts,
    /// The numbers of the links in use.
    pub place: Placement,
    pub(super) program: Program,
    pub(super) memberships: Memberships,
    /// The ports of unicast inputs.
    pub(super) own_ports: OwnPorts,
    /// Reports groups when a carrier returns.
    pub(super) reports: Option<Reports>,
    /// What lies in the kernel's maps and memberships.
    pub(super) kernel: Kernel,
    pub(super) neighbours: Neighbours,
    pub(super) netlink: Netlink,
    pub(super) attached: BTreeMap<String, Hold>,
    pub(super) offloads: Offloads,
    /// What was found wrong and mended between two looks at what the kernel holds.
    pub(super) noticed: Vec<Problem>,
    pub(super) memo: Pages,
    /// What the memo says of the API's relays, in the file's own form, as long as they are not on disk.
    pub(super) unkept: Option<Vec<Value>>,
    /// What the memo says of the binary that the lanes run.
    pub(super) lanes_run: String,
    /// What the memo says of the program that runs on links.
    pub(super) runs: RunningProgram,
    /// The unit that this runs in.
    pub(super) unit: Unit,
    /// What is being done, for whoever asks.
    pub(super) progress: Arc<Progress>,
    /// When everything was last brought to what it should be, and how often lanes had been started again by then.
    pub(super) settled: Option<(u64, Vec<u64>)>,
    /// What was compiled and is not in force yet.
    pub(super) tried: Tried,
}

/// A program as a successor knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunningProgram {
    /// The object that it was loaded from, by its hash.
    pub(super) object: String,
    /// Which place of [`tag::PROGRAM`] has its parts.
    pub(super) place: usize,
}

impl Node {
    /// Brings everything up. When this returns packets flow; when it fails nothing is left behind.
    pub async fn bring_up(book: &Book, start: &Start) -> anyhow::Result<Self> {
        let plan = book.plan();
        crew::check_cores(&plan.lanes)?;
        let unit = Unit::of(start.unit.clone());
        let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
        let mut neighbours = Neighbours::new();
        let facts = facts::read(&netlink, &mut neighbours, &plan).await?;
        let place = Placement::new(&plan, &facts, None);
        refuse_conflicts(&plan, &facts, &place)?;
        super::advice::advise(&netlink, &plan, &place).await?;
        let program = Program::load(Loading { max_relays: plan.lanes.max_relays, debug: start.debug })?;
        if let Some(error) = would_be_cut(&plan, &place, &facts).into_values().next() {
            return Err(error.into());
        }
        let needed = needs(&plan, &place, &facts);
        fits::memory(&plan, &needed, start.rebinds).map_err(anyhow::Error::msg)?;
        let frames = |lane| fits::frames_of(lane, &plan, &needed, start.rebinds);
        // Where a lane cannot take bound sockets up, it is given each while it runs, as those that come later are.
        let bound = if start.rebinds { &BTreeMap::new() } else { &needed };
        let lanes = (plan.lanes.clone(), start.lane_user.clone());
        let mut crew = Crew::build(lanes, bound, frames, &start.run_dir, start.events.clone(), &start.progress)?;
        crew.rebinds = start.rebinds;
        let empty = Table::empty(plan.lanes.max_relays, plan.lanes.max_outputs);
        let memberships = Memberships::default();
        let reports = start_reports(&memberships, start, Begins::Anew);
        let mut node = Self {
            table: Arc::new(empty),
            pending: Arc::default(),
            crew,
            facts,
            place,
            program,
            memberships,
            own_ports: OwnPorts::default(),
            reports,
            kernel: Kernel::default(),
            neighbours,
            netlink,
            attached: BTreeMap::new(),
            offloads: Offloads::open(&start.run_dir)?,
            noticed: Vec::new(),
            memo: Pages::new().context("no memory for the memo")?,
            unkept: None,
            lanes_run: super::upgrade::own_binary(),
            runs: RunningProgram { object: super::reach::object(), place: 0 },
            unit,
            progress: Arc::clone(&start.progress),
            settled: None,
            tried: Tried::default(),
            plan: Plan { relays: Vec::new(), ..plan.clone() },
        };
        match node.begin(book, &plan).await {
            Ok(()) => Ok(node),
            Err(error) => {
                // Lanes outlive whoever started them: what did not come up must be taken down.
                let _ = node.take_down().await;
                Err(error)
            }
        }
    }

    async fn begin(&mut self, book: &Book, plan: &Plan) -> anyhow::Result<()> {
        let (table, place) = (self.table.clone(), self.place.clone());
        self.write_memo(&table, &place, book.origins())?;
        // No lane ever relays without what a successor needs: each is given it with everything else.
        self.hold_for_successors(self.runs.place).await?;
        chaos::at("start.memo");
        self.crew.start()?;
        chaos::at("start.lanes");
        let before = self.carriers().await?;
        self.begin_with(plan.clone(), book.origins()).await?;
        chaos::at("start.attached");
        for (link, _) in self.place.outputs().filter(|(link, _)| self.place.input(link).is_none()) {
            tracing::info!(%link, zero_copy = self.is_zero_copy(link), "output ready");
        }
        self.wait_for_carriers(&before).await?;
        self.probe_zero_copy()?;
        chaos::at("start.end");
        Ok(())
    }

    /// Has the lanes hold what a successor needs from the first moment on, the program's parts at that place, and what lanes
    /// need of each other.
    pub(super) async fn hold_for_successors(&mut self, place: usize) -> anyhow::Result<()> {
        self.crew.show_counters().await?;
        let mut held: Vec<ToHold> = Vec::new();
        for (tag, copy) in tag::MEMO.into_iter().zip(self.memo.held()) {
            held.push((tag, owned(copy)?, "memo".to_owned()));
        }
        for (tag, (name, part)) in (tag::PROGRAM[place % 2]..).zip(self.program.parts()) {
            held.push((tag, owned(part)?, name.to_owned()));
        }
        self.unit.wait();
        let told = self.unit.look();
        match self.unit.kept() {
            Some(ours) => held.push(of_unit(ours)),
            // What they have from another control has hung up, or says nothing of this one.
            None if told.is_some() || self.unit.is_alone() => self.crew.forget(tag::UNIT).await,
            // It is the best that there is until systemd has answered.
            None => {}
        }
        self.crew.hold_all(held).await;
        Ok(())
    }

    /// systemd listens to this control from now on. Where it is to be asked for something, it has a moment to answer.
    pub fn ask_unit(&mut self) {
        self.unit.wait();
    }

    /// Has the lanes know of the unit what there is to know by now. Says what hangs up when it is stopped.
    pub async fn follow_unit(&mut self) -> Option<Arc<OwnedFd>> {
        match self.unit.look() {
            Some(Told::Hold(ours)) => self.crew.hold_all(vec![of_unit(ours)]).await,
            Some(Told::Forget) => self.crew.forget(tag::UNIT).await,
            None => {}
        }
        self.unit.kept()
    }

    /// What everybody may see of it.
    #[must_use]
    pub fn view(&self, book: &Book, config: super::view::ConfigState) -> View {
        View {
            plan: Arc::new(self.plan.clone()),
            origins: Arc::clone(book.origins()),
            shadowed: Arc::new(book.shadowed().map(|(relay, why)| (relay.clone(), why.clone())).collect()),
            table: Arc::clone(&self.table),
            pending: Arc::clone(&self.pending),
            facts: Arc::new(self.facts.clone()),
            place: self.place.clone(),
            lanes: self.crew.seen().view(&self.place),
            attached: self.attached.iter().map(|(link, hold)| hold.view(link)).collect(),
            joined: Arc::new(self.memberships.held()),
            own_ports: Arc::new(self.own_ports.inodes()),
            config,
            user: self.crew.lane_user().name_of(nix::unistd::geteuid().as_raw()),
            warnings: self.warnings(),
            works: Arc::default(),
        }
    }

    /// What falls away on this machine. Nothing is wrong with the node for it.
    fn warnings(&self) -> Vec<String> {
        let lacks = self.crew.rebinds.then_some(Feature::BoundRings);
        let lacks = lacks.into_iter().map(|feature| {
            format!("this kernel lacks {}: {}; remedy: {}", feature.name(), feature.cost(), feature.remedy())
        });
        let warnings = [self.crew.lane_user().warning(), self.unit.warning(), self.neighbours.warning()];
        lacks.chain(warnings.into_iter().flatten().map(str::to_owned)).collect()
    }

    /// Links, addresses or routes may have changed.
    pub fn doubt_routes(&mut self) {
        self.neighbours.doubt_routes();
    }

    /// Takes a notice of a neighbour to heart.
    pub fn learn(&mut self, event: &LinkEvent) -> Learned {
        self.neighbours.learn(event)
    }

    /// Whether a plan could be brought into force, as far as is known without trying.
    ///
    /// # Errors
    /// Why it can never work here.
    pub fn would_fit(&self, plan: &Plan) -> Result<(), Vec<String>> {
        let place = Placement::new(plan, &self.facts, Some(&self.place));
        let refused = compile(plan, &self.facts, &place, Some(&self.table)).refused;
        if !refused.is_empty() {
            return Err(refused.iter().map(ToString::to_string).collect());
        }
        let needed = needs(plan, &place, &self.facts);
        let lanes: BTreeSet<u32> = needed.keys().map(|need| need.lane).collect();
        let is_lacking = |need: &Need| self.facts.unserved.contains_key(&(need.link.clone(), need.queue));
        let own = |lane| needed.iter().filter(move |(need, _)| need.lane == lane && !is_lacking(need));
        let troubles =
            lanes.into_iter().filter_map(|lane| self.crew.check_frames(lane, own(lane).map(|(_, uses)| *uses)).err());
        let troubles: Vec<String> = troubles.map(|trouble| trouble.to_string()).collect();
        if troubles.is_empty() { Ok(()) } else { Err(troubles) }
    }

    /// What was counted so far.
    pub fn report(&self) -> anyhow::Result<Report> {
        Report::gather(&self.table, &self.crew.seen().view(&self.place), self.program.verdicts()?)
    }

    /// Goes down: no new packet comes in, everything that came is sent, then the lanes end and groups are left.
    pub async fn take_down(mut self) -> anyhow::Result<Report> {
        // What is being left is not reported.
        self.reports = None;
        self.detach_everything().await;
        let stopped = self.crew.stop(STOP_PATIENCE).await;
        self.offloads.restore(|_| false);
        // The kernel would ask for them for ever. That one cannot be let go of is told there.
        let _ = self.neighbours.want(&self.netlink, &BTreeSet::new()).await;
        stopped?;
        let report = self.report();
        drop(self.memberships);
        report
    }

    /// The loaded object, for the logger of a person who debugs and for whoever counts verdicts.
    pub const fn program_mut(&mut self) -> &mut Program {
        &mut self.program
    }
}

fn of_unit(ours: Arc<OwnedFd>) -> ToHold {
    (tag::UNIT, ours, "unit".to_owned())
}

fn owned(fd: impl AsFd) -> anyhow::Result<Arc<OwnedFd>> {
    Ok(Arc::new(fd.as_fd().try_clone_to_owned().context("no descriptor left: raise LimitNOFILE")?))
}

/// Reports groups when a carrier returns. Without it everything else works.
pub(super) fn start_reports(memberships: &Memberships, start: &Start, begins: Begins) -> Option<Reports> {
    let started = Reports::start(memberships.roll(), start.events.clone(), begins);
    let warn = |error| tracing::warn!("groups will not be reported when a carrier returns: {error:#}");
    started.map_err(warn).ok()
}

/// A plan that can never work here is refused before anything is made of it.
pub(super) fn refuse_conflicts(plan: &Plan, facts: &Facts, place: &Placement) -> anyhow::Result<()> {
    let compiled = compile(plan, facts, place, None);
    if !compiled.refused.is_empty() {
        let texts: Vec<String> = compiled.refused.iter().map(|conflict| format!("  {conflict}")).collect();
        bail!("this configuration does not fit this node:\n{}", texts.join("\n"));
    }
    Ok(())
}
