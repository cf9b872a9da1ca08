//! A station: everything that one lane works with, held by control so that the lane can die and be started again.

use super::door;
use super::progress::Progress;
use super::sockets::{Need, Uses};
use anyhow::Context;
use nix::sys::eventfd::{EfdFlags, EventFd};
use relay_common::owner::Owner;
use relay_common::plan::{Lanes, Poll};
use relay_engine::lane::handoff::{Message, Outfit, kind, said};
use relay_engine::memory::counters::Counters;
use relay_engine::memory::huge::PIECE;
use relay_engine::memory::log::Log;
use relay_engine::memory::{self, Mapping, whole_pages};
use relay_engine::xsk::options::prefer_busy_poll;
use relay_engine::xsk::port::Port;
use relay_engine::xsk::socket::{self, Bound, SocketError, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

/// A socket of a lane.
#[derive(Clone, Debug)]
pub struct LaneSocket {
    /// Its number within the lane.
    pub number: u16,
    /// What it is for.
    pub need: Need,
    /// The output link's number in the table, when packets leave by it.
    pub output: Option<u16>,
    /// Whether busy polling was asked for and granted.
    pub busy_polled: bool,
    /// The socket itself.
    pub bound: Arc<Bound>,
    /// Its rings, where only who mapped them before the bind can look at them: what is on them when a lane dies is lost.
    pub rings: Option<Arc<Mutex<Port>>>,
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
    pub ledger: Arc<OwnedFd>,
    /// The counters, as they are handed to the lane.
    pub counters_fd: OwnedFd,
    /// The counters, mapped.
    pub counters: Arc<Counters>,
    /// Wakes the lane.
    pub doorbell: OwnedFd,
    /// Where a later control comes in.
    pub door: OwnedFd,
    /// The door's file.
    pub door_path: PathBuf,
    /// Where the lane shows packets: see [`relay_engine::memory::tap`].
    pub tap: Arc<OwnedFd>,
}

impl LaneSocket {
    /// Packets that came in and that nobody has taken, and such that wait to be sent; 0 where the rings are not here.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        let rings = self.rings.as_ref().map(|rings| rings.lock().unwrap_or_else(PoisonError::into_inner).unfinished());
        rings.map_or(0, u64::from)
    }

    /// Packets that were handed to a card, and that it has not sent or has not told of; 0 where nobody can look.
    #[must_use]
    pub fn under_way(&self, ring_size: u32) -> u32 {
        if let Some(rings) = &self.rings {
            let mut rings = rings.lock().unwrap_or_else(PoisonError::into_inner);
            rings.look_again();
            return rings.n_not_completed();
        }
        let fd = self.bound.fd.try_clone();
        let rings = fd.and_then(|fd| Port::open(fd, self.need.receives, self.need.sends, ring_size));
        rings.map_or(0, |rings| rings.n_not_completed())
    }

    /// What a lane is told of it when it is handed over.
    #[must_use]
    pub fn take_message(&self) -> Message {
        take_message(self.number, &self.need, self.output, self.busy_polled)
    }
}

/// What a lane is started with.
#[must_use]
pub fn start_message(station: &Station, lanes: &Lanes) -> Message {
    let start = said::Start {
        frame_size: lanes.frame_size,
        frames: station.n_frames,
        ring_size: lanes.ring_size,
        relays: lanes.max_relays,
        outputs: lanes.max_outputs,
        poll: match lanes.poll {
            Poll::Busy => 0,
            Poll::Adaptive => 1,
            Poll::Wait => 2,
        },
        spin_us: lanes.spin_us,
        core: station.core.map_or(0, |core| core + 1),
    };
    Message { number: station.number, ..Message::of(kind::START).saying(start) }
}

/// What a lane is told of a socket when it is handed over.
#[must_use]
pub fn take_message(number: u16, need: &Need, output: Option<u16>, busy_polled: bool) -> Message {
    let take = said::Take {
        ifindex: need.ifindex,
        output: said::output(output),
        receives: u32::from(need.receives),
        busy_polled: u32::from(busy_polled),
        queue: need.queue,
        transmits: u32::from(need.sends),
        zero_copy: u32::from(need.zero_copy),
        spare: 0,
    };
    Message { number: u32::from(number), ..Message::of(kind::TAKE).saying(take) }
}

impl Station {
    /// What its lane is given at the start, with the table that all lanes have.
    #[must_use]
    pub fn outfit<'a>(&'a self, table: BorrowedFd<'a>) -> Outfit<BorrowedFd<'a>> {
        Outfit {
            frames: self.frames.as_fd(),
            ledger: self.ledger.as_fd(),
            table,
            counters: self.counters_fd.as_fd(),
            doorbell: self.doorbell.as_fd(),
            door: self.door.as_fd(),
            tap: self.tap.as_fd(),
        }
    }

    /// The frames that its sockets can have in their rings at once, were they these.
    #[must_use]
    pub fn frames_for(sockets: impl Iterator<Item = Uses>, ring_size: u32) -> u32 {
        let rings = sockets.map(|uses| u32::from(uses.is_input) + u32::from(uses.output.is_some())).sum::<u32>();
        relay_common::table::frames_needed(rings, 0, ring_size)
    }
}

/// Sockets that one lane can have.
#[expect(clippy::cast_possible_truncation, reason = "the journal has room for far fewer")]
pub const MAX_SOCKETS: u16 = relay_common::journal::MAX_SOCKETS as u16;

/// Builds a lane's station and its sockets: door and memory first, then the sockets, each with a full fill ring before it is bound.
/// Where another program has a queue there is none yet. It is given up between two pieces when the node is to end.
pub fn build(
    number: u32,
    lanes: &Lanes,
    needs: &BTreeMap<&Need, Uses>,
    n_frames: u32,
    door_path: PathBuf,
    progress: &Progress,
) -> anyhow::Result<(Station, Vec<Arc<LaneSocket>>)> {
    let door = door::make(&door_path)?;
    let n_frames = whole(n_frames, needs.len(), lanes.ring_size);
    let bytes = n_frames as usize * lanes.frame_size as usize;
    let (frames, huge) = frames(number, bytes, progress)?;
    let ledger = Arc::new(memory::create(c"mcr-ledger", Log::BYTES + whole_pages(n_frames as usize * 4))?);
    let counters_fd = memory::create(c"mcr-counters", Counters::bytes(lanes.max_relays, lanes.max_outputs))?;
    let counters = Arc::new(Counters::open(&counters_fd, lanes.max_relays, lanes.max_outputs)?);
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let doorbell = EventFd::from_value_and_flags(0, flags)?.as_fd().try_clone_to_owned()?;
    let core = lanes.cores.get(number as usize).copied();
    let station = Station {
        number,
        core,
        n_frames,
        frames,
        huge,
        ledger,
        counters_fd,
        counters,
        doorbell,
        door,
        door_path,
        tap: Arc::new(memory::tap::create()?),
    };
    let (mut sockets, mut busy) = (Vec::new(), BTreeSet::new());
    let area = Mapping::shared(&station.frames, bytes).context("cannot map the frames")?;
    let words = Mapping::shared_at(&*station.ledger, whole_pages(n_frames as usize * 4), Log::BYTES as i64)?;
    for (number, (need, uses)) in (0..MAX_SOCKETS).zip(needs) {
        // With each the kernel pins all frames.
        progress.go_on()?;
        let first = u32::from(number) * lanes.ring_size;
        // Another program that has one of a link's queues has the others too.
        if busy.contains(&need.ifindex) {
            continue;
        }
        let bound = match bind(&area, lanes, need, first) {
            Err(SocketError::InUse { .. }) => {
                busy.insert(need.ifindex);
                continue;
            }
            bound => bound?,
        };
        let range = first as usize..(first + lanes.ring_size) as usize;
        for word in &words.words32(0, n_frames as usize)[range] {
            word.store(Owner::Fill { socket: number }.word(), Relaxed);
        }
        let busy_polled = poll_busily(&bound, lanes, need);
        let (need, output) = ((*need).clone(), uses.output);
        sockets.push(Arc::new(LaneSocket { number, need, output, busy_polled, bound: Arc::new(bound), rings: None }));
    }
    Ok((station, sockets))
}

/// Memory for the frames of a lane, and whether it is of huge pages.
fn frames(lane: u32, bytes: usize, progress: &Progress) -> anyhow::Result<(OwnedFd, bool)> {
    let cannot = || format!("cannot get {} MiB of memory for the frames of lane {lane}", bytes >> 20);
    let (frames, huge) =
        memory::huge::create_for_frames(c"mcr-frames", bytes, || !progress.is_ending()).with_context(cannot)?;
    progress.steps("memory for the frames of lanes", bytes.div_ceil(PIECE));
    for at in (0..bytes).step_by(PIECE) {
        let allocate = || memory::allocate(&frames, at, PIECE.min(bytes - at));
        // A signal interrupts it.
        while let Err(error) = allocate() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error).with_context(cannot);
            }
            progress.go_on()?;
        }
        progress.advance()?;
    }
    Ok((frames, huge))
}

/// So many frames a lane with so many sockets gets that is to have `n_frames`: enough for their fill rings, and whole huge pages,
/// whatever the frames turn out to lie in.
#[must_use]
pub fn whole(n_frames: u32, n_sockets: usize, ring_size: u32) -> u32 {
    let filled = u32::try_from(n_sockets).unwrap_or(u32::MAX).saturating_mul(ring_size);
    n_frames.max(filled).checked_next_multiple_of(1024).unwrap_or(u32::MAX)
}

/// What is asked of the kernel for a need.
#[must_use]
pub fn wanted<'a>(need: &'a Need, lanes: &Lanes) -> Wanted<'a> {
    Wanted {
        link: &need.link,
        queue: need.queue,
        receives: need.receives,
        sends: need.sends,
        zero_copy: need.zero_copy(),
        ring_size: lanes.ring_size,
        frame_size: lanes.frame_size,
    }
}

fn bind(area: &Mapping, lanes: &Lanes, need: &Need, first_frame: u32) -> Result<Bound, SocketError> {
    socket::create(area, &wanted(need, lanes), |port: &mut Port| {
        for frame in first_frame..first_frame + lanes.ring_size {
            port.fill.put(u64::from(frame) * u64::from(lanes.frame_size));
        }
        port.fill.publish(port.fill.next());
    })
}

/// Asks for busy polling where the plan wants it, and says whether it was granted.
pub fn poll_busily(bound: &Bound, lanes: &Lanes, need: &Need) -> bool {
    if lanes.busy_poll_us == 0 {
        return false;
    }
    let granted = prefer_busy_poll(bound.fd.as_fd(), lanes.busy_poll_us).is_ok();
    if !granted {
        let Need { link, queue, .. } = need;
        tracing::warn!(link, queue, "this kernel grants no preferred busy polling: lanes.busy_poll_us has no effect");
    }
    granted
}

/// Maps the frames of a station, to register them for another socket.
pub fn area(station: &Station, lanes: &Lanes) -> io::Result<Mapping> {
    Mapping::shared(&station.frames, station.n_frames as usize * lanes.frame_size as usize)
}
