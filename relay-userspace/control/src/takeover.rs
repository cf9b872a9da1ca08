//! Taking over from a control that died, or that became a newer binary: the lanes hold everything, and only what
//! differs from what should be is changed.

use super::attach::Hold;
use super::book::Book;
use super::chaos;
use super::crew::Crew;
use super::facts;
use super::membership::{Limits, Memberships};
use super::node::{Node, RunningProgram, Start, start_reports};
use super::offloads::Offloads;
use super::orphans::{Orphans, attached};
use super::own_ports::OwnPorts;
use super::reports::Begins;
use super::tried::Tried;
use super::unit::Unit;
use super::upgrade;
use super::vault::{Vault, tag};
use crate::bpf::program::{Loading, Program, ProgramError};
use crate::link::groups;
use crate::link::neighbour::Neighbours;
use crate::link::netlink::Netlink;
use anyhow::Context as _;
use relay_common::plan::Plan;
use relay_common::table::Kernel;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Why lanes could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// What they show cannot be used: they are to be ended.
    #[error("{0:#}")]
    Unusable(anyhow::Error),
    /// Something else is wrong; they relay on as they did.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<ProgramError> for NotTaken {
    fn from(error: ProgramError) -> Self {
        Self::Failed(error.into())
    }
}

impl Orphans {
    /// Goes on where the dead control stood. When this returns, what runs is what should.
    ///
    /// # Errors
    /// When that cannot be. Nothing has been done to the lanes.
    pub async fn take_over(self, book: &Book, start: &Start) -> Result<Node, NotTaken> {
        let Self { lanes: found, mut vault, memo, noted } = self;
        // Lanes are not believed in this: the control before this one is, or systemd is asked.
        let (_, unit) = (vault.0.remove(&tag::UNIT), Unit::of(start.unit.clone()));
        let plan = book.plan();
        let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
        let mut neighbours = Neighbours::new();
        let facts = facts::read(&netlink, &mut neighbours, &plan).await?;
        let mut attached = attached(&vault);
        let (memberships, mut needless) = memberships(&vault);
        let ports = vault.range(tag::OWN_PORT).map(|(tag, held)| (tag, Arc::clone(&held.fd)));
        let (own_ports, needless_ports) = OwnPorts::taken_over(ports);
        needless.extend(needless_ports);
        let runs = RunningProgram { object: noted.object.clone(), place: noted.program_place % 2 };
        let loaded = loaded(&vault, &runs);
        let is_same_object = loaded.is_some();
        let program = match loaded {
            Some(program) => program,
            None => Program::load(Loading { max_relays: plan.lanes.max_relays, debug: start.debug })?,
        };
        let [parts, parts_beside] = [runs.place, (runs.place + 1) % 2].map(|place| parts_at(&vault, place));
        if is_same_object {
            needless.extend(parts_beside);
        }
        name_programs(&mut attached, &program)?;
        let kernel = if is_same_object { super::reach::found_in_kernel(&program)? } else { Kernel::default() };
        let kernel = Kernel { joins: memberships.joins(&facts), ..kernel };
        let offloads = Offloads::open(&start.run_dir)?;
        let (room, events) = ((plan.lanes.max_relays, plan.lanes.max_outputs), start.events.clone());
        let (lanes, restarts) = ((plan.lanes.clone(), start.lane_user.clone()), &noted.restarts);
        let mut crew = Crew::taken_over(found, vault, lanes, restarts, &facts, &start.run_dir, events)
            .map_err(NotTaken::Unusable)?;
        (crew.rebinds, crew.progress) = (start.rebinds, Arc::clone(&start.progress));
        let reports = start_reports(&memberships, start, Begins::AfterAnother);
        let mut node = Node {
            plan: Plan { relays: Vec::new(), ..plan.clone() },
            table: Arc::new(noted.table(room)),
            pending: Arc::default(),
            crew,
            facts,
            place: noted.place(),
            program,
            memberships,
            own_ports,
            reports,
            kernel,
            neighbours,
            netlink,
            attached,
            offloads,
            noticed: Vec::new(),
            memo,
            unkept: noted.unkept.clone(),
            lanes_run: noted.binary.clone(),
            runs,
            unit,
            progress: Arc::clone(&start.progress),
            settled: None,
            tried: Tried::default(),
        };
        chaos::at("takeover.found");
        chaos::fails("takeover.found").context("cannot take the lanes over")?;
        if !is_same_object {
            needless.extend(parts);
        }
        node.take_charge(book, is_same_object, needless).await?;
        Ok(node)
    }
}

/// Notes which program each link has.
fn name_programs(attached: &mut BTreeMap<String, Hold>, program: &Program) -> anyhow::Result<()> {
    for hold in attached.values_mut() {
        hold.program = match (hold.relays, hold.attached.asks) {
            (false, _) => program.pass_id()?,
            (true, false) => program.id()?,
            // It was loaded for its link: what runs there is all that is known of it.
            (true, true) => hold.program,
        };
    }
    Ok(())
}

/// The program that runs, if it is the one that this binary carries.
fn loaded(vault: &Vault, runs: &RunningProgram) -> Option<Program> {
    if runs.object != super::reach::object() {
        tracing::info!("the XDP program is another: it replaces the one that runs");
        return None;
    }
    let first = tag::PROGRAM[runs.place];
    let parts = vault.0.range(first..first + tag::PROGRAM_SPAN);
    let parts = parts.filter_map(|(_, held)| Some((held.note.clone(), held.fd.try_clone().ok()?)));
    // Lanes hold all of it or are not taken over; were it otherwise, nothing is lost but verdicts that were counted.
    let warn = |error: &ProgramError| tracing::error!("the XDP program is loaded anew: {error}");
    Program::adopt(parts).inspect_err(warn).ok()
}

/// The tags of a program's parts at that place.
fn parts_at(vault: &Vault, place: usize) -> Vec<u64> {
    let first = tag::PROGRAM[place];
    vault.0.range(first..first + tag::PROGRAM_SPAN).map(|(tag, _)| *tag).collect()
}

/// The groups that the dead control joined, and the sockets of it that hold none.
fn memberships(vault: &Vault) -> (Memberships, Vec<u64>) {
    let net = Path::new(groups::NET);
    let listed = [groups::v4(net), groups::v6(net)].map(|listed| {
        // What is not found is joined once more beside it.
        listed.inspect_err(|error| tracing::warn!(%error, "the kernel does not list its groups")).unwrap_or_default()
    });
    let held = vault.range(tag::MEMBERSHIP).map(|(tag, held)| (tag, Arc::clone(&held.fd)));
    Memberships::taken_over(Limits::read(), held, &listed.concat())
}

impl Node {
    /// Changes what differs from what should be. What is not needed is let go of at the end.
    async fn take_charge(&mut self, book: &Book, is_same_object: bool, needless: Vec<u64>) -> anyhow::Result<()> {
        let plan = book.plan();
        // Before any lane is started: the next control compares what it says with this.
        let (table, place) = (self.table.clone(), self.place.clone());
        self.write_memo(&table, &place, book.origins())?;
        self.crew.start_the_missing()?;
        // Beside the parts of the program that runs, if it is another: until that one is replaced they count.
        let beside = if is_same_object { self.runs.place } else { (self.runs.place + 1) % 2 };
        self.hold_for_successors(beside).await?;
        chaos::at("takeover.held");
        if let Err(error) = self.go_on(book, &plan).await {
            tracing::error!("not everything is as it should be yet: {error:#}; trying again");
        }
        chaos::at("takeover.changed");
        if is_same_object {
            let is_another = |hold: &Hold| hold.attached.info().is_ok_and(|info| info.program != hold.program);
            // A control that died while it put another program in place may have left it on some links.
            if self.attached.values().any(is_another) {
                self.replace_what_runs().await;
            }
        } else {
            self.put_in_place(beside, book).await?;
        }
        self.crew.forget_all(needless).await;
        self.renew_lanes(book).await;
        Ok(())
    }

    /// Puts this control's program, whose parts are held at that place, on all links, and has the memo say so.
    async fn put_in_place(&mut self, place: usize, book: &Book) -> anyhow::Result<()> {
        self.replace_what_runs().await;
        chaos::at("takeover.replaced");
        self.runs = RunningProgram { object: super::reach::object(), place };
        let (table, at) = (self.table.clone(), self.place.clone());
        self.write_memo(&table, &at, book.origins())?;
        chaos::at("takeover.noted");
        Ok(())
    }

    /// What has no program any more is found, and gets one, at the next look at what the kernel holds.
    async fn replace_what_runs(&mut self) {
        if let Err(error) = self.replace_programs().await {
            tracing::error!("the XDP program could not be put on every link: {error}; trying again");
        }
    }

    async fn go_on(&mut self, book: &Book, plan: &Plan) -> anyhow::Result<()> {
        let origins = book.origins();
        self.plan = plan.clone();
        self.follow_links(origins, true).await.map(drop)
    }

    /// Lanes of another binary, or of another user, are renewed, one by one. One that cannot be relays on as it did, with
    /// what it was started from, and the next control tries again.
    async fn renew_lanes(&mut self, book: &Book) {
        let own = upgrade::own_binary();
        let is_another = self.lanes_run != own;
        let due = |crew: &Crew, number: &u32| is_another || crew.is_another_user(*number);
        let due: Vec<u32> = (0..self.crew.lanes.n_lanes()).filter(|number| due(&self.crew, number)).collect();
        if due.is_empty() {
            return;
        }
        let mut all = true;
        for number in due {
            let renewed = match self.crew.renew(number).await {
                Ok(()) if self.crew.rebinds => self.follow_links(book.origins(), true).await.map(drop),
                renewed => renewed,
            };
            if let Err(error) = renewed {
                tracing::error!(lane = number, "a lane relays on as it was started before: {error:#}");
                all = false;
            }
        }
        if all {
            self.lanes_run = own;
        }
        let (table, place) = (self.table.clone(), self.place.clone());
        if let Err(error) = self.write_memo(&table, &place, book.origins()) {
            tracing::error!("{error:#}");
        }
    }
}
