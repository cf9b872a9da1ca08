//! The honest competitor: a multicast relay of ordinary UDP sockets, as good as sockets get.
//!
//! One thread takes up to a batch of datagrams with one recvmmsg and sends it to each output with one sendmmsg. Its
//! buffers are large, nothing is allocated on the way, and it counts what it dropped.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use bench::sys::{self, BATCH, ReceiveBatch};
use clap::Parser;
use nix::net::if_::if_nametoindex;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;

const SOCKET_BUFFER: usize = 32 << 20;
/// The longest datagram of an MTU of 9000.
const DATAGRAM_ROOM: usize = 9000;

/// Relays one multicast group to others with plain UDP sockets: what MCR is compared with.
#[derive(Parser)]
struct Arguments {
    /// Interface to receive from
    #[arg(long, value_name = "IF")]
    in_if: String,
    /// Group to receive
    #[arg(long, value_name = "GROUP")]
    in_group: Ipv4Addr,
    /// UDP port to receive
    #[arg(long, value_name = "PORT")]
    in_port: u16,
    /// Where to send: interface, group or address, and port; may be repeated
    #[arg(long = "out", value_name = "IF:GROUP:PORT", required = true)]
    outputs: Vec<Output>,
    /// TTL of what is sent
    #[arg(long, default_value_t = 16)]
    ttl: u8,
    /// How many datagrams one system call takes (1 to 64)
    #[arg(long, default_value_t = BATCH)]
    batch: usize,
    /// CPU to run on
    #[arg(long)]
    core: Option<usize>,
}

#[derive(Clone)]
struct Output {
    interface: String,
    destination: SocketAddrV4,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(interface, rest)| Some((interface, rest.parse().ok()?)));
        let (interface, destination) =
            parts.ok_or_else(|| format!("\"{text}\" is not of the form out0:239.2.1.1:5001"))?;
        Ok(Self { interface: interface.to_owned(), destination })
    }
}

#[derive(Default)]
struct Counts {
    received: u64,
    sent: u64,
    dropped: u64,
    unsent: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!((1..=BATCH).contains(&arguments.batch), "--batch is {} and must be 1 to {BATCH}", arguments.batch);
    if let Some(core) = arguments.core {
        let mut cores = CpuSet::new();
        cores.set(core)?;
        sched_setaffinity(Pid::from_raw(0), &cores).with_context(|| format!("pin to CPU {core}"))?;
    }
    let stop = stop_on_sigterm()?;
    let input = open_input(&arguments)?;
    let outputs: Vec<UdpSocket> =
        arguments.outputs.iter().map(|output| open_output(output, arguments.ttl)).collect::<Result<_>>()?;
    writeln!(io::stdout().lock(), "ready")?;
    let counts = relay(&input, &outputs, arguments.batch, &stop)?;
    let Counts { received, sent, dropped, unsent } = counts;
    writeln!(io::stdout().lock(), "received {received} sent {sent} dropped {dropped} unsent {unsent}")?;
    Ok(())
}

/// A flag that becomes true at SIGTERM or Ctrl-C.
fn stop_on_sigterm() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let flag = Arc::clone(&stop);
    thread::spawn(move || {
        signals.wait().ok();
        flag.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

fn open_input(arguments: &Arguments) -> Result<UdpSocket> {
    let interface = arguments.in_if.as_str();
    let index = if_nametoindex(interface).with_context(|| format!("no interface \"{interface}\""))?;
    let (group, port) = (arguments.in_group, arguments.in_port);
    let socket = UdpSocket::bind((group, port)).with_context(|| format!("bind {group}:{port}"))?;
    setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).context("enlarge the receive buffer")?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 100_000))?;
    sys::join_group(&socket, group.into(), index).with_context(|| format!("join {group} on {interface}"))?;
    Ok(socket)
}

fn open_output(output: &Output, ttl: u8) -> Result<UdpSocket> {
    let Output { interface, destination } = output;
    let index = if_nametoindex(interface.as_str()).with_context(|| format!("no interface \"{interface}\""))?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER).context("enlarge the send buffer")?;
    sys::send_multicast_by(&socket, index)?;
    socket.set_multicast_ttl_v4(ttl.into())?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_ttl(ttl.into())?;
    // A connected socket looks its route up once, not for each datagram.
    socket.connect(destination).with_context(|| format!("send to {destination} by {interface}"))?;
    Ok(socket)
}

fn relay(input: &UdpSocket, outputs: &[UdpSocket], batch: usize, stop: &AtomicBool) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut buffers = ReceiveBatch::new(DATAGRAM_ROOM, 0);
    let mut last_overflows = 0;
    while !stop.load(Ordering::Relaxed) {
        match buffers.receive_up_to(batch, input.as_fd()) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
            Err(error) => return Err(error).context("receive"),
        }
        let mut datagrams: [&[u8]; BATCH] = [&[]; BATCH];
        let mut count = 0;
        for (place, (datagram, beside)) in datagrams.iter_mut().zip(buffers.frames()) {
            *place = datagram;
            count += 1;
            // The kernel counts in 32 bits, since the socket was made.
            let overflows = beside.overflows.unwrap_or(last_overflows);
            counts.dropped += u64::from(overflows.wrapping_sub(last_overflows));
            last_overflows = overflows;
        }
        counts.received += count as u64;
        for output in outputs {
            send(output, &datagrams[..count], &mut counts);
        }
    }
    Ok(counts)
}

/// Sends all datagrams; one that meets an error is given up, as a relay must not wait for one output.
fn send(output: &UdpSocket, mut datagrams: &[&[u8]], counts: &mut Counts) {
    while !datagrams.is_empty() {
        let taken = match sys::send_batch(output.as_fd(), datagrams) {
            Ok(taken) => {
                counts.sent += taken as u64;
                taken
            }
            Err(_) => {
                counts.unsent += 1;
                1
            }
        };
        datagrams = datagrams.get(taken..).unwrap_or_default();
    }
}
