//! A lane's process: started, handed everything it works with, and watched.

use super::event::Event;
use super::station::Station;
use crate::kernel;
use crate::lane::handoff::{self, Message, kind};
use anyhow::{Context, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use relay_common::plan::{Lanes, Poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::{Child, Command, Stdio};
use tokio::sync::mpsc::UnboundedSender;

/// A lane that does not answer for so long while it starts will not.
const PATIENCE_S: i64 = 5;

/// A lane at work. Dropping this ends it.
#[derive(Debug)]
pub struct LaneProcess {
    child: Child,
    /// When this side closes, the lane ends.
    control: OwnedFd,
    /// When it was started, in nanoseconds of the monotonic clock.
    pub started: u64,
}

impl LaneProcess {
    /// Its process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is alive.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, when that is known within a moment.
    fn ending_soon(&mut self) -> String {
        for _ in 0..50 {
            if let Some(status) = self.ending() {
                return status.to_string();
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        "it still runs".to_owned()
    }

    /// How it ended, once it has.
    pub fn ending(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for LaneProcess {
    fn drop(&mut self) {
        // Only a lane that did not end by itself is still there; its number cannot be another's, for we have not waited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a lane and hands it everything. When this returns it relays.
pub fn start(
    station: &Station,
    lanes: &Lanes,
    table: &OwnedFd,
    now: u64,
    events: &UnboundedSender<Event>,
) -> anyhow::Result<LaneProcess> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).context("no socket pair")?;
    setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_S))?;
    let child = Command::new("/proc/self/exe")
        .arg("lane")
        .arg(station.number.to_string())
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start a lane")?;
    let mut process = LaneProcess { child, control: ours, started: now };
    if let Err(error) = hand_over(&process, station, lanes, table) {
        let ending = process.ending_soon();
        return Err(error.context(format!("lane {} did not start ({ending}): see what it wrote above", station.number)));
    }
    watch(&process, station.number, events)?;
    Ok(process)
}

fn hand_over(process: &LaneProcess, station: &Station, lanes: &Lanes, table: &OwnedFd) -> anyhow::Result<()> {
    let start = Message {
        kind: kind::START,
        number: station.number,
        a: lanes.frame_size,
        b: station.n_frames,
        c: lanes.ring_size,
        d: lanes.max_relays,
        e: lanes.max_outputs,
        f: match lanes.poll {
            Poll::Busy => 0,
            Poll::Adaptive => 1,
            Poll::Wait => 2,
        },
        g: lanes.spin_us,
        h: station.core.map_or(0, |core| core + 1),
    };
    let memory = [
        station.frames.as_raw_fd(),
        station.ledger.as_raw_fd(),
        table.as_raw_fd(),
        station.counters_fd.as_raw_fd(),
        station.doorbell.as_fd().as_raw_fd(),
        station.tap.as_raw_fd(),
    ];
    say(process, &start, &memory)?;
    for socket in &station.sockets {
        let take = Message {
            kind: kind::TAKE,
            number: u32::from(socket.number),
            a: socket.ifindex,
            b: socket.output.map_or(0, |output| u32::from(output) + 1),
            c: u32::from(socket.receives),
            d: u32::from(socket.busy_polled),
            ..Message::default()
        };
        say(process, &take, &[socket.bound.fd.as_raw_fd()])?;
    }
    say(process, &Message { kind: kind::GO, ..Message::default() }, &[])
}

/// Says something to a lane and waits for its answer.
fn say(process: &LaneProcess, message: &Message, descriptors: &[RawFd]) -> anyhow::Result<()> {
    let socket = process.control.as_fd();
    handoff::send(socket, message, descriptors).context("cannot reach the lane")?;
    let (answer, _) = handoff::receive(socket).context("no answer from the lane")?.context("the lane ended")?;
    ensure!(answer.kind == kind::DONE, "the lane answered {} to {}", answer.kind, message.kind);
    Ok(())
}

/// Sends an event when the process ends.
fn watch(process: &LaneProcess, number: u32, events: &UnboundedSender<Event>) -> anyhow::Result<()> {
    let pid = process.pid();
    let fd = kernel::process::watch(pid).context("cannot watch the lane")?;
    let events = events.clone();
    tokio::spawn(async move {
        let _ = fd.readable().await;
        // Nobody listens any more when control is ending.
        let _ = events.send(Event::LaneEnded { number, pid });
    });
    Ok(())
}
