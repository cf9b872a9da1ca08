//! Programs on links: the relay program on every input link, and the passing one on output links whose driver sends
//! nothing in zero-copy without.

use super::chaos;
use super::node::Node;
use super::problem::{Problem, ProgramFault};
use super::reach::DRIVER_RESETS_NS;
use super::sockets::interface;
use super::station::LaneSocket;
use super::vault::tag;
use super::view::AttachedView;
use crate::bpf::attached::Attached;
use crate::bpf::link::Hook;
use crate::bpf::program::{Program, ProgramError};
use crate::link::ability;
use crate::link::xdp::Netdev;
use anyhow::{Context as _, bail};
use relay_common::facts::{Facts, Link};
use relay_common::plan::{Mode, Plan};
use relay_common::table::Placement;
use relay_engine::xsk::socket::probe;
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

/// Some drivers reset a link when a program is attached; that takes so long at most.
const CARRIER_PATIENCE: Duration = Duration::from_secs(10);
const CARRIER_STEP: Duration = Duration::from_millis(20);
/// A carrier that has stayed for so long after a reset stays.
const CARRIER_STEADY: Duration = Duration::from_secs(1);

/// Whether links have a carrier, and how often that has changed, by name.
pub(super) type Carriers = BTreeMap<String, (bool, u32)>;

/// What a successor is told of the program on a link: whether it relays, and whether what was put there may ask the driver
/// for VLAN tags beside frames.
const PARTS: [(&str, bool, bool); 4] =
    [("relay", true, false), ("relay-tags", true, true), ("pass", false, false), ("pass-tags", false, true)];

/// A program on a link, and what it was attached for.
#[derive(Debug)]
pub struct Hold {
    /// The link's index.
    pub ifindex: u32,
    /// The attachment.
    pub attached: Attached,
    /// Whether it is the relay program; else it is the one that passes everything.
    pub relays: bool,
    /// Where the plan wanted it.
    pub mode: Mode,
    /// The kernel's number of the program that was put there.
    pub program: u32,
}

impl Hold {
    /// As others may see it.
    #[must_use]
    pub fn view(&self, link: &str) -> AttachedView {
        let Self { ifindex, relays, .. } = *self;
        AttachedView { link: link.to_owned(), ifindex, hook: self.attached.hook, relays }
    }

    /// What a successor is told of it.
    fn note(&self, link: &str) -> String {
        let is_it = |(_, relays, asks): &&(&str, bool, bool)| (*relays, *asks) == (self.relays, self.attached.asks);
        let part = PARTS.iter().find(is_it).map_or("pass", |(part, ..)| part);
        let mode = match self.mode {
            Mode::Auto => "auto",
            Mode::Native => "native",
            Mode::Generic => "generic",
        };
        format!("{link} {} {part} {mode}", self.attached.hook.name())
    }

    /// The link and the hold that a predecessor's note tells of.
    #[must_use]
    pub fn taken_over(ifindex: u32, fd: std::os::fd::OwnedFd, note: &str) -> Option<(String, Self)> {
        let words: Vec<&str> = note.split(' ').collect();
        let [link, hook, part, mode] = words.as_slice() else { return None };
        let hook = if *hook == Hook::Native.name() { Hook::Native } else { Hook::Generic };
        let mode = match *mode {
            "native" => Mode::Native,
            "generic" => Mode::Generic,
            _ => Mode::Auto,
        };
        let (_, relays, asks) = *PARTS.iter().find(|(name, ..)| name == part)?;
        let attached = Attached::adopt(fd, hook, asks).ok()?;
        // What a lane holds is the lane's word; the kernel says 0 once the link is gone.
        let info = attached.info().ok().filter(|info| [0, ifindex].contains(&info.ifindex))?;
        Some(((*link).to_owned(), Self { ifindex, attached, relays, mode, program: info.program }))
    }
}

/// Why a link has no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unattached {
    pub(super) text: String,
    /// Whether another program's is there.
    pub(super) is_others: bool,
}

/// What a link wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Relay,
    Pass,
}

impl Node {
    /// Attaches what is missing. Says which links could not be had, and why.
    pub(super) async fn attach(
        &mut self,
        plan: &Plan,
        facts: &Facts,
        place: &Placement,
    ) -> BTreeMap<String, Unattached> {
        let mut troubled = BTreeMap::new();
        for (name, want) in self.wanted(place) {
            let Some(link) = facts.link(&name).filter(|_| !facts.unusable.contains_key(&name)) else { continue };
            self.progress.waits_for(DRIVER_RESETS_NS);
            if let Err(error) = self.attach_one(&name, link, want, interface(plan, &name).mode).await {
                let is_others = matches!(error.downcast_ref(), Some(ProgramError::Occupied { .. }));
                troubled.insert(name, Unattached { text: format!("{error:#}"), is_others });
            }
        }
        troubled
    }

    async fn attach_one(&mut self, name: &str, link: &Link, want: Want, mode: Mode) -> anyhow::Result<()> {
        let relays = want == Want::Relay;
        if let Some(hold) = self.attached.get_mut(name) {
            let is_same = hold.ifindex == link.ifindex && hold.mode == mode;
            let is_there = is_same && hold.attached.info()?.ifindex == link.ifindex;
            if is_there && hold.relays != relays {
                hold.attached.asks |= relays && hold.attached.hook == Hook::Native && tells_of_tags(link.ifindex)?;
                replace(&self.program, hold, relays)?;
                self.hold_attached(name).await?;
            }
            if is_there {
                return Ok(());
            }
            if is_same {
                // Mended here, before the next look at what the kernel holds, which tells of it.
                self.noticed.push(Problem::Program { link: name.to_owned(), fault: ProgramFault::Detached });
            }
            self.detach(name).await;
        }
        if relays {
            return self.attach_relay(name, link, mode).await;
        }
        tracing::warn!(link = %name, "zero-copy needs a program on this output link: its driver may reset it for seconds");
        let attached = self.program.attach_pass(name, link.ifindex, Hook::Native)?;
        let program = attached.info()?.program;
        self.attached.insert(name.to_owned(), Hold { ifindex: link.ifindex, attached, relays, mode, program });
        self.hold_attached(name).await
    }

    /// The program that passes everything is attached first, and held by the lanes, before the relay program takes its
    /// place: from the first packet on that is relayed, no death of control takes the program away.
    async fn attach_relay(&mut self, name: &str, link: &Link, wanted: Mode) -> anyhow::Result<()> {
        let ifindex = link.ifindex;
        let mode = self.possible_mode(name, ifindex, wanted).await?;
        // Where the driver can tell of VLAN tags beside frames, it is asked: whatever its features say, no frame of a VLAN
        // passes for an untagged one.
        let tells = tells_of_tags(ifindex)?;
        let mut failed = None;
        for &hook in Hook::of(mode) {
            let mut attached = match self.program.attach_pass(name, ifindex, hook) {
                Ok(attached) => attached,
                Err(error) if error.is_final() => return Err(error.into()),
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            attached.asks = tells && hook == Hook::Native;
            let program = attached.info()?.program;
            self.attached.insert(name.to_owned(), Hold { ifindex, attached, relays: false, mode: wanted, program });
            chaos::at("attach.pass");
            self.hold_attached(name).await?;
            chaos::at("attach.held");
            let replaced = self.attached.get_mut(name).map(|hold| replace(&self.program, hold, true));
            if let Some(Err(error)) = replaced {
                self.detach(name).await;
                failed = Some(error);
                continue;
            }
            chaos::at("attach.relay");
            let (zero_copy, queues) = (self.is_zero_copy(name), link.n_rx_queues);
            tracing::info!(link = %name, mode = hook.name(), zero_copy, queues, "input attached");
            return self.hold_attached(name).await;
        }
        Err(failed.map_or_else(|| anyhow::anyhow!("{name} has no place for a program"), anyhow::Error::from))
    }

    /// Where the relay program can run on a link, as far as what the link is says so.
    async fn possible_mode(&self, name: &str, ifindex: u32, mode: Mode) -> anyhow::Result<Mode> {
        let readings = self.netlink.readings(None).await?;
        let reading = readings.iter().find(|reading| reading.link.ifindex == ifindex);
        Ok(match reading.filter(|reading| ability::is_made_of_members(reading)) {
            Some(bond) if mode == Mode::Native => {
                let members = ability::members(bond, &readings).join(" and ");
                bail!(
                    "in native mode XDP would run on what {name} is made of: relay from {members}, or use mode = \"generic\""
                );
            }
            Some(_) => Mode::Generic,
            None => mode,
        })
    }

    async fn hold_attached(&mut self, name: &str) -> anyhow::Result<()> {
        let Some(hold) = self.attached.get(name) else { return Ok(()) };
        self.crew.hold(tag::ATTACHED + u64::from(hold.ifindex), &hold.attached, &hold.note(name)).await
    }

    /// The links that want a program: inputs, and outputs in zero-copy.
    fn wanted(&self, place: &Placement) -> BTreeMap<String, Want> {
        let zero_copy = |link: &str| self.sockets_of(link).any(|socket| socket.bound.zero_copy);
        let passes = place.outputs().filter(|(link, _)| zero_copy(link)).map(|(link, _)| (link.to_owned(), Want::Pass));
        let relays = place.inputs().map(|(link, _)| (link.to_owned(), Want::Relay));
        passes.chain(relays).collect()
    }

    /// Detaches from links that want no program any more, or another.
    pub(super) async fn detach_what_nobody_needs(&mut self, place: &Placement) {
        let wanted = self.wanted(place);
        let idle: Vec<String> = self.attached.keys().filter(|link| !wanted.contains_key(*link)).cloned().collect();
        for link in idle {
            self.detach(&link).await;
        }
    }

    pub(super) async fn detach(&mut self, link: &str) {
        if let Some(hold) = self.attached.remove(link) {
            let tag = tag::ATTACHED + u64::from(hold.ifindex);
            self.progress.waits_for(DRIVER_RESETS_NS);
            // Lanes hold copies of the descriptor, so closing ours would not do.
            if let Err(error) = hold.attached.detach() {
                tracing::debug!(link, "nothing to detach: {error}");
            }
            self.crew.forget(tag).await;
        }
    }

    pub(super) async fn detach_everything(&mut self) {
        for link in self.attached.keys().cloned().collect::<Vec<_>>() {
            self.detach(&link).await;
        }
    }

    /// Puts the present program in the place of a predecessor's, link by link: no frame finds none.
    ///
    /// # Errors
    /// The first that was met; the others have it all the same.
    pub(super) async fn replace_programs(&mut self) -> Result<(), ProgramError> {
        let mut failed = Ok(());
        for hold in self.attached.values_mut() {
            self.progress.waits_for(DRIVER_RESETS_NS);
            let replaced = replace(&self.program, hold, hold.relays);
            failed = failed.and(replaced);
        }
        failed
    }

    pub(super) fn sockets_of(&self, link: &str) -> impl Iterator<Item = Arc<LaneSocket>> {
        self.crew.sockets().into_iter().filter(move |socket| socket.need.link == link)
    }

    /// Whether all sockets of a link are zero-copy.
    #[must_use]
    pub fn is_zero_copy(&self, link: &str) -> bool {
        let mut sockets = self.sockets_of(link);
        sockets.next().is_some_and(|socket| socket.bound.zero_copy) && sockets.all(|socket| socket.bound.zero_copy)
    }

    /// A driver may bind in zero-copy and then not send. It can be asked only now that its link has a program.
    pub(super) fn probe_zero_copy(&self) -> anyhow::Result<()> {
        for socket in self.crew.sockets().into_iter().filter(|socket| socket.bound.zero_copy && socket.output.is_some())
        {
            probe(socket.bound.fd.as_fd()).with_context(|| {
                let (link, queue) = (&socket.need.link, socket.need.queue);
                format!("{link} queue {queue} cannot send in zero-copy: use zero_copy = \"never\" for this interface")
            })?;
        }
        Ok(())
    }

    /// The carrier of every link, and how often it has changed.
    pub(super) async fn carriers(&self) -> anyhow::Result<Carriers> {
        let readings = self.netlink.readings(None).await?;
        Ok(readings.into_iter().map(|one| (one.link.name, (one.link.carrier, one.carrier_changes))).collect())
    }

    /// Waits until every link that its driver reset for the program has its carrier back for good: after a reset it may
    /// come and go once more.
    pub(super) async fn wait_for_carriers(&mut self, before: &Carriers) -> anyhow::Result<()> {
        let ours: Vec<&str> = self.attached.keys().map(String::as_str).collect();
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

    /// The program that is loaded.
    pub(super) const fn program(&self) -> &Program {
        &self.program
    }
}

/// Whether the driver of a link can tell of VLAN tags beside frames.
fn tells_of_tags(ifindex: u32) -> anyhow::Result<bool> {
    let netdev = Netdev::open().context("cannot ask the kernel what drivers can do")?;
    let support = netdev.and_then(|netdev| netdev.support(ifindex).ok().flatten());
    Ok(support.is_some_and(|support| support.vlan_tags()))
}

fn replace(program: &Program, hold: &mut Hold, relays: bool) -> Result<(), ProgramError> {
    if relays {
        hold.attached.asks = program.replace(&hold.attached)?;
    } else {
        program.replace_pass(&hold.attached)?;
    }
    hold.relays = relays;
    hold.program = hold.attached.info()?.program;
    Ok(())
}
