//! Taking over from a control that died, or that became a newer binary: the lanes hold everything, and only what
//! differs from what should be is changed.

use super::attach::Hold;
use super::book::Book;
use super::chaos;
use super::crew::{self, Crew};
use super::door;
use super::event::Event;
use super::facts;
use super::membership::{Limits, Memberships};
use super::memo::{Memo, Pages};
use super::node::{Node, RunningProgram, Start, start_reports};
use super::offloads::Offloads;
use super::own_ports::OwnPorts;
use super::process::{AdoptError, LaneProcess, Met};
use super::reports::Begins;
use super::talk::{self, Shown};
use super::upgrade;
use super::vault::{Held, Vault, tag};
use crate::kernel::program::{Loading, Program, ProgramError};
use crate::lane::handoff::Message;
use crate::link::groups;
use crate::link::neighbour::Neighbours;
use crate::link::netlink::Netlink;
use anyhow::Context as _;
use relay_common::facts::Facts;
use relay_common::plan::{Lanes, Plan};
use relay_common::table::Kernel;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;

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
        let (mut lanes, mut untrue) = (Vec::new(), Vec::new());
        for (number, path) in door::find(&start.run_dir, door::namespace()?)? {
            match LaneProcess::meet(&path).await {
                Ok(Met::Lane(lane, shown)) => {
                    crew::check_layout(&shown)?;
                    match crew::check(number, &path, &shown) {
                        Ok(()) => lanes.push((lane, *shown)),
                        Err(problem) => untrue.push((number, lane, format!("{problem:#}"))),
                    }
                }
                Ok(Met::Untrue(lane, problem)) => untrue.push((number, lane, problem)),
                Err(AdoptError::Nobody) => {}
                Err(error) => {
                    return Err(error).with_context(|| {
                        let path = path.display();
                        format!("lane {number} relays without a control and cannot be taken over by its door {path}")
                    });
                }
            }
        }
        let mut found = None;
        if !lanes.is_empty() {
            let (memo, noted) = memo_of(&lanes)?;
            let noted = noted.unwrap_or_default();
            let check = |shown: &Shown| {
                crew::check_user(shown.sender.uid, &start.lane_user, &noted.lane_users)?;
                crew::check_start(&shown.start, &noted.starts)
            };
            let said = |(lane, shown): (LaneProcess, Shown)| match check(&shown) {
                Ok(()) => Ok((lane, shown)),
                Err(problem) => Err((shown.number, lane, format!("{problem:#}"))),
            };
            let (mut sound, more): (Vec<_>, Vec<_>) = lanes.into_iter().map(said).partition(Result::is_ok);
            untrue.extend(more.into_iter().filter_map(Result::err));
            let mut lanes: Vec<(LaneProcess, Shown)> = sound.drain(..).filter_map(Result::ok).collect();
            let mut vault = vault_of(&mut lanes);
            vault.0.retain(|tag, held| crew::is_its_output(*tag, held, &noted.pipes));
            found = (!lanes.is_empty()).then_some(Self { lanes, vault, memo, noted });
        }
        // Nothing speaks against going on now. They stand behind doors of ours, and the kernel says who they are.
        for (number, lane, problem) in untrue {
            let pid = lane.pid();
            lane.end().await;
            let _ = start.events.send(Event::LaneUntrue { number, pid, problem });
        }
        Ok(found)
    }

    /// How the lanes run: what the configuration says of it counts from the next start on.
    #[must_use]
    pub fn lanes(&self, configured: &Lanes) -> Lanes {
        let starts: Vec<&Message> = self.lanes.iter().map(|(_, shown)| &shown.start).collect();
        let running = crew::lanes(&starts, configured);
        // A lane that has died since keeps its core.
        if running.cores.len() < configured.cores.len() && configured.cores.starts_with(&running.cores) {
            return Lanes { cores: configured.cores.clone(), ..running };
        }
        running
    }

    /// Ends the lanes: no new packet comes in, everything that came is sent, and nothing is left behind. Says how many.
    ///
    /// # Errors
    /// When they cannot be reached.
    pub async fn end(self, start: &Start) -> anyhow::Result<usize> {
        for hold in attached(&self.vault).into_values() {
            // A link that is gone has nothing to detach from.
            let _ = hold.attached.detach();
        }
        let lanes = (self.lanes(&Lanes::default()), start.lane_user.clone());
        let (facts, events) = (Facts::default(), start.events.clone());
        let Self { lanes: found, vault, .. } = self;
        let n = found.len();
        let mut crew = Crew::taken_over(found, vault, lanes, &[], &facts, &start.run_dir, events)?;
        crew.stop(super::node::STOP_PATIENCE).await?;
        Offloads::open(&start.run_dir)?.restore(|_| false);
        Ok(n)
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
        for hold in attached.values_mut() {
            hold.program = match (hold.relays, hold.attached.asks) {
                (false, _) => program.pass_id()?,
                (true, false) => program.id()?,
                // It was loaded for its link: what runs there is all that is known of it.
                (true, true) => hold.program,
            };
        }
        let kernel = if is_same_object { super::reach::found_in_kernel(&program)? } else { Kernel::default() };
        let kernel = Kernel { joins: memberships.joins(&facts), ..kernel };
        let room = (plan.lanes.max_relays, plan.lanes.max_outputs);
        let events = start.events.clone();
        let (lanes, restarts) = ((plan.lanes.clone(), start.lane_user.clone()), &noted.restarts);
        let mut crew = Crew::taken_over(found, vault, lanes, restarts, &facts, &start.run_dir, events)?;
        crew.rebinds = start.rebinds;
        let reports = start_reports(&memberships, start, Begins::AfterAnother);
        let mut node = Node {
            plan: Plan { relays: Vec::new(), ..plan.clone() },
            table: noted.table(room),
            pending: Vec::new(),
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
            offloads: Offloads::open(&start.run_dir)?,
            noticed: Vec::new(),
            memo,
            lanes_run: noted.binary.clone(),
            runs,
        };
        chaos::at("takeover.found");
        if !is_same_object {
            needless.extend(parts);
        }
        node.take_charge(book, is_same_object, needless).await?;
        Ok(node)
    }
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

/// What the lanes hold, by its tag.
fn vault_of(lanes: &mut [(LaneProcess, Shown)]) -> Vault {
    let mut vault = Vault::default();
    for talk::Held { tag, note, descriptor } in lanes.iter_mut().flat_map(|(_, shown)| std::mem::take(&mut shown.held))
    {
        let note = String::from_utf8_lossy(&note).into_owned();
        vault.0.entry(tag).or_insert(Held { fd: Arc::new(descriptor), note });
    }
    vault
}

/// The memo that lanes hold, with what stands in it: only what the kernel says is one of this user's control.
fn memo_of(lanes: &[(LaneProcess, Shown)]) -> anyhow::Result<(Pages, Option<Memo>)> {
    let copy = |wanted: u64| -> anyhow::Result<OwnedFd> {
        let mut held = lanes.iter().flat_map(|(_, shown)| &shown.held);
        let held = held.find(|held| held.tag == wanted && crew::check_memo(held.descriptor.as_fd()).is_ok());
        let held = held.context("the lanes that run hold no memo: end them (mcr stop) and start anew")?;
        Ok(held.descriptor.try_clone()?)
    };
    let [first, second] = tag::MEMO;
    Pages::taken_over([copy(first)?, copy(second)?])
        .context("cannot write the memo of the lanes that run: start mcr as the user who started them")
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

/// What is attached to links, as far as the lanes hold it.
fn attached(vault: &Vault) -> BTreeMap<String, Hold> {
    let one = |(tag, held): (u64, &Held)| {
        let ifindex = u32::try_from(tag - tag::ATTACHED).ok()?;
        Hold::taken_over(ifindex, held.fd.try_clone().ok()?, &held.note)
    };
    vault.range(tag::ATTACHED).filter_map(one).collect()
}

impl Node {
    /// Changes what differs from what should be. What is not needed is let go of at the end.
    async fn take_charge(&mut self, book: &Book, is_same_object: bool, needless: Vec<u64>) -> anyhow::Result<()> {
        let plan = book.plan();
        // Before any lane is started: the next control compares what it says with this.
        let (table, place) = (self.table.clone(), self.place.clone());
        self.write_memo(&table, &place, &book.origins())?;
        self.crew.start()?;
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
        for tag in needless {
            self.crew.forget(tag).await;
        }
        self.renew_lanes(book).await;
        Ok(())
    }

    /// Puts this control's program, whose parts are held at that place, on all links, and has the memo say so.
    async fn put_in_place(&mut self, place: usize, book: &Book) -> anyhow::Result<()> {
        self.replace_what_runs().await;
        chaos::at("takeover.replaced");
        self.runs = RunningProgram { object: super::reach::object(), place };
        let (table, at) = (self.table.clone(), self.place.clone());
        self.write_memo(&table, &at, &book.origins())?;
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
        self.follow_links(&origins).await
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
                Ok(()) if self.crew.rebinds => self.follow_links(&book.origins()).await,
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
        if let Err(error) = self.write_memo(&table, &place, &book.origins()) {
            tracing::error!("{error:#}");
        }
    }
}
