//! Ceilings: what the machine could do at most if a relay cost nothing.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use aya::maps::XskMap;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::{Drive, Running};
use crate::measure::program::Programs;
use crate::measure::program::abi::redirect;
use crate::measure::scenario::Scenario;
use crate::measure::stage::{INPUT_LINK, RELAY_CORE, Stage};
use crate::packet::{Headers, Mac, build};
use crate::sys::xsk::{Passage, Xsk};

/// Rewritten and sent on by a program in the driver: no process, no copy.
pub(super) fn rewrite_in_xdp(stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let output = scenario.output(0, 0);
    let (port, _) = stage.outputs.first().context("a stage without outputs")?;
    let std::net::IpAddr::V4(address) = output.destination.ip() else {
        anyhow::bail!("the program rewrites IPv4 only");
    };
    let to = Mac::of_group(output.destination.ip()).context("an output that is no group")?;
    let [a, b, c, d, e, f] = to.0;
    let [g, h, i, j, k, l] = port.mac.0;
    let mut words = [0; redirect::WORDS];
    words[redirect::IFINDEX] = port.index.into();
    words[redirect::MACS_LOW] = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    words[redirect::MACS_HIGH] = u32::from_le_bytes([i, j, k, l]).into();
    words[redirect::ADDRESS] = u32::from_le_bytes(address.octets()).into();
    words[redirect::PORT] = output.destination.port().to_be().into();
    let mut programs = Programs::open()?;
    programs.put("REWRITE", words)?;
    stage.relay.run(|| programs.attach_xdp("rewrite", INPUT_LINK))?;
    let end = move || {
        drop(programs);
        Ok(Vec::new())
    };
    Ok(Running { pids: Vec::new(), drive: Drive::Relays, received: None, end: Box::new(end) })
}

/// Received by an AF_XDP socket and dropped.
pub(super) fn receive_only(stage: &Stage) -> Result<Running> {
    let xsk = stage.relay.run(|| Xsk::receiver(INPUT_LINK)).context("open an AF_XDP socket")?;
    let programs = steer(stage, &xsk)?;
    let worker = Worker::start(stage, xsk, |xsk| xsk.receive().into(), Xsk::n_dropped)?;
    let count = Arc::clone(&worker.count);
    let end = move || {
        drop(programs);
        worker.end()
    };
    let received = move || count.load(Ordering::Relaxed);
    let (drive, received) = (Drive::Receives, Some(Box::new(received) as Box<dyn Fn() -> u64>));
    Ok(Running { pids: Vec::new(), drive, received, end: Box::new(end) })
}

/// Received by an AF_XDP socket and sent by another, as it came: what is left of a relay that does nothing.
pub(super) fn pass_on(stage: &Stage) -> Result<Running> {
    let (port, _) = stage.outputs.first().context("a stage without outputs")?;
    let passage = stage.relay.run(|| Passage::new(INPUT_LINK, &port.name)).context("open two AF_XDP sockets")?;
    let programs = steer(stage, &passage)?;
    let worker = Worker::start(stage, passage, |passage| passage.turn().into(), Passage::n_dropped)?;
    let end = move || {
        drop(programs);
        worker.end()
    };
    Ok(Running { pids: Vec::new(), drive: Drive::Relays, received: None, end: Box::new(end) })
}

/// Has everything that comes in go to a socket.
fn steer(stage: &Stage, socket: &impl AsRawFd) -> Result<Programs> {
    let mut programs = Programs::open()?;
    XskMap::try_from(programs.map_mut("SOCKETS")?)?.set(0, socket.as_raw_fd(), 0)?;
    stage.relay.run(|| programs.attach_xdp("steer", INPUT_LINK))?;
    Ok(programs)
}

/// Sent by an AF_XDP socket, with nothing received.
pub(super) fn send_only(stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let output = scenario.output(0, 0);
    let (port, _) = stage.outputs.first().context("a stage without outputs")?;
    let headers = Headers::new(Stage::sender(scenario), output.destination).from_mac(port.mac);
    let to = Mac::of_group(output.destination.ip()).context("an output that is no group")?;
    let frame = build(&headers.to_mac(to), &vec![0x47; scenario.payload.into()]);
    let xsk = stage.relay.run(|| Xsk::sender(&port.name, &frame)).context("open an AF_XDP socket")?;
    let length = u32::try_from(frame.len())?;
    let worker = Worker::start(stage, xsk, move |xsk| xsk.send(length).into(), Xsk::n_dropped)?;
    Ok(Running { pids: Vec::new(), drive: Drive::Sends, received: None, end: Box::new(move || worker.end()) })
}

/// A thread on the relay's core that does one thing over and over.
struct Worker {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
}

impl Worker {
    /// `turn` says how many packets it was about, `n_dropped` how many were lost in all.
    fn start<S: Send + 'static>(
        stage: &Stage,
        mut sockets: S,
        turn: impl Fn(&mut S) -> u64 + Send + 'static,
        n_dropped: impl Fn(&S) -> std::io::Result<u64> + Send + 'static,
    ) -> Result<Self> {
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&count), Arc::clone(&stop));
        let thread = stage.relay.spawn("ceiling", move || {
            let mut cores = CpuSet::new();
            cores.set(RELAY_CORE)?;
            sched_setaffinity(Pid::from_raw(0), &cores)?;
            while !stopped.load(Ordering::Relaxed) {
                let n = turn(&mut sockets);
                counted.store(counted.load(Ordering::Relaxed) + n, Ordering::Relaxed);
            }
            Ok(n_dropped(&sockets)?)
        })?;
        Ok(Self { count, stop, thread: Some(thread) })
    }

    fn end(mut self) -> Result<Vec<super::Loss>> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a ceiling ends once")?;
        let dropped = thread.join().map_err(|_| anyhow!("the ceiling's thread panicked"))??;
        Ok(super::losses([("no frame to receive", dropped)]))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
