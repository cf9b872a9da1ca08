//! The life of a lane: take what control hands over, finish what a predecessor began, give up all rights, relay.

use super::handoff::{self, Message, START_DESCRIPTORS, kind};
use super::ports::{Ports, Socket};
use super::round::Lane;
use super::wait::{Waiting, sleep};
use crate::clock::now_ns;
use crate::memory::counters::Counters;
use crate::memory::frames::Frames;
use crate::memory::log::Log;
use crate::memory::table::TableMemory;
use crate::memory::tap::TapWriter;
use crate::memory::{Mapping, whole_pages};
use crate::sandbox;
use crate::xsk::port::Port;
use anyhow::{Context, bail, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use relay_common::counters::LaneCounter;
use relay_common::plan::Poll;
use relay_common::table::image::image_size;
use std::ffi::CString;
use std::io::stdin;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How long a lane that is asked to end goes on sending what it has.
const DRAIN_NS: u64 = 300_000_000;

/// Relays until control asks to stop, or is gone.
pub fn run() -> anyhow::Result<()> {
    sandbox::die_with_parent().context("cannot tie this lane to control")?;
    leave_signals_to_control().context("cannot block signals")?;
    let control = stdin().as_fd().try_clone_to_owned().context("a lane is started by control, not by hand")?;
    let (start, memory) = expect_message(control.as_fd(), kind::START)?;
    // Its name in ps and top; without one it would be called after the link that it was started by.
    let name = CString::new(format!("mcr-lane-{}", start.number))?;
    nix::sys::prctl::set_name(&name).context("cannot set this lane's name")?;
    if let Some(core) = start.h.checked_sub(1) {
        pin(core).with_context(|| {
            format!("cannot run on core {core}: lanes.cores must name cores that this machine has and mcr may use")
        })?;
    }
    let mut ports = Ports::default();
    answer(control.as_fd())?;
    loop {
        let (message, mut fds) = receive(control.as_fd())?;
        match (message.kind, fds.pop()) {
            (kind::GO, None) => break,
            (kind::TAKE, Some(fd)) => ports.add(take(&message, &start, fd)?),
            other => bail!("control sent message {} where a socket or go was due", other.0),
        }
        answer(control.as_fd())?;
    }
    let (mut lane, doorbell) = take_up(&start, memory, ports)?;
    sandbox::give_up_rights().context("cannot give up this lane's rights")?;
    answer(control.as_fd())?;
    let how = [Poll::Busy, Poll::Adaptive, Poll::Wait][start.f.min(2) as usize];
    relay(&mut lane, Waiting::new(how, start.g), &doorbell, &control);
    // The kernel takes everything back; taking it apart here would need more system calls than a lane has.
    std::process::exit(0)
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
    handoff::receive(control).context("cannot hear control")?.context("control is gone")
}

fn expect_message(control: BorrowedFd<'_>, wanted: u32) -> anyhow::Result<(Message, Vec<OwnedFd>)> {
    let (message, fds) = receive(control)?;
    ensure!(message.kind == wanted, "control sent message {} where {wanted} was due", message.kind);
    Ok((message, fds))
}

fn answer(control: BorrowedFd<'_>) -> anyhow::Result<()> {
    handoff::send(control, &Message { kind: kind::DONE, ..Message::default() }, &[]).context("cannot answer control")
}

fn take(message: &Message, start: &Message, fd: OwnedFd) -> anyhow::Result<Socket> {
    let output = message.b.checked_sub(1).map(u16::try_from).transpose()?;
    let port = Port::open(fd, message.c != 0, output.is_some(), start.c).context("cannot map a socket's rings")?;
    let number = u16::try_from(message.number)?;
    Ok(Socket { number, ifindex: message.a, output, busy_polled: message.d != 0, port })
}

/// Maps the memory, finishes an interrupted commit and takes stock of the frames.
pub(super) fn take_up(start: &Message, memory: Vec<OwnedFd>, mut ports: Ports) -> anyhow::Result<(Lane, OwnedFd)> {
    let Ok([frames, ledger, table, counters, doorbell, tap]) = <[OwnedFd; START_DESCRIPTORS]>::try_from(memory) else {
        bail!("control sent the wrong number of descriptors");
    };
    let (frame_size, n_frames) = (start.a, start.b as usize);
    let mut area = Mapping::shared(&frames, n_frames * frame_size as usize).context("cannot map the frames")?;
    let words = Mapping::shared_at(&ledger, whole_pages(n_frames * 4), Log::BYTES as i64)?;
    let mut log = Log::open(Mapping::shared(&ledger, Log::BYTES)?)?;
    let counters = Counters::open(&counters, start.d, start.e).context("cannot map the counters")?;
    let table = TableMemory::open(&table, image_size(start.d, start.e)).context("cannot map the table")?;
    if log.was_interrupted() {
        log.redo(&words, &mut area, |ring, to| ports.publish(ring, to));
        counters.add(LaneCounter::Redone, 1);
        // The rings have moved: read their indices again.
        ports.look_again();
    }
    let (frames, lost) = Frames::take_stock(area, words, frame_size, ports.n_numbers());
    counters.set(LaneCounter::LostFrames, lost as u64);
    let mut lane = Lane::new(ports, frames, log, counters, table, start.c);
    lane.set_tap(Some(TapWriter::open(&tap).context("cannot map the tap")?));
    Ok((lane, doorbell))
}

fn relay(lane: &mut Lane, mut waiting: Waiting, doorbell: &OwnedFd, control: &OwnedFd) {
    let mut stop_at = None;
    loop {
        let now = now_ns();
        let busy = lane.round(now);
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
            let has_unsent = lane.has_unsent();
            if sleep(lane.ports.sockets(), doorbell, control, has_unsent) {
                return;
            }
        }
    }
}
