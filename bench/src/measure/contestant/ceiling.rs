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
use crate::sys::xsk::Xsk;

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
    let mut programs = Programs::open()?;
    XskMap::try_from(programs.map_mut("SOCKETS")?)?.set(0, xsk.as_raw_fd(), 0)?;
    stage.relay.run(|| programs.attach_xdp("steer", INPUT_LINK))?;
    let worker = Worker::start(stage, xsk, |xsk| xsk.receive().into())?;
    let count = Arc::clone(&worker.count);
    let end = move || {
        drop(programs);
        worker.end()
    };
    let received = move || count.load(Ordering::Relaxed);
    let (drive, received) = (Drive::Receives, Some(Box::new(received) as Box<dyn Fn() -> u64>));
    Ok(Running { pids: Vec::new(), drive, received, end: Box::new(end) })
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
    let worker = Worker::start(stage, xsk, move |xsk| xsk.send(length).into())?;
    Ok(Running { pids: Vec::new(), drive: Drive::Sends, received: None, end: Box::new(move || worker.end()) })
}

/// A thread on the relay's core that does one thing over and over.
struct Worker {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
}

impl Worker {
    fn start(stage: &Stage, mut xsk: Xsk, turn: impl Fn(&mut Xsk) -> u64 + Send + 'static) -> Result<Self> {
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&count), Arc::clone(&stop));
        let thread = stage.relay.spawn("ceiling", move || {
            let mut cores = CpuSet::new();
            cores.set(RELAY_CORE)?;
            sched_setaffinity(Pid::from_raw(0), &cores)?;
            while !stopped.load(Ordering::Relaxed) {
                let n = turn(&mut xsk);
                counted.store(counted.load(Ordering::Relaxed) + n, Ordering::Relaxed);
            }
            Ok(xsk.n_dropped()?)
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
