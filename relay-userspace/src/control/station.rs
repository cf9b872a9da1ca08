//! A station: everything that one lane works with, held by control so that the lane can die and be started again.

use crate::memory::counters::Counters;
use crate::memory::frames::Census;
use crate::memory::log::Log;
use crate::memory::{self, Mapping, whole_pages};
use crate::xsk::port::Port;
use crate::xsk::socket::{self, Bound, SocketError, Wanted};
use anyhow::Context;
use nix::sys::eventfd::{EfdFlags, EventFd};
use relay_common::facts::Facts;
use relay_common::owner::Owner;
use relay_common::plan::{Interface, Mode, Plan, ZeroCopy};
use relay_common::table::{Placement, frame_budget};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;

/// A socket of a lane.
#[derive(Debug)]
pub struct LaneSocket {
    /// Its number within the lane.
    pub number: u16,
    /// The link.
    pub link: String,
    /// The link's index.
    pub ifindex: u32,
    /// The link's queue.
    pub queue: u32,
    /// Whether it receives.
    pub receives: bool,
    /// The output link's number in the table, when it sends.
    pub output: Option<u16>,
    /// Whether busy polling was asked for and granted.
    pub busy_polled: bool,
    /// The socket itself.
    pub bound: Bound,
}

/// What one lane works with.
#[derive(Debug)]
pub struct Station {
    /// The lane's number.
    pub number: u32,
    /// The core it is pinned to.
    pub core: Option<u32>,
    /// How many frames it has.
    pub n_frames: u32,
    /// The frames.
    pub frames: OwnedFd,
    /// Whether they are of huge pages.
    pub huge: bool,
    /// The journal, and behind it the owner words.
    pub ledger: OwnedFd,
    /// The counters, as they are handed to the lane.
    pub counters_fd: OwnedFd,
    /// The counters, mapped.
    pub counters: Counters,
    /// Wakes the lane.
    pub doorbell: EventFd,
    /// Where the lane shows packets: see [`crate::memory::tap`].
    pub tap: OwnedFd,
    /// Its sockets.
    pub sockets: Vec<LaneSocket>,
}

impl Station {
    /// Whether the kernel has granted busy polling on all its sockets.
    #[must_use]
    pub fn is_busy_polled(&self) -> bool {
        !self.sockets.is_empty() && self.sockets.iter().all(|socket| socket.busy_polled)
    }

    /// Whose its frames are.
    pub fn census(&self) -> io::Result<Census> {
        let n_frames = self.n_frames as usize;
        let words = Mapping::shared_at(&self.ledger, whole_pages(n_frames * 4), Log::BYTES as i64)?;
        Ok(Census::of(words.words32(0, n_frames)))
    }
}

/// What a lane's socket is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Use {
    receives: bool,
    output: Option<u16>,
}

/// The sockets that a lane needs, by link and queue: one for each receive queue of its own, and its own transmit
/// queue on every output link.
fn uses<'a>(number: u32, n_lanes: u32, place: &'a Placement, facts: &Facts) -> BTreeMap<(&'a str, u32), Use> {
    let mut uses: BTreeMap<(&str, u32), Use> = BTreeMap::new();
    for (link, queue) in place.rx_queues(number, n_lanes) {
        uses.entry((link, queue)).or_default().receives = true;
    }
    for (link, output) in place.outputs() {
        if facts.link(link).is_some_and(|link| number < link.n_tx_queues) {
            uses.entry((link, number)).or_default().output = Some(output);
        }
    }
    uses
}

/// Builds a lane's station: memory first, then its sockets, each with a full fill ring before it is bound.
pub fn build(number: u32, plan: &Plan, place: &Placement, facts: &Facts) -> anyhow::Result<Station> {
    let lanes = &plan.lanes;
    let uses = uses(number, lanes.n_lanes(), place, facts);
    let filled = u32::try_from(uses.len())? * lanes.ring_size;
    // Whole huge pages, whatever the frames turn out to lie in.
    let n_frames = frame_budget(lanes, place).frames.max(filled).next_multiple_of(1024);
    let bytes = n_frames as usize * lanes.frame_size as usize;
    let (frames, huge) = memory::create_for_frames(c"mcr-frames", bytes)
        .with_context(|| format!("cannot get {} MiB of memory for the frames of lane {number}", bytes >> 20))?;
    let ledger = memory::create(c"mcr-ledger", Log::BYTES + whole_pages(n_frames as usize * 4))?;
    let counters_fd = memory::create(c"mcr-counters", Counters::bytes(lanes.max_relays, lanes.max_outputs))?;
    let counters = Counters::open(&counters_fd, lanes.max_relays, lanes.max_outputs)?;
    let doorbell = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let core = lanes.cores.get(number as usize).copied();
    let tap = memory::tap::create().context("no memory to show packets in")?;
    let sockets = Vec::new();
    let mut station =
        Station { number, core, n_frames, frames, huge, ledger, counters_fd, counters, doorbell, tap, sockets };

    let area = Mapping::shared(&station.frames, bytes).context("cannot map the frames")?;
    let words = Mapping::shared_at(&station.ledger, whole_pages(n_frames as usize * 4), Log::BYTES as i64)?;
    for (socket_number, ((link, queue), used)) in (0u16..).zip(uses) {
        let bound = bind(&area, plan, (link, queue), used, u32::from(socket_number) * lanes.ring_size)?;
        let first = usize::from(socket_number) * lanes.ring_size as usize;
        for word in &words.words32(0, n_frames as usize)[first..first + lanes.ring_size as usize] {
            word.store(Owner::Fill { socket: socket_number }.word(), Relaxed);
        }
        let busy_polled = lanes.busy_poll_us > 0
            && crate::xsk::options::prefer_busy_poll(std::os::fd::AsFd::as_fd(&bound.fd), lanes.busy_poll_us).is_ok();
        if lanes.busy_poll_us > 0 && !busy_polled {
            tracing::warn!(
                link,
                queue,
                "this kernel grants no preferred busy polling: lanes.busy_poll_us has no effect"
            );
        }
        station.sockets.push(LaneSocket {
            number: socket_number,
            link: link.to_owned(),
            ifindex: facts.link(link).map_or(0, |link| link.ifindex),
            queue,
            receives: used.receives,
            output: used.output,
            busy_polled,
            bound,
        });
    }
    Ok(station)
}

fn bind(
    area: &Mapping,
    plan: &Plan,
    (link, queue): (&str, u32),
    used: Use,
    first_frame: u32,
) -> Result<Bound, SocketError> {
    let lanes = &plan.lanes;
    let interface = interface(plan, link);
    let wanted = Wanted {
        link,
        queue,
        receives: used.receives,
        sends: used.output.is_some(),
        // Behind the driver there is nothing to share with it.
        zero_copy: if interface.mode == Mode::Generic { ZeroCopy::Never } else { interface.zero_copy },
        ring_size: lanes.ring_size,
        frame_size: lanes.frame_size,
    };
    socket::create(area, &wanted, |port: &mut Port| {
        for frame in first_frame..first_frame + lanes.ring_size {
            port.fill.put(u64::from(frame) * u64::from(lanes.frame_size));
        }
        port.fill.publish(port.fill.next());
    })
}

/// How the plan wants a link to be used.
#[must_use]
pub fn interface(plan: &Plan, link: &str) -> Interface {
    plan.interfaces.iter().find(|i| i.name == link).cloned().unwrap_or_else(|| Interface::default_for(link))
}
