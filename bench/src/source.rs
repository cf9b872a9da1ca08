//! Sends streams at a rate, with an exact count of what was sent.
//!
//! Frames leave through a packet socket as they are: no address of the interface is put in, no checksum is finished.
//! A frame that the link had no room for (ENOBUFS) was freed by the kernel, is sent again and counts once.
//!
//! **Which queue.** On a link with several transmit queues, streams spread over them by the hash of their addresses and
//! ports, whose key the kernel draws at boot: all frames of a stream take one queue, and nobody knows which. To choose
//! it, either [`steer`](crate::links::steer) the whole interface to one queue, or let a load go around the queueing layer
//! ([`Load::around_qdisc`]) from a chosen CPU ([`Load::on_core`]): it then takes queue *CPU modulo queues*. What arrived
//! where is told by [`received_per_queue`](crate::links::received_per_queue).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::clock::{Deadline, in_ns, monotonic_ns};
use crate::ledger::{self, SharedLedger};
use crate::netns::Namespace;
use crate::packet::{self, Headers};
use crate::payload::{self, Shape, Stamp};
use crate::sys::{self, BATCH};
use crate::window::Window;

const SECOND: u64 = 1_000_000_000;

/// A source that was held up longer than this does not catch up: it would send a burst that nobody asked for.
const MOST_BEHIND: u64 = 10_000_000;

/// A link that takes no frame for this long is an error.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream to be sent.
#[derive(Clone, Debug)]
pub struct Stream {
    id: u32,
    headers: Headers,
    shape: Shape,
    length: usize,
}

impl Stream {
    /// A stream numbered `id` with these headers and plain payloads of `length` bytes.
    pub fn new(id: u32, headers: Headers, length: usize) -> Self {
        Self { id, headers, shape: Shape::Plain, length }
    }

    /// A stream of RTP datagrams with seven TS packets each.
    pub fn broadcast(id: u32, headers: Headers) -> Self {
        let length = payload::RTP_HEADER + 7 * payload::TS_PACKET;
        Self { id, headers, shape: Shape::RtpTs, length }
    }

    /// Its frame for one stamp.
    fn frame(&self, template: &[u8], stamp: &Stamp, frame: &mut Vec<u8>) {
        frame.clear();
        frame.extend_from_slice(template);
        let payload = template.len() - self.length;
        payload::write(self.shape, &mut frame[payload..], stamp);
        packet::seal(&mut frame[payload - 8..], &self.headers);
    }
}

/// What a source is to send.
#[derive(Clone, Debug)]
pub struct Load {
    streams: Vec<Stream>,
    rate: Option<u64>,
    packets: Option<u64>,
    duration: Option<Duration>,
    around_qdisc: bool,
    core: Option<usize>,
    window: Option<Window>,
}

impl Load {
    /// These streams in turn, as fast as the link takes them, until the source is stopped.
    pub fn new(streams: Vec<Stream>) -> Self {
        Self { streams, rate: None, packets: None, duration: None, around_qdisc: false, core: None, window: None }
    }

    /// Paced: so many packets a second **of each stream**.
    #[must_use]
    pub fn rate(mut self, packets_per_second: u64) -> Self {
        self.rate = Some(packets_per_second.max(1));
        self
    }

    /// Ends after so many packets of each stream.
    #[must_use]
    pub fn packets(mut self, packets_per_stream: u64) -> Self {
        self.packets = Some(packets_per_stream);
        self
    }

    /// Ends after this time.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// Sends past the queueing layer; see the module's text about queues.
    #[must_use]
    pub fn around_qdisc(mut self) -> Self {
        self.around_qdisc = true;
        self
    }

    /// Sends from this CPU only.
    #[must_use]
    pub fn on_core(mut self, core: usize) -> Self {
        self.core = Some(core);
        self
    }

    /// Waits while so many packets of a stream have not arrived in one of these ledgers; fails when none arrives any more.
    #[must_use]
    pub fn window(mut self, packets: u64, ledgers: &[SharedLedger]) -> Self {
        self.window = Some(Window::new(packets, ledgers));
        self
    }
}

/// A running source; it ends when dropped.
#[derive(Debug)]
pub struct Source {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
    started_ns: u64,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    retries: AtomicU64,
    sent: Vec<(u32, AtomicU64)>,
}

impl Shared {
    fn sent(&self, stream: u32) -> u64 {
        self.sent.iter().find(|(id, _)| *id == stream).map_or(0, |(_, sent)| sent.load(Ordering::Relaxed))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a source has sent in the end.
#[derive(Clone, Debug)]
pub struct Report {
    /// Number of each stream, and how many of its packets were sent.
    pub sent: Vec<(u32, u64)>,
    /// How often the link had no room and a frame was sent again.
    pub retries: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Report {
    /// How many packets of a stream were sent.
    pub fn sent(&self, stream: u32) -> u64 {
        self.sent.iter().find(|(id, _)| *id == stream).map_or(0, |(_, sent)| *sent)
    }

    /// Enters what was sent into all ledgers.
    pub fn enter(&self, ledgers: &[SharedLedger]) {
        for shared in ledgers {
            let mut ledger = ledger::lock(shared);
            let sent = self.sent(ledger.stream());
            ledger.sent_is(sent);
        }
    }
}

impl Source {
    /// Starts sending `load` by an interface of a namespace.
    pub fn start(namespace: &Namespace, interface: &str, load: Load) -> Result<Self> {
        Self::over(open(namespace, interface, load.around_qdisc)?, load)
    }

    /// Starts sending `load` over a socket that takes frames as they are: a packet socket, or a Unix socket whose other
    /// end is an emulated NIC.
    pub fn over(socket: OwnedFd, load: Load) -> Result<Self> {
        ensure!(!load.streams.is_empty(), "a source without streams has nothing to send");
        let sent = load.streams.iter().map(|stream| (stream.id, AtomicU64::new(0))).collect();
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), retries: AtomicU64::new(0), sent });
        let started_ns = monotonic_ns();
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("source".to_owned());
        let thread = thread.spawn(move || run(&load, socket.as_fd(), &for_thread))?;
        Ok(Self { shared, thread: Some(thread), started_ns })
    }

    /// How many packets of a stream were sent so far.
    pub fn sent(&self, stream: u32) -> u64 {
        self.shared.sent(stream)
    }

    /// Whether the load has ended, or the source has failed.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the source now and says what it has sent.
    pub fn stop(self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits for the end of the load (which must have one) and says what was sent.
    pub fn finish(mut self) -> Result<Report> {
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the source's thread panicked"))??;
        }
        Ok(Report {
            sent: self.shared.sent.iter().map(|(id, sent)| (*id, sent.load(Ordering::Relaxed))).collect(),
            retries: self.shared.retries.load(Ordering::Relaxed),
            elapsed: Duration::from_nanos(monotonic_ns() - self.started_ns),
        })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Sends these frames as they are, each exactly once, and says how often the link had no room.
pub fn send_frames<F: AsRef<[u8]>>(namespace: &Namespace, interface: &str, frames: &[F]) -> Result<u64> {
    let socket = open(namespace, interface, false)?;
    let frames: Vec<&[u8]> = frames.iter().map(AsRef::as_ref).collect();
    send_all(socket.as_fd(), &frames).context("send frames")
}

fn open(namespace: &Namespace, interface: &str, around_qdisc: bool) -> Result<OwnedFd> {
    let index = namespace.index(interface)?;
    let socket = namespace.run(|| sys::frame_sender(index));
    let socket = socket.with_context(|| format!("open a packet socket on {interface}"))?;
    if around_qdisc {
        sys::set_option(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
    }
    Ok(socket)
}

fn run(load: &Load, socket: BorrowedFd<'_>, shared: &Shared) -> Result<()> {
    if let Some(core) = load.core {
        let mut cores = CpuSet::new();
        cores.set(core)?;
        sched_setaffinity(Pid::from_raw(0), &cores).with_context(|| format!("pin the source to CPU {core}"))?;
    }
    let templates: Vec<Vec<u8>> =
        load.streams.iter().map(|stream| packet::build(&stream.headers, &vec![0; stream.length])).collect();
    let n_streams = load.streams.len() as u64;
    let most = load.packets.map_or(u64::MAX, |packets| packets.saturating_mul(n_streams));
    let end = load.duration.map(Deadline::after);
    let mut pace = Pace::new(load.rate.map(|rate| rate * n_streams));
    let mut frames = vec![Vec::new(); BATCH];
    let mut sent: u64 = 0;
    let is_over = || shared.stopped() || end.is_some_and(Deadline::passed);
    while sent < most && !is_over() {
        let due = pace.wait().min(most - sent);
        let room = match &load.window {
            Some(window) => window.wait(|id| shared.sent(id), is_over)?,
            None => u64::MAX,
        };
        let due = due.min(room.saturating_mul(n_streams));
        let count = usize::try_from(due).map_or(BATCH, |due| due.min(BATCH));
        for (frame, number) in frames.iter_mut().zip(sent..).take(count) {
            let (sequence, turn) = (number / n_streams, usize::try_from(number % n_streams)?);
            let stream = &load.streams[turn];
            stream.frame(&templates[turn], &Stamp { stream: stream.id, sequence, sent_ns: monotonic_ns() }, frame);
        }
        let batch: Vec<&[u8]> = frames.iter().take(count).map(Vec::as_slice).collect();
        shared.retries.fetch_add(send_all(socket, &batch).context("the source failed")?, Ordering::Relaxed);
        for number in (sent..).take(count) {
            let turn = usize::try_from(number % n_streams)?;
            shared.sent[turn].1.fetch_add(1, Ordering::Relaxed);
        }
        sent += count as u64;
        pace.sent(count as u64);
    }
    Ok(())
}

/// When the next packets are due.
struct Pace {
    rate: Option<u64>,
    start_ns: u64,
    sent: u64,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        // The kernel may delay a sleeper by its timer slack, 50 µs unless told otherwise.
        nix::sys::prctl::set_timerslack(1_000).ok();
        Self { rate, start_ns: monotonic_ns(), sent: 0 }
    }

    /// Waits until at least one packet is due, and says how many are.
    fn wait(&mut self) -> u64 {
        let Some(rate) = self.rate else { return u64::MAX };
        loop {
            let due_ns = self.start_ns + self.sent * SECOND / rate;
            let now = monotonic_ns();
            if now < due_ns {
                thread::sleep(Duration::from_nanos(due_ns - now));
                continue;
            }
            if now - due_ns > MOST_BEHIND {
                self.start_ns += now - due_ns;
                return 1;
            }
            return 1 + (now - due_ns) * rate / SECOND;
        }
    }

    fn sent(&mut self, count: u64) {
        self.sent += count;
        // A fresh start each second keeps the products small for as long as anyone runs this.
        if let Some(rate) = self.rate
            && self.sent >= rate
        {
            self.start_ns += in_ns(Duration::from_secs(self.sent / rate));
            self.sent %= rate;
        }
    }
}

/// Sends all frames, each once, in order; says how often the link had no room.
fn send_all(socket: BorrowedFd<'_>, mut frames: &[&[u8]]) -> io::Result<u64> {
    let (mut retries, mut patience) = (0, None);
    while !frames.is_empty() {
        match sys::send_batch(socket, frames) {
            Ok(count) => {
                frames = frames.get(count..).unwrap_or_default();
                patience = None;
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                if patience.get_or_insert_with(|| Deadline::after(PATIENCE)).passed() {
                    return Err(error);
                }
                retries += 1;
                thread::yield_now();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(retries)
}
