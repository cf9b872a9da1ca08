//! Lanes that relay without a control: they are looked for, told apart by whether they can be taken over, and ended.

use super::attach::Hold;
use super::crew::{self, Crew};
use super::door;
use super::event::Event;
use super::facts;
use super::lane_user::LaneUser;
use super::memo::{Memo, Pages};
use super::node::{STOP_PATIENCE, Start};
use super::offloads::Offloads;
use super::process::{AdoptError, Handle, LaneProcess, Met};
use super::talk::{self, Shown};
use super::vault::{Held, Vault, tag};
use crate::link::neighbour::Neighbours;
use crate::link::netlink::Netlink;
use anyhow::Context as _;
use futures_util::future::join_all;
use relay_common::facts::Facts;
use relay_common::plan::{Lanes, Plan, Relay};
use relay_engine::lane::handoff::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

/// What stands behind the doors of lanes.
#[derive(Debug, Default)]
pub struct Found {
    /// Lanes that can be taken over.
    pub orphans: Option<Orphans>,
    /// Lanes that cannot.
    pub strays: Vec<Stray>,
}

/// Lanes that relay without a control, and what they hold.
#[derive(Debug)]
pub struct Orphans {
    pub(super) lanes: Vec<(LaneProcess, Shown)>,
    pub(super) vault: Vault,
    pub(super) memo: Pages,
    /// What the dead control wrote down.
    pub noted: Memo,
}

/// A lane that relays without a control and cannot be taken over.
#[derive(Debug)]
pub struct Stray {
    /// The lane.
    pub number: u32,
    lane: LaneProcess,
    /// Why not.
    pub problem: Problem,
}

/// Why a lane cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It shows what cannot be.
    #[error("{0}")]
    Untrue(String),
    /// It is of a version with which this one cannot go on.
    #[error("{0}")]
    OtherVersion(String),
    /// It does not hold what is needed to go on.
    #[error("no lane holds what the control before this one wrote down")]
    NoMemo,
    /// It does not answer.
    #[error("{0}")]
    Silent(String),
    /// What it showed could not be used.
    #[error("{0}")]
    Unusable(String),
}

impl Found {
    /// Looks behind all doors. No lane is changed.
    ///
    /// # Errors
    /// When another control has a lane, when nobody knows who stands behind a door, and when lanes are another user's.
    pub async fn look(start: &Start) -> anyhow::Result<Self> {
        let doors = door::find(&start.run_dir, door::namespace()?)?;
        let mut found = Self::default();
        let mut lanes = Vec::new();
        let met = join_all(doors.into_iter().map(meet)).await;
        for (number, path, met) in met {
            let (lane, problem) = match met {
                Ok(Met::Lane(lane, shown)) => match check(number, &path, &shown) {
                    Ok(()) => {
                        lanes.push((lane, *shown));
                        continue;
                    }
                    Err(problem) => (lane, problem),
                },
                Ok(Met::Untrue(lane, problem)) => (lane, Problem::Untrue(problem)),
                Ok(Met::Silent(lane, problem)) => (lane, Problem::Silent(problem)),
                Err(AdoptError::Nobody) => continue,
                Err(error) => {
                    return Err(error).with_context(|| {
                        let path = path.display();
                        format!("lane {number} relays without a control and cannot be taken over by its door {path}")
                    });
                }
            };
            found.strays.push(Stray { number, lane, problem });
        }
        found.tell_apart(lanes, &start.lane_user)?;
        Ok(found)
    }

    fn tell_apart(&mut self, mut lanes: Vec<(LaneProcess, Shown)>, lane_user: &LaneUser) -> anyhow::Result<()> {
        if lanes.is_empty() {
            return Ok(());
        }
        let Some((memo, noted)) = memo_of(&lanes)? else {
            let stray =
                |(lane, shown): (LaneProcess, Shown)| Stray { number: shown.number, lane, problem: Problem::NoMemo };
            self.strays.extend(lanes.into_iter().map(stray));
            return Ok(());
        };
        let noted = noted.unwrap_or_default();
        let (mut sound, mut vault) = (Vec::new(), Vault::default());
        for (lane, mut shown) in lanes.drain(..) {
            let checked = crew::check_user(shown.sender.uid, lane_user, &noted.lane_users)
                .and_then(|()| crew::check_start(&shown.start, &noted.starts));
            match checked {
                Ok(()) => {
                    hold(&mut vault, &mut shown);
                    sound.push((lane, shown));
                }
                Err(problem) => {
                    let problem = Problem::Untrue(format!("{problem:#}"));
                    self.strays.push(Stray { number: shown.number, lane, problem });
                }
            }
        }
        vault.0.retain(|tag, held| crew::is_its_output(*tag, held, &noted.pipes));
        self.orphans = (!sound.is_empty()).then_some(Orphans { lanes: sound, vault, memo, noted });
        Ok(())
    }
}

impl Stray {
    /// The process.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.lane.pid()
    }

    /// Ends it: asked at its door, and if that does not help, killed.
    pub async fn end(self) {
        match self.problem {
            Problem::OtherVersion(_) | Problem::NoMemo => self.lane.end_at_edge().await,
            Problem::Untrue(_) | Problem::Silent(_) | Problem::Unusable(_) => self.lane.end().await,
        }
    }
}

/// Ends lanes that cannot be taken over, and tells of each.
pub async fn end_strays(strays: Vec<Stray>, start: &Start) {
    for stray in &strays {
        let (number, pid, problem) = (stray.number, stray.pid(), stray.problem.to_string());
        let is_untrue = matches!(stray.problem, Problem::Untrue(_));
        let _ = start.events.send(if is_untrue {
            Event::LaneUntrue { number, pid, problem }
        } else {
            Event::LaneReplaced { number, pid, problem }
        });
    }
    join_all(strays.into_iter().map(Stray::end)).await;
}

impl Orphans {
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

    /// The lanes' processes by their numbers, for whoever has to end them when everything else has failed.
    #[must_use]
    pub fn processes(&self) -> Vec<(u32, Handle)> {
        self.lanes.iter().map(|(lane, shown)| (shown.number, lane.handle())).collect()
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
        let Self { lanes: found, vault, noted, .. } = self;
        let n = found.len();
        let mut crew = Crew::taken_over(found, vault, lanes, &[], &facts, &start.run_dir, events)?;
        crew.stop(STOP_PATIENCE).await?;
        let_go_of_neighbours(noted.of_file().into_iter().chain(noted.of_api()).collect()).await;
        Offloads::open(&start.run_dir)?.restore(|_| false);
        Ok(n)
    }
}

/// The kernel was asked to keep the neighbours of these relays, and would ask for them for ever. Whoever asks again can say
/// that they are wanted no longer.
async fn let_go_of_neighbours(relays: Vec<Relay>) {
    let Ok(netlink) = Netlink::new() else { return };
    let (plan, mut neighbours) = (Plan { relays, ..Plan::default() }, Neighbours::new());
    if facts::read(&netlink, &mut neighbours, &plan).await.is_ok() {
        // That one cannot be let go of is told there.
        let _ = neighbours.want(&netlink, &BTreeSet::new()).await;
    }
}

async fn meet((number, path): (u32, PathBuf)) -> (u32, PathBuf, Result<Met, AdoptError>) {
    let met = LaneProcess::meet(&path).await;
    (number, path, met)
}

fn check(number: u32, path: &std::path::Path, shown: &Shown) -> Result<(), Problem> {
    crew::check_layout(shown).map_err(|error| Problem::OtherVersion(format!("{error:#}")))?;
    crew::check(number, path, shown).map_err(|error| Problem::Untrue(format!("{error:#}")))
}

/// Keeps what a lane holds, by its tag.
fn hold(vault: &mut Vault, shown: &mut Shown) {
    for talk::Held { tag, note, descriptor } in std::mem::take(&mut shown.held) {
        let note = String::from_utf8_lossy(&note).into_owned();
        vault.0.entry(tag).or_insert(Held { fd: Arc::new(descriptor), note });
    }
}

/// The memo that lanes hold, with what stands in it: only what the kernel says is one of this user's control. `None` when
/// they hold none.
fn memo_of(lanes: &[(LaneProcess, Shown)]) -> anyhow::Result<Option<(Pages, Option<Memo>)>> {
    let find = |wanted: u64| {
        let mut held = lanes.iter().flat_map(|(_, shown)| &shown.held);
        held.find(|held| held.tag == wanted && crew::check_memo(held.descriptor.as_fd()).is_ok())
    };
    let [Some(first), Some(second)] = tag::MEMO.map(find) else { return Ok(None) };
    let copies = [first.descriptor.try_clone()?, second.descriptor.try_clone()?];
    let pages = Pages::taken_over(copies)
        .context("cannot write the memo of the lanes that run: start mcr as the user who started them")?;
    Ok(Some(pages))
}

/// What is attached to links, as far as the lanes hold it.
pub(super) fn attached(vault: &Vault) -> BTreeMap<String, Hold> {
    let one = |(tag, held): (u64, &Held)| {
        let ifindex = u32::try_from(tag - tag::ATTACHED).ok()?;
        Hold::taken_over(ifindex, held.fd.try_clone().ok()?, &held.note)
    };
    vault.range(tag::ATTACHED).filter_map(one).collect()
}
