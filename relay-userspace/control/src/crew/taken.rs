//! A crew of lanes that a dead control left: each shows what it has, and works on meanwhile.

use super::{Crew, Post};
use crate::door;
use crate::event::Event;
use crate::lane_user::LaneUser;
use crate::process::LaneProcess;
use crate::progress::Progress;
use crate::release::{Asker, Parked};
use crate::sockets::Need;
use crate::station::{self, LaneSocket, Station};
use crate::supervisor::{Life, Supervisor};
use crate::talk::Shown;
use crate::vault::Vault;
use anyhow::{Context as _, bail};
use relay_common::facts::Facts;
use relay_common::journal::LAYOUT;
use relay_common::owner::Owner;
use relay_common::plan::{Lanes, Poll};
use relay_common::table::image;
use relay_engine::clock::now_ns;
use relay_engine::lane::handoff::said::{Start, Take};
use relay_engine::lane::handoff::{Message, Outfit, PROTOCOL};
use relay_engine::memory::counters::Counters;
use relay_engine::memory::log::Log;
use relay_engine::memory::table::TableWriter;
use relay_engine::memory::{self, Mapping, whole_pages};
use relay_engine::xsk::options::is_zero_copy;
use relay_engine::xsk::socket::Bound;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc::UnboundedSender;

/// Refuses lanes that this version cannot take over. Nothing is done to them.
///
/// # Errors
/// What differs.
pub fn check_layout(shown: &Shown) -> anyhow::Result<()> {
    if (shown.protocol, shown.layout) != (PROTOCOL, LAYOUT) {
        bail!(
            "it is of a version that this mcr cannot take over (protocol {} and {PROTOCOL}, layout {} and {LAYOUT})",
            shown.protocol,
            shown.layout
        );
    }
    Ok(())
}

/// How lanes run that were started with these messages; the rest as it is configured.
#[must_use]
pub fn lanes(starts: &[&Message], configured: &Lanes) -> Lanes {
    let Some(first) = starts.first() else { return configured.clone() };
    let Start { frame_size, ring_size, relays, outputs, poll, spin_us, .. } = first.says();
    let pinned: Option<BTreeMap<u32, u32>> =
        starts.iter().map(|start| Some((start.number, start.says::<Start>().core.checked_sub(1)?))).collect();
    let pinned = pinned.unwrap_or_default();
    // One that died with its control had the core that the configuration says.
    let core = |number: u32| {
        let configured = configured.cores.get(number as usize).copied();
        pinned.get(&number).copied().or(configured).unwrap_or_default()
    };
    Lanes {
        cores: pinned.keys().last().map_or_else(Vec::new, |last| (0..=*last).map(core).collect()),
        poll: [Poll::Busy, Poll::Adaptive, Poll::Wait][poll.min(2) as usize],
        spin_us,
        frame_size,
        ring_size,
        max_relays: relays,
        max_outputs: outputs,
        ..configured.clone()
    }
}

impl Crew {
    /// Takes lanes over. One that died after its control is built anew, without a socket yet.
    pub fn taken_over(
        found: Vec<(LaneProcess, Shown)>,
        vault: Vault,
        (lanes, user): (Lanes, LaneUser),
        restarts: &[u64],
        facts: &Facts,
        run_dir: &Path,
        events: UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let (mut table, mut n_frames) = (None, 0);
        let mut posts: BTreeMap<u32, (Post, Life)> = BTreeMap::new();
        let namespace = door::namespace()?;
        for (process, mut shown) in found {
            let outfit = shown.take_outfit().context("a lane does not show its memory")?;
            table.get_or_insert(outfit.table.try_clone()?);
            n_frames = shown.start.says::<Start>().frames;
            let door_path = door::path(run_dir, namespace, shown.number);
            let life = life_of(&shown, outfit, &lanes, facts, door_path)?;
            let watched = process.watched().context("no descriptor left: raise LimitNOFILE")?;
            let mut life = life.running(process.pid(), shown.sender.uid, watched, now_ns());
            life.restarts = restarts.get(shown.number as usize).copied().unwrap_or(0);
            posts.insert(shown.number, (Post::new(&life, Some(process)), life));
        }
        for number in (0..lanes.n_lanes()).filter(|number| !posts.contains_key(number)).collect::<Vec<_>>() {
            let door_path = door::path(run_dir, namespace, number);
            // Whoever wants an end means the lanes that run, too: they are taken over first.
            let progress = Progress::default();
            let (station, sockets) = station::build(number, &lanes, &BTreeMap::new(), n_frames, door_path, &progress)?;
            let mut life = Life::new(station, sockets);
            life.restarts = restarts.get(number as usize).copied().unwrap_or(0) + 1;
            posts.insert(number, (Post::new(&life, None), life));
        }
        let table: OwnedFd = table.context("no lane shows the table")?;
        let to_write = memory::writable(&table).context("cannot write the table of the lanes that run")?;
        let memory = TableWriter::open(to_write, image::image_size(lanes.max_relays, lanes.max_outputs))?;
        memory.go_on();
        let (posts, lives): (Vec<Post>, Vec<Life>) = posts.into_values().unzip();
        let asker = Asker::start(events.clone())?;
        for (lane, life) in (0..).zip(&lives) {
            life.parked.iter().for_each(|(number, parked)| asker.ask(lane, *number, parked.clone()));
        }
        let supervisor = Supervisor::new((lanes.clone(), user), table, vault, lives, events.clone())?;
        Ok(Self { posts, lanes, rebinds: false, memory, supervisor, events, asker, progress: Arc::default() })
    }
}

fn life_of(
    shown: &Shown,
    outfit: Outfit,
    lanes: &Lanes,
    facts: &Facts,
    door_path: std::path::PathBuf,
) -> anyhow::Result<Life> {
    let Start { frames: n_frames, core, .. } = shown.start.says();
    let counters = Arc::new(Counters::open(&outfit.counters, lanes.max_relays, lanes.max_outputs)?);
    let sockets = shown.sockets.iter().map(|(taken, fd)| socket_of(shown.number, taken, fd, facts));
    let sockets: Vec<Arc<LaneSocket>> = sockets.collect::<anyhow::Result<_>>()?;
    let words = Mapping::shared_at(&outfit.ledger, whole_pages(n_frames as usize * 4), Log::BYTES as i64)?;
    let owners = words.words32(0, n_frames as usize).iter().map(|word| Owner::from_word(word.load(Relaxed)));
    let filled: BTreeSet<u16> =
        owners.filter_map(|owner| if let Some(Owner::Fill { socket }) = owner { Some(socket) } else { None }).collect();
    // What a lane wrote into a word need not be a number that a socket can have.
    let is_gone =
        |number: &u16| *number < station::MAX_SOCKETS && !sockets.iter().any(|socket| socket.number == *number);
    let gone: Vec<u16> = filled.into_iter().filter(is_gone).collect();
    let mut queues = Vec::new();
    for number in &gone {
        queues.extend(Log::queue_of(&outfit.ledger, *number)?);
    }
    // One that is bound now could only be bound because the kernel had let go of the one before.
    queues.retain(|queue| !sockets.iter().any(|socket| socket.need.queue() == *queue));
    // A frame that was to be sent waits with any of them.
    let parked = Parked::on(queues);
    let parked = gone.into_iter().map(|number| (number, parked.clone())).collect();
    let Outfit { frames, ledger, counters: counters_fd, doorbell, door, tap, .. } = outfit;
    let station = Station {
        number: shown.number,
        core: core.checked_sub(1),
        n_frames,
        huge: memory::huge::is_huge(&frames, n_frames as usize * lanes.frame_size as usize),
        frames,
        ledger: Arc::new(ledger),
        counters_fd,
        counters,
        doorbell,
        door,
        door_path,
        tap: Arc::new(tap),
    };
    let mut life = Life::new(station, sockets);
    life.parked = parked;
    Ok(life)
}

fn socket_of(lane: u32, taken: &Message, fd: &OwnedFd, facts: &Facts) -> anyhow::Result<Arc<LaneSocket>> {
    let Take { ifindex, output, receives, busy_polled, queue, transmits, zero_copy, .. } = taken.says();
    let link = facts.links.iter().find(|link| link.ifindex == ifindex);
    let need = Need {
        lane,
        // A link that is gone has no name any more; nobody needs its sockets.
        link: link.map_or_else(|| format!("(gone: {ifindex})"), |link| link.name.clone()),
        ifindex,
        queue,
        receives: receives != 0,
        sends: transmits != 0,
        zero_copy: u8::try_from(zero_copy).unwrap_or_default(),
    };
    let zero_copy = is_zero_copy(fd.as_fd()).unwrap_or_default();
    Ok(Arc::new(LaneSocket {
        number: u16::try_from(taken.number)?,
        need,
        output: output.checked_sub(1).map(u16::try_from).transpose()?,
        busy_polled: busy_polled != 0,
        bound: Arc::new(Bound { fd: fd.try_clone()?, zero_copy }),
        rings: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::lanes;
    use relay_common::plan::Lanes;
    use relay_engine::lane::handoff::said::Start;
    use relay_engine::lane::handoff::{Message, kind};

    #[test]
    fn whichever_lanes_are_left_each_has_its_core() {
        let start = |number: u32, core: u32| {
            let start = Start { core: core + 1, ..Start::default() };
            Message { number, ..Message::of(kind::START).saying(start) }
        };
        let configured = Lanes { cores: vec![2, 4, 6], ..Lanes::default() };
        let cores = |starts: &[&Message]| lanes(starts, &configured).cores;
        assert_eq!(cores(&[&start(0, 2), &start(1, 4), &start(2, 6)]), [2, 4, 6]);
        assert_eq!(cores(&[&start(2, 6)]), [2, 4, 6], "the first two died with their control");
        assert_eq!(cores(&[&start(1, 9)]), [2, 9], "what runs counts, the rest is as it is configured");
        assert_eq!(cores(&[&Message::of(kind::START)]), [0; 0], "one that is not pinned");
        assert_eq!(cores(&[]), configured.cores);
    }
}
