//! The honest competitor: a multicast relay of ordinary UDP sockets, as good as sockets get.
//!
//! One thread takes up to a batch of datagrams with one recvmmsg and sends it to each output with one sendmmsg. Its
//! buffers are large, nothing is allocated on the way, and it counts what it could not send. With `--plain` it takes and
//! sends one by one, as the first program that one would write does.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use bench::sys::{self, BATCH, ReceiveBatch};
use clap::Parser;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;

/// Bytes that the inputs share: a twentieth of a second at the highest rate that sockets reach.
const INPUT_BUFFERS: usize = 32 << 20;
/// No input has less.
const SMALLEST_INPUT_BUFFER: usize = 256 << 10;
const OUTPUT_BUFFER: usize = 32 << 20;
/// The longest datagram of an MTU of 9000.
const DATAGRAM_ROOM: usize = 9000;
/// How often it looks whether it is to end, in milliseconds.
const LOOK_MS: u8 = 100;
/// Inputs that one call says to be ready.
const EVENTS: usize = 256;

/// Relays multicast groups to others with plain UDP sockets: what MCR is compared with.
#[derive(Parser)]
struct Arguments {
    /// Interface to receive from
    #[arg(long, value_name = "IF", requires_all = ["in_group", "in_port", "outputs"], required_unless_present = "relays")]
    in_if: Option<String>,
    /// Group to receive
    #[arg(long, value_name = "GROUP", requires = "in_if")]
    in_group: Option<IpAddr>,
    /// UDP port to receive
    #[arg(long, value_name = "PORT", requires = "in_if")]
    in_port: Option<u16>,
    /// Where to send: interface, group or address, and port; may be repeated
    #[arg(long = "out", value_name = "IF:GROUP:PORT", requires = "in_if")]
    outputs: Vec<Place>,
    /// An input and its outputs, in place of the options above; may be repeated
    #[arg(long = "relay", value_name = "IF:GROUP:PORT=IF:GROUP:PORT,…", conflicts_with = "in_if")]
    relays: Vec<Wanted>,
    /// TTL or hop limit of what is sent
    #[arg(long, default_value_t = 16)]
    ttl: u8,
    /// How many datagrams one system call takes (1 to 64)
    #[arg(long, default_value_t = BATCH)]
    batch: usize,
    /// Takes and sends one by one, with recv and send
    #[arg(long)]
    plain: bool,
    /// CPU to run on
    #[arg(long)]
    core: Option<usize>,
}

/// An interface, and what is received or sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    interface: String,
    address: SocketAddr,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(interface, rest)| Some((interface, rest.parse().ok()?)));
        let (interface, address) =
            parts.ok_or_else(|| format!("\"{text}\" is not of the form out0:239.2.1.1:5001 or out0:[ff15::2]:5001"))?;
        Ok(Self { interface: interface.to_owned(), address })
    }
}

/// A relay as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    input: Place,
    outputs: Vec<Place>,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (input, outputs) = text.split_once('=').ok_or_else(|| format!("\"{text}\" lacks = and its outputs"))?;
        Ok(Self { input: input.parse()?, outputs: outputs.split(',').map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl Arguments {
    fn wanted(&self) -> Vec<Wanted> {
        let (Some(interface), Some(group), Some(port)) = (&self.in_if, self.in_group, self.in_port) else {
            return self.relays.clone();
        };
        let input = Place { interface: interface.clone(), address: SocketAddr::new(group, port) };
        vec![Wanted { input, outputs: self.outputs.clone() }]
    }
}

#[derive(Default)]
struct Counts {
    received: u64,
    sent: u64,
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
    let wanted = arguments.wanted();
    let buffer = (INPUT_BUFFERS / wanted.len()).max(SMALLEST_INPUT_BUFFER);
    let relays = wanted.iter().map(|wanted| Relay::open(wanted, buffer, arguments.ttl)).collect::<Result<Vec<_>>>()?;
    writeln!(io::stdout().lock(), "ready")?;
    let counts = if arguments.plain {
        run(&relays, &mut OneByOne(vec![0; DATAGRAM_ROOM]), &stop)?
    } else {
        run(&relays, &mut Batches { buffers: ReceiveBatch::new(DATAGRAM_ROOM, 0), most: arguments.batch }, &stop)?
    };
    let Counts { received, sent, unsent } = counts;
    writeln!(io::stdout().lock(), "received {received} sent {sent} unsent {unsent}")?;
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

/// A socket for the input, and a connected one for each output.
struct Relay {
    input: UdpSocket,
    outputs: Vec<UdpSocket>,
}

impl Relay {
    fn open(wanted: &Wanted, buffer: usize, ttl: u8) -> Result<Self> {
        let outputs = wanted.outputs.iter().map(|place| open_output(place, ttl)).collect::<Result<_>>()?;
        Ok(Self { input: open_input(&wanted.input, buffer)?, outputs })
    }
}

fn open_input(place: &Place, buffer: usize) -> Result<UdpSocket> {
    let Place { interface, address } = place;
    let index = index_of(interface)?;
    let socket = UdpSocket::bind(address).with_context(|| format!("bind {address}"))?;
    setsockopt(&socket, sockopt::RcvBufForce, &buffer).context("enlarge the receive buffer")?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, i64::from(LOOK_MS) * 1000))?;
    sys::join_group(&socket, address.ip(), index).with_context(|| format!("join {} on {interface}", address.ip()))?;
    Ok(socket)
}

fn open_output(place: &Place, ttl: u8) -> Result<UdpSocket> {
    let Place { interface, address } = place;
    let index = index_of(interface)?;
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    setsockopt(&socket, sockopt::SndBufForce, &OUTPUT_BUFFER).context("enlarge the send buffer")?;
    if address.is_ipv4() {
        sys::send_multicast_by(&socket, index)?;
        socket.set_multicast_ttl_v4(ttl.into())?;
        socket.set_multicast_loop_v4(false)?;
        socket.set_ttl(ttl.into())?;
    } else {
        sys::set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, i32::try_from(index)?)?;
        setsockopt(&socket, sockopt::Ipv6MulticastHops, &ttl.into())?;
        socket.set_multicast_loop_v6(false)?;
        setsockopt(&socket, sockopt::Ipv6Ttl, &ttl.into())?;
    }
    // A connected socket looks its route up once, not for each datagram.
    socket.connect(address).with_context(|| format!("send to {address} by {interface}"))?;
    Ok(socket)
}

fn index_of(interface: &str) -> Result<u32> {
    if_nametoindex(interface).with_context(|| format!("no interface \"{interface}\""))
}

/// Relays until it is to end.
///
/// Several inputs have a socket each, and epoll says which of them have something. One socket for all groups would need
/// fewer calls to receive, but a batch from it is a mixture: either each datagram is sent by a call of its own, or by
/// a socket that is not connected, for which the kernel makes a new route for each multicast datagram. With a socket for
/// each group a batch leaves as a whole, and batches grow as the load does. epoll, and not poll, because its cost follows
/// the number of inputs that have something and not of those that there are.
fn run(relays: &[Relay], way: &mut impl Forward, stop: &AtomicBool) -> Result<Counts> {
    let mut counts = Counts::default();
    if let [relay] = relays {
        while !stop.load(Ordering::Relaxed) {
            forward(way, relay, &mut counts)?;
        }
        return Ok(counts);
    }
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (number, relay) in (0..).zip(relays) {
        relay.input.set_nonblocking(true)?;
        epoll.add(&relay.input, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
    }
    let mut events = [EpollEvent::empty(); EVENTS];
    while !stop.load(Ordering::Relaxed) {
        let ready = match epoll.wait(&mut events, LOOK_MS) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error).context("wait for datagrams"),
        };
        for event in events.iter().take(ready) {
            forward(way, &relays[usize::try_from(event.data())?], &mut counts)?;
        }
    }
    Ok(counts)
}

fn forward(way: &mut impl Forward, relay: &Relay, counts: &mut Counts) -> Result<()> {
    match way.forward(relay, counts) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
        result => result.context("receive"),
    }
}

/// A way of relaying. A datagram that meets an error is given up, as a relay must not wait for one output.
trait Forward {
    /// Receives once and sends what came to all outputs.
    fn forward(&mut self, relay: &Relay, counts: &mut Counts) -> io::Result<()>;
}

/// recvmmsg and sendmmsg.
struct Batches {
    buffers: ReceiveBatch,
    most: usize,
}

impl Forward for Batches {
    fn forward(&mut self, relay: &Relay, counts: &mut Counts) -> io::Result<()> {
        let count = self.buffers.receive_up_to(self.most, relay.input.as_fd())?;
        let mut datagrams: [&[u8]; BATCH] = [&[]; BATCH];
        for (place, (datagram, _)) in datagrams.iter_mut().zip(self.buffers.frames()) {
            *place = datagram;
        }
        counts.received += count as u64;
        for output in &relay.outputs {
            let mut datagrams = &datagrams[..count];
            while !datagrams.is_empty() {
                let sent = sys::send_batch(output.as_fd(), datagrams);
                counts.sent += *sent.as_ref().unwrap_or(&0) as u64;
                counts.unsent += u64::from(sent.is_err());
                datagrams = datagrams.get(sent.unwrap_or(1)..).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// recv and send.
struct OneByOne(Vec<u8>);

impl Forward for OneByOne {
    fn forward(&mut self, relay: &Relay, counts: &mut Counts) -> io::Result<()> {
        let length = relay.input.recv(&mut self.0)?;
        counts.received += 1;
        for output in &relay.outputs {
            match output.send(&self.0[..length]) {
                Ok(_) => counts.sent += 1,
                Err(_) => counts.unsent += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(interface: &str, address: &str) -> Place {
        Place { interface: interface.to_owned(), address: address.parse().unwrap() }
    }

    #[test]
    fn a_relay_is_read_with_all_its_outputs() {
        let both: Wanted = "in0:239.1.0.1:5000=out0:239.2.0.1:5001,out1:239.3.0.1:5002".parse().unwrap();
        let outputs = vec![place("out0", "239.2.0.1:5001"), place("out1", "239.3.0.1:5002")];
        assert_eq!(both, Wanted { input: place("in0", "239.1.0.1:5000"), outputs });
        let v6: Wanted = "in0:[ff15::1:1]:5000=out0:[ff15::2:1]:5001".parse().unwrap();
        assert_eq!(v6.outputs, [place("out0", "[ff15::2:1]:5001")]);
        for (text, said) in [("in0:239.1.0.1:5000", "lacks ="), ("in0:239.1.0.1=out0:239.2.0.1:5001", "of the form")] {
            let error = text.parse::<Wanted>().unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn both_forms_of_asking_say_the_same() {
        let of = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.wanted());
        let long = of("peer --in-if in0 --in-group 239.1.0.1 --in-port 5000 --out out0:239.2.0.1:5001").unwrap();
        assert_eq!(long, of("peer --relay in0:239.1.0.1:5000=out0:239.2.0.1:5001").unwrap());
        let both = "peer --in-if in0 --in-group 239.1.0.1 --in-port 5000 --out out0:239.2.0.1:5001 \
                    --relay in0:239.1.0.1:5000=out0:239.2.0.1:5001";
        for wrong in ["peer", "peer --in-if in0 --in-port 5000", "peer --out out0:239.2.0.1:5001", both] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
