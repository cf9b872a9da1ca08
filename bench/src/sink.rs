//! Takes every frame that comes in by an interface, checks each, and enters it into ledgers.
//!
//! The sink sees frames as they were on the link: the VLAN tag that the kernel takes out is put back. What the sink itself
//! had no room for is counted apart and never charged to the relay.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;

use crate::clock::{Deadline, monotonic_ns, realtime_ns};
use crate::ledger::{self, SharedLedger};
use crate::netns::Namespace;
use crate::packet::{Checksum, Ip, Mac, Parsed, Vlan, parse};
use crate::payload::{self, Shape};
use crate::sys::{self, Beside, ReceiveBatch};

/// Longer than any frame of an MTU of 9000.
const FRAME_ROOM: usize = 9216;
/// A VLAN tag.
const TAG: usize = 4;
/// Holds what arrives while the sink's thread waits for its turn on a busy machine.
const SOCKET_BUFFER: usize = 64 << 20;
/// How long a sink that is told to stop goes on taking frames that do not end.
const LAST_LOOK: Duration = Duration::from_millis(500);
/// How many strangers are described.
const DESCRIBED: usize = 5;

/// What a check of your own says of a datagram: given its headers and the whole frame.
pub type Check = Box<dyn FnMut(&Parsed, &[u8]) -> Result<(), String> + Send>;

/// Datagrams to one destination, what must be true of them, and the ledger they are entered in. Both checksums must be
/// right unless said otherwise.
pub struct Flow {
    destination: SocketAddr,
    ledger: SharedLedger,
    shape: Shape,
    source: Option<IpAddr>,
    source_port: Option<u16>,
    source_mac: Option<Mac>,
    destination_mac: Option<Mac>,
    hops: Option<u8>,
    dscp: Option<u8>,
    vlans: Option<Vec<Vlan>>,
    checksum: Checksum,
    check: Option<Check>,
}

impl Flow {
    /// Plain payloads to `destination`; a group's MAC follows from it.
    pub fn new(destination: SocketAddr, ledger: &SharedLedger) -> Self {
        Self {
            destination,
            ledger: Arc::clone(ledger),
            shape: Shape::Plain,
            source: None,
            source_port: None,
            source_mac: None,
            destination_mac: Mac::of_group(destination.ip()),
            hops: None,
            dscp: None,
            vlans: None,
            checksum: Checksum::Right,
            check: None,
        }
    }

    /// Payloads of this shape.
    #[must_use]
    pub fn shape(mut self, shape: Shape) -> Self {
        self.shape = shape;
        self
    }

    /// The source address must be this one.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// The source port must be this one.
    #[must_use]
    pub fn source_port(mut self, port: u16) -> Self {
        self.source_port = Some(port);
        self
    }

    /// The source MAC must be this one.
    #[must_use]
    pub fn source_mac(mut self, mac: Mac) -> Self {
        self.source_mac = Some(mac);
        self
    }

    /// The destination MAC must be this one.
    #[must_use]
    pub fn destination_mac(mut self, mac: Mac) -> Self {
        self.destination_mac = Some(mac);
        self
    }

    /// TTL or hop limit must be this.
    #[must_use]
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = Some(hops);
        self
    }

    /// The DSCP must be this.
    #[must_use]
    pub fn dscp(mut self, dscp: u8) -> Self {
        self.dscp = Some(dscp);
        self
    }

    /// The tags must be these, the outermost first; none for an empty slice.
    #[must_use]
    pub fn vlans(mut self, vlans: &[Vlan]) -> Self {
        self.vlans = Some(vlans.to_vec());
        self
    }

    /// The UDP checksum must be like this.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// A check of your own for each frame, beside all others.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    fn enter(&mut self, parsed: &Parsed, frame: &[u8], beside: Beside, arrived_ns: u64) {
        let verdict = self.judge(parsed, frame, beside);
        let stamp = payload::verify(self.shape, &frame[parsed.payload.clone()]);
        let mut ledger = ledger::lock(&self.ledger);
        match (verdict, stamp) {
            (Ok(()), Ok(stamp)) => ledger.arrived(&stamp, arrived_ns),
            (Err(text), Ok(stamp)) => ledger.spoilt(&format!("number {}: {text}", stamp.sequence)),
            (_, Err(flaw)) => ledger.spoilt(&flaw.to_string()),
        }
    }

    fn judge(&mut self, parsed: &Parsed, frame: &[u8], beside: Beside) -> Result<(), String> {
        let headers = &parsed.headers;
        must_be("source address", self.source, headers.source().ip())?;
        must_be("source port", self.source_port, headers.source_port)?;
        must_be("source MAC", self.source_mac, headers.source_mac)?;
        must_be("destination MAC", self.destination_mac, headers.destination_mac)?;
        must_be("TTL", self.hops, headers.hops())?;
        must_be("DSCP", self.dscp, headers.dscp_value())?;
        if self.vlans.as_ref().is_some_and(|vlans| *vlans != headers.vlans) {
            return Err(format!("its tags are {:?} and should be {:?}", headers.vlans, self.vlans));
        }
        if matches!(&headers.ip, Ip::V4(ip) if ip.checksum != Checksum::Right) {
            return Err("its IPv4 checksum is wrong".to_owned());
        }
        // A partial checksum may look right by chance; the kernel knows better.
        let checksum = if beside.checksum_partial { Checksum::Partial } else { headers.checksum };
        if checksum != self.checksum {
            return Err(format!("its UDP checksum is {checksum:?} and should be {:?}", self.checksum));
        }
        self.check.as_mut().map_or(Ok(()), |check| check(parsed, frame))
    }
}

fn must_be<T: PartialEq + fmt::Display>(what: &str, expected: Option<T>, found: T) -> Result<(), String> {
    match expected {
        Some(expected) if expected != found => Err(format!("its {what} is {found} and should be {expected}")),
        _ => Ok(()),
    }
}

/// A running sink; it ends when dropped.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    datagrams: AtomicU64,
    missed: AtomicU64,
    strangers: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    room: usize,
    frames: Vec<Vec<u8>>,
    strangers: Vec<String>,
}

/// What a sink has seen in the end.
#[derive(Clone, Debug)]
pub struct Report {
    /// UDP datagrams of all kinds.
    pub datagrams: u64,
    /// Datagrams that belong to no flow.
    pub strangers: u64,
    /// The first few of them.
    pub described: Vec<String>,
    /// Frames that the sink itself had no room for.
    pub missed: u64,
    /// The first datagrams' whole frames, as many as were to be kept.
    pub frames: Vec<Vec<u8>>,
}

impl Report {
    /// Makes frames that the sink missed, and datagrams that nobody expected, an error.
    pub fn check(&self) -> Result<()> {
        if self.missed > 0 {
            bail!("the sink itself missed {} frames: its ledgers prove nothing", self.missed);
        }
        if self.strangers > 0 {
            bail!("{} datagrams that nobody expected: {}", self.strangers, self.described.join("; "));
        }
        Ok(())
    }
}

impl Sink {
    /// Starts taking frames; everything that arrives after the return is seen.
    pub fn start(namespace: &Namespace, interface: &str, flows: Vec<Flow>) -> Result<Self> {
        Self::start_keeping(0, namespace, interface, flows)
    }

    /// Starts taking frames, and keeps those of the first `frames` datagrams for the report.
    pub fn start_keeping(frames: usize, namespace: &Namespace, interface: &str, flows: Vec<Flow>) -> Result<Self> {
        let index = namespace.index(interface)?;
        let socket = namespace.run(|| sys::frame_receiver(index));
        Self::over_packets(socket.with_context(|| format!("open a packet socket on {interface}"))?, frames, flows)
    }

    /// Starts taking frames of a packet socket (see [`sys::frame_receiver`]), and keeps those of the first datagrams.
    pub fn over_packets(socket: OwnedFd, frames: usize, flows: Vec<Flow>) -> Result<Self> {
        setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).context("enlarge the sink's buffer")?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 20_000))?;
        Self::spawn(socket, frames, flows, sys::frames_missed)
    }

    /// Starts taking the datagrams of a Unix socket, each of them a frame: what an emulated NIC sends. Such a socket
    /// loses nothing; a sender that finds it full waits.
    pub fn over(socket: OwnedFd, flows: Vec<Flow>) -> Result<Self> {
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 20_000))?;
        Self::spawn(socket, 0, flows, |_| Ok(0))
    }

    fn spawn(socket: OwnedFd, frames: usize, flows: Vec<Flow>, missed: Missed) -> Result<Self> {
        let kept = Mutex::new(Kept { room: frames, ..Kept::default() });
        let shared = Arc::new(Shared { kept, ..Shared::default() });
        let flows = flows.into_iter().map(|flow| (flow.destination, flow)).collect();
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("sink".to_owned());
        let thread = thread.spawn(move || run(&socket, flows, missed, &for_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many UDP datagrams have arrived so far.
    pub fn datagrams(&self) -> u64 {
        self.shared.datagrams.load(Ordering::Relaxed)
    }

    /// How many of them belong to no flow.
    pub fn strangers(&self) -> u64 {
        self.shared.strangers.load(Ordering::Relaxed)
    }

    /// Waits until no datagram has arrived for the time `quiet`; says whether that came true in time.
    pub fn settle(&self, quiet: Duration, within: Duration) -> bool {
        let deadline = Deadline::after(within);
        let (mut last, mut silence) = (self.datagrams(), Deadline::after(quiet));
        while !silence.passed() {
            if deadline.passed() {
                return false;
            }
            thread::sleep(Duration::from_millis(5).min(quiet));
            if self.datagrams() != last {
                (last, silence) = (self.datagrams(), Deadline::after(quiet));
            }
        }
        true
    }

    /// Takes what is still in the socket, ends the sink, and says what it has seen.
    pub fn stop(mut self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the sink's thread panicked"))??;
        }
        let kept = std::mem::take(&mut *self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Report {
            datagrams: self.datagrams(),
            strangers: self.strangers(),
            described: kept.strangers,
            missed: self.shared.missed.load(Ordering::Relaxed),
            frames: kept.frames,
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Asks a socket how many frames it had no room for.
type Missed = fn(&OwnedFd) -> io::Result<u32>;

fn run(socket: &OwnedFd, mut flows: HashMap<SocketAddr, Flow>, missed: Missed, shared: &Shared) -> Result<()> {
    let mut batch = ReceiveBatch::new(FRAME_ROOM, TAG);
    let mut end: Option<Deadline> = None;
    // When told to stop it takes what is in the socket, but not for ever if the streams go on.
    while !end.is_some_and(Deadline::passed) {
        if end.is_none() && shared.stop.load(Ordering::Relaxed) {
            end = Some(Deadline::after(LAST_LOOK));
        }
        match batch.receive(socket.as_fd()) {
            Ok(count) => {
                let clock_gap = realtime_ns().saturating_sub(monotonic_ns());
                for number in 0..count {
                    let Some((buffer, beside)) = batch.frame(number) else { break };
                    let arrived_ns = beside.arrived_realtime_ns.unwrap_or_else(realtime_ns).saturating_sub(clock_gap);
                    take(as_on_the_link(buffer, beside), beside, arrived_ns, &mut flows, shared);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if end.is_some() {
                    break;
                }
            }
            // A link that went down is an event of the test; it may come back.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::EINTR)) => {}
            Err(error) => return Err(anyhow!(error).context("the sink failed")),
        }
    }
    shared.missed.fetch_add(missed(socket)?.into(), Ordering::Relaxed);
    Ok(())
}

fn take(frame: &[u8], beside: Beside, arrived_ns: u64, flows: &mut HashMap<SocketAddr, Flow>, shared: &Shared) {
    // What is no UDP (ARP, IGMP, neighbour discovery) is the business of the kernel.
    let Ok(parsed) = parse(frame) else { return };
    shared.datagrams.fetch_add(1, Ordering::Relaxed);
    let flow = flows.get_mut(&parsed.headers.destination());
    let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.frames.len() < kept.room {
        kept.frames.push(frame.to_vec());
    }
    if flow.is_none() {
        shared.strangers.fetch_add(1, Ordering::Relaxed);
        if kept.strangers.len() < DESCRIBED {
            let headers = &parsed.headers;
            kept.strangers.push(format!("{} to {}", headers.source(), headers.destination()));
        }
    }
    drop(kept);
    if let Some(flow) = flow {
        flow.enter(&parsed, frame, beside, arrived_ns);
    }
}

/// Puts the tag that the kernel took out back behind the MACs; the buffer has room for it in front of the frame.
fn as_on_the_link(buffer: &mut [u8], beside: Beside) -> &[u8] {
    let Some((tpid, tci)) = beside.vlan else { return buffer.get(TAG..).unwrap_or_default() };
    buffer.copy_within(TAG..TAG + 12, 0);
    if let Some(tag) = buffer.get_mut(12..12 + TAG) {
        tag[..2].copy_from_slice(&tpid.to_be_bytes());
        tag[2..].copy_from_slice(&tci.to_be_bytes());
    }
    buffer
}
