//! The life of a lane: take what control hands over, finish what a predecessor began, give up all rights, relay.

use super::LANE;
use super::desk::Desk;
use super::handoff::said::{Go, Start, Take};
use super::handoff::{self, Message, OUTFIT, Outfit, PROTOCOL, Refusal, WAITING, kind};
use super::ports::{Ports, Socket};
use super::recount::recount;
use super::round::Lane;
use super::wait::{Rest, Waiting, sleep};
use crate::clock::now_ns;
use crate::memory::counters::Counters;
use crate::memory::frames::Frames;
use crate::memory::log::Log;
use crate::memory::table::TableMemory;
use crate::memory::tap::TapWriter;
use crate::memory::{Mapping, whole_pages};
use crate::sandbox;
use crate::sys::fd_passing::Waits;
use crate::xsk::port::Port;
use anyhow::{Context, bail, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{Backlog, listen};
use nix::unistd::Pid;
use relay_common::counters::LaneCounter;
use relay_common::plan::Poll;
use relay_common::table::image::image_size;
use std::ffi::CString;
use std::fs::File;
use std::io::stdin;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How long a lane that is asked to end goes on sending what it has.
const DRAIN_NS: u64 = 300_000_000;

/// Relays until control asks to stop, as that user and group. Control may die meanwhile, but not before it said go.
pub fn run(user: Option<(u32, u32)>) -> anyhow::Result<()> {
    leave_signals_to_control().context("cannot block signals")?;
    let control = stdin().as_fd().try_clone_to_owned().context("a lane is started by control, not by hand")?;
    // Or control would not notice when this lane hangs up.
    nix::unistd::dup2_stdin(File::open("/dev/null")?).context("cannot give the standard input up")?;
    sandbox::close_what_was_inherited(&control).context("cannot close what control had open")?;
    // Whoever starts it is control, and control's user its later controls. Before anything is looked at that a lane before
    // this one has left, it is nobody any more.
    let controls = nix::unistd::geteuid().as_raw();
    sandbox::become_user(user).context("cannot give up the rights that control has")?;
    let (start, outfit) = expect_start(control.as_fd())?;
    // Its name in ps and top; without one it would be called after the link that it was started by.
    let name = CString::new(format!("{LANE}{}", start.number))?;
    nix::sys::prctl::set_name(&name).context("cannot set this lane's name")?;
    let Start { core, poll, spin_us, .. } = start.says();
    if let Some(core) = core.checked_sub(1) {
        pin(core).with_context(|| {
            format!("cannot run on core {core}: lanes.cores must name cores that this machine has and mcr may use")
        })?;
    }
    answer(control.as_fd(), &start)?;
    let Begun { ports, held, go } = be_given(control.as_fd(), &start)?;
    #[cfg(feature = "chaos")]
    super::late::prepare();
    let mut lane = take_up(&start, &outfit, ports, go.says::<Go>().turn.checked_sub(1))?;
    // Again, as this process: whoever comes to the door and gets no answer can ask the kernel who should have given it.
    listen(&outfit.door, Backlog::new(WAITING)?).context("cannot listen at this lane's door")?;
    #[cfg(feature = "chaos")]
    super::writes::prepare(start.number);
    #[cfg(feature = "chaos")]
    super::tries::all(start.number, &outfit, controls);
    sandbox::give_up_calls(&outfit.doorbell).context("cannot give up this lane's system calls")?;
    // From here on control may die.
    let _ = answer(control.as_fd(), &go);
    let how = [Poll::Busy, Poll::Adaptive, Poll::Wait][poll.min(2) as usize];
    let mut desk = Desk::new(control, controls, start, outfit, now_ns());
    for (message, descriptor) in held {
        desk.hold(&mut lane, message, descriptor);
    }
    relay(&mut lane, Waiting::new(how, spin_us), desk);
    // The kernel takes everything back; taking it apart here would need more system calls than a lane has.
    std::process::exit(0)
}

/// What a lane is given before it begins.
struct Begun {
    ports: Ports,
    /// What it holds for whoever comes after control: from its first packet on, so that no lane ever relays without.
    held: Vec<(Message, OwnedFd)>,
    go: Message,
}

fn be_given(control: BorrowedFd<'_>, start: &Message) -> anyhow::Result<Begun> {
    let (mut ports, mut held) = (Ports::default(), Vec::new());
    loop {
        let (message, mut fds) = receive(control)?;
        match (message.kind, fds.pop()) {
            (kind::GO, None) => return Ok(Begun { ports, held, go: message }),
            (kind::TAKE, Some(fd)) => ports.add(take(message, start, fd)?),
            (kind::HOLD, Some(fd)) => held.push((message, fd)),
            // A lane that relays and lacks something is better than none: control gives it again.
            (kind::HOLD, None) => {
                let refused = Message { serial: message.serial, ..Refusal::NoDescriptor.message() };
                handoff::send(control, &refused, &[], Waits::Yes).context("cannot answer control")?;
                continue;
            }
            other => bail!("control sent message {} where a socket or go was due", other.0),
        }
        answer(control, &message)?;
    }
}

/// Pins the calling thread to a core.
pub fn pin(core: u32) -> nix::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core as usize)?;
    sched_setaffinity(Pid::from_raw(0), &cores)
}

/// Ctrl-C and systemd's stop reach every process at once. A lane that heeded them would end with packets on its rings;
/// control, which hears them too, has it drained first.
fn leave_signals_to_control() -> nix::Result<()> {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect::<SigSet>().thread_block()
}

fn receive(control: BorrowedFd<'_>) -> anyhow::Result<(Message, Vec<OwnedFd>)> {
    handoff::receive(control, Waits::Yes).context("cannot hear control")?.context("control is gone")
}

fn expect_start(control: BorrowedFd<'_>) -> anyhow::Result<(Message, Outfit)> {
    let (message, fds) = receive(control)?;
    ensure!(message.kind == kind::START, "control sent message {} where the start was due", message.kind);
    ensure!(message.protocol == PROTOCOL, "control speaks protocol {}, this lane {PROTOCOL}", message.protocol);
    let Ok(outfit) = <[OwnedFd; OUTFIT]>::try_from(fds) else {
        bail!("control sent the wrong number of descriptors");
    };
    Ok((message, Outfit::from_array(outfit)))
}

fn answer(control: BorrowedFd<'_>, request: &Message) -> anyhow::Result<()> {
    let done = Message { serial: request.serial, ..Message::of(kind::DONE) };
    handoff::send(control, &done, &[], Waits::Yes).context("cannot answer control")
}

fn take(message: Message, start: &Message, fd: OwnedFd) -> anyhow::Result<Socket> {
    let Take { receives, transmits, .. } = message.says();
    let ring_size = start.says::<Start>().ring_size;
    let port = Port::open(fd, receives != 0, transmits != 0, ring_size).context("cannot map a socket's rings")?;
    Socket::new(message, port).with_context(|| format!("no socket can have number {}", message.number))
}

/// Maps the memory, finishes an interrupted commit and takes stock of the frames. Of a process that waits for this, it is
/// said whose turn it was: that one goes on if anything is wrong up to the moment when the turn is taken.
pub(super) fn take_up(
    start: &Message,
    outfit: &Outfit,
    mut ports: Ports,
    follows: Option<u32>,
) -> anyhow::Result<Lane> {
    let Outfit { frames, ledger, table, counters, tap, .. } = outfit;
    let Start { frame_size, frames: n_frames, ring_size, relays, outputs, .. } = start.says();
    let n_frames = n_frames as usize;
    // Packets wait for this lane: its frames come while it relays.
    let mut area = Mapping::shared_bare(frames, n_frames * frame_size as usize).context("cannot map the frames")?;
    let words = Mapping::shared_at(ledger, whole_pages(n_frames * 4), Log::BYTES as i64)?;
    let mut log = Log::open(Mapping::shared(ledger, Log::BYTES)?)?;
    let counters = Counters::open(counters, relays, outputs).context("cannot map the counters")?;
    let table = TableMemory::open(table, image_size(relays, outputs)).context("cannot map the table")?;
    ensure!(log.take_turn(follows), "the process before this one has gone on by itself");
    if log.was_interrupted() {
        log.redo(&words, &mut area, |ring, to| ports.publish(ring, to));
        counters.add(LaneCounter::Redone, 1);
        // The rings have moved: read their indices again.
        ports.look_again();
    }
    let gone = recount(&mut log, &words, n_frames, frame_size.trailing_zeros(), &mut ports);
    counters.add(LaneCounter::DroppedWithSocket, gone);
    ports.iter().for_each(|socket| log.set_queue(socket.number, socket.queue()));
    let (frames, lost) = Frames::take_stock(area, words, frame_size);
    counters.set(LaneCounter::LostFrames, lost as u64);
    let mut lane = Lane::new(ports, frames, log, counters, table, ring_size);
    lane.give_up_what_was_under_way();
    lane.set_tap(Some(TapWriter::open(tap).context("cannot map the tap")?));
    Ok(lane)
}

fn relay(lane: &mut Lane, mut waiting: Waiting, mut desk: Desk) {
    let mut stop_at = None;
    loop {
        let now = now_ns();
        let busy = lane.round(now) | lane.frames.bring_some();
        if desk.is_due(now) && desk.look(lane, now) {
            return;
        }
        if lane.table.is_stopping() {
            let deadline = *stop_at.get_or_insert(now + DRAIN_NS);
            let is_drained = !busy && lane.n_under_way() == 0;
            if is_drained || now > deadline {
                lane.counters.set(LaneCounter::Free, lane.frames.n_free() as u64);
                return;
            }
            continue;
        }
        if waiting.should_sleep(busy, now) {
            lane.counters.add(LaneCounter::Sleeps, 1);
            lane.counters.set(LaneCounter::Free, lane.frames.n_free() as u64);
            let rest = if desk.is_showing() { Rest::Nap } else { lane.rest() };
            let is_wanted = sleep(lane.ports.sockets(), desk.doorbell(), desk.descriptors(now), rest);
            if is_wanted && desk.look(lane, now_ns()) {
                return;
            }
        }
    }
}
