//! The stage that every test here plays on: a source, the relay, and receivers behind some output links.

use bench::links::{End, Port, Veth, ip};
use bench::packet::{Headers, Ip, Mac, build};
use bench::relay::{Relay, Report};
use bench::sink::Flow;
use bench::source::{self, Load, Source, Stream};
use bench::{Ledger, Namespace, SharedLedger, Sink, ledger};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// What was sent has arrived by then, or is lost.
pub(crate) const TAIL: Duration = Duration::from_secs(3);
/// What must not arrive would have come by then.
pub(crate) const SILENCE: Duration = Duration::from_millis(200);
/// Control takes note of a changed link or neighbour within this, with much slack for a busy machine.
pub(crate) const NOTED: Duration = Duration::from_secs(20);
/// The hops that packets leave with unless an output says otherwise.
pub(crate) const TTL: u8 = 16;
/// The shortest frame that Ethernet carries, without its checksum.
const SHORTEST: usize = 60;

/// What a rig can look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many output links there are.
    pub(crate) outputs: u8,
    /// Queues of every link in each direction.
    pub(crate) queues: u16,
    /// Queues of the output links.
    pub(crate) output_queues: u16,
    /// The MTU of the output links; the input link has 1500.
    pub(crate) output_mtu: u16,
    /// The MAC of all output links, in place of random ones.
    pub(crate) output_mac: Option<Mac>,
}

/// Three namespaces in a row: `src0` to `in0`, and `out0` to `rx0`, `out1` to `rx1` and so on.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) source: Namespace,
    pub(crate) relay: Namespace,
    pub(crate) receivers: Namespace,
    /// The source's end of the input link.
    pub(crate) from: Port,
    /// The relay's end of the input link.
    pub(crate) input: Port,
    /// The relay's ends of the output links, and the receivers'.
    pub(crate) outputs: Vec<(Port, Port)>,
}

impl Rig {
    /// A rig with so many plain output links.
    pub(crate) fn new(outputs: u8) -> Self {
        Self::shaped(Shape { outputs, queues: 1, output_queues: 1, output_mtu: 1500, output_mac: None })
    }

    /// A rig of that shape.
    pub(crate) fn shaped(shape: Shape) -> Self {
        let namespace = || Namespace::new("mcr-rig").unwrap();
        let (source, relay, receivers) = (namespace(), namespace(), namespace());
        let near = End::new(&source, "src0").address("10.1.0.1/24").address("fd01::1/64");
        let far = End::new(&relay, "in0").address("10.1.0.2/24").address("fd01::2/64");
        let (from, input) = Veth::new(near, far).queues(shape.queues).create().unwrap();
        let outputs = (0..shape.outputs).map(|n| {
            let mut near = End::new(&relay, &format!("out{n}"))
                .address(&format!("10.2.{n}.1/24"))
                .address(&format!("fd02:{n}::1/64"));
            if let Some(mac) = shape.output_mac {
                near = near.mac(mac);
            }
            let far = End::new(&receivers, &format!("rx{n}"))
                .address(&format!("10.2.{n}.9/24"))
                .address(&format!("fd02:{n}::9/64"));
            Veth::new(near, far).queues(shape.output_queues).mtu(shape.output_mtu).create().unwrap()
        });
        let outputs = outputs.collect();
        Self { source, relay, receivers, from, input, outputs }
    }

    /// Starts the relay and waits until it is ready.
    pub(crate) fn start(&self, config: &str) -> Show<'_> {
        Show { rig: self, mcr: Relay::start(&self.relay, config).unwrap(), sinks: Vec::new(), ledgers: Vec::new() }
    }

    /// Headers of the source's datagrams to that address and port; a unicast one is the relay's own.
    pub(crate) fn headers(&self, to: &str) -> Headers {
        let to: SocketAddr = to.parse().unwrap();
        let from = if to.is_ipv4() { Ipv4Addr::new(10, 1, 0, 1).into() } else { ipv6("fd01::1") };
        let headers = Headers::new(SocketAddr::new(from, 4000), to).from_mac(self.from.mac);
        if to.ip().is_multicast() { headers } else { headers.to_mac(self.input.mac) }
    }

    /// Headers with which the relay sends on an output link when its configuration adds nothing.
    pub(crate) fn relayed(&self, output: usize, to: &str) -> Headers {
        let to: SocketAddr = to.parse().unwrap();
        let (near, far) = &self.outputs[output];
        let from = SocketAddr::new(near.addresses[usize::from(to.is_ipv6())], 4000);
        let headers = Headers::new(from, to).from_mac(near.mac).ttl(TTL);
        if to.ip().is_multicast() { headers } else { headers.to_mac(far.mac) }
    }

    /// Plain streams of 1316 bytes to these addresses and ports, numbered from 1.
    pub(crate) fn streams(&self, to: &[&str]) -> Load {
        Load::new((1..).zip(to).map(|(id, to)| Stream::new(id, self.headers(to), 1316)).collect())
    }

    /// Runs `ip link set LINK …` in one of the namespaces.
    pub(crate) fn set_link(namespace: &Namespace, link: &str, what: &[&str]) {
        let mut arguments = vec!["-n", namespace.name(), "link", "set", link];
        arguments.extend(what);
        ip(&arguments).unwrap();
    }
}

/// A running relay on its rig, and what listens behind it.
#[derive(Debug)]
pub(crate) struct Show<'a> {
    pub(crate) rig: &'a Rig,
    pub(crate) mcr: Relay,
    pub(crate) sinks: Vec<Sink>,
    pub(crate) ledgers: Vec<SharedLedger>,
}

impl Show<'_> {
    /// Expects a stream at an output as the relay sends it when its configuration adds nothing.
    pub(crate) fn expect(&mut self, stream: u32, output: usize, to: &str) -> Flow {
        let ledger = self.ledger(stream, &format!("stream {stream} as {to} on out{output}"));
        let headers = self.rig.relayed(output, to);
        Flow::new(headers.destination(), &ledger)
            .source(headers.source().ip())
            .source_port(4000)
            .source_mac(headers.source_mac)
            .destination_mac(headers.destination_mac)
            .hops(TTL)
            .dscp(0)
            .vlans(&[])
    }

    /// A ledger of the books for a flow of your own.
    pub(crate) fn ledger(&mut self, stream: u32, name: &str) -> SharedLedger {
        let ledger = Ledger::shared(name, stream);
        self.ledgers.push(SharedLedger::clone(&ledger));
        ledger
    }

    /// Listens behind an output for these flows and nothing else.
    pub(crate) fn listen(&mut self, output: usize, flows: Vec<Flow>) {
        self.sinks.push(Sink::start(&self.rig.receivers, &format!("rx{output}"), flows).unwrap());
    }

    /// Sends a load to its end.
    pub(crate) fn send(&self, load: Load) -> source::Report {
        self.source(load).finish().unwrap()
    }

    /// Starts sending a load.
    pub(crate) fn source(&self, load: Load) -> Source {
        Source::start(&self.rig.source, "src0", load).unwrap()
    }

    /// Sends a load to its end, and balances.
    pub(crate) fn play(self, load: Load) -> Report {
        let sent = self.send(load);
        self.balance(&[sent])
    }

    /// Ends everything and balances the books: all that was sent came out once on every output that was listened on,
    /// in order and byte by byte, but for what the relay or the kernel counted as dropped, reason by reason.
    ///
    /// Every stream of the books must have as many ledgers as any other, and every output a ledger.
    pub(crate) fn balance(self, sent: &[source::Report]) -> Report {
        sent.iter().for_each(|sent| enter(sent, &self.ledgers));
        ledger::wait_for_tail(&self.ledgers, TAIL);
        self.sinks.into_iter().for_each(|sink| sink.stop().unwrap().check().unwrap());
        let report = self.mcr.stop().unwrap();
        let streams: BTreeSet<u32> = self.ledgers.iter().map(|ledger| ledger::lock(ledger).stream()).collect();
        let outputs_per_stream = (self.ledgers.len() / streams.len()) as u64;
        let mut lost = 0;
        for ledger in &self.ledgers {
            let ledger = ledger::lock(ledger);
            ledger.check(ledger.lost()).unwrap();
            lost += ledger.lost();
        }
        let named = outputs_per_stream * lost_before_lanes(&report) + lost_on_outputs(&report);
        assert_eq!(lost, named, "lost on the way, and counted by name in {}", report.0);
        report
    }

    /// Sends these frames as they are, waits until `expected` datagrams have come out on the first output, and
    /// returns them as they came; one more than expected, or one less, fails.
    pub(crate) fn exchange<F: AsRef<[u8]>>(&self, frames: &[F], expected: usize) -> Vec<Vec<u8>> {
        let sink = Sink::start_keeping(expected + 1, &self.rig.receivers, "rx0", Vec::new()).unwrap();
        source::send_frames(&self.rig.source, "src0", frames).unwrap();
        self.take(sink, expected)
    }

    /// Waits until `expected` datagrams have come to a sink that keeps them, and returns their frames.
    pub(crate) fn take(&self, sink: Sink, expected: usize) -> Vec<Vec<u8>> {
        let deadline = bench::clock::Deadline::after(TAIL);
        while sink.datagrams() < expected as u64 && !deadline.passed() {
            std::thread::sleep(Duration::from_millis(2));
        }
        sink.settle(SILENCE, TAIL);
        let report = sink.stop().unwrap();
        assert_eq!((report.missed, report.datagrams), (0, expected as u64), "missed by the sink, and datagrams");
        report.frames
    }

    /// Waits until no input and no output is pending, when at most one was at the start.
    pub(crate) fn wait_until_nothing_is_pending(&self) {
        let ready = self.mcr.wait_until_ready().unwrap();
        if !ready.contains("pending=0") {
            self.wait_for(0, "no longer pending");
        }
    }

    /// Waits until the relay has said that since a mark in its lines.
    pub(crate) fn wait_for(&self, mark: usize, text: &str) {
        self.mcr.process.wait_for_after(mark, text, NOTED).unwrap();
    }
}

/// Enters what was sent into the ledgers of those streams.
fn enter(sent: &source::Report, ledgers: &[SharedLedger]) {
    let of_this_report = |ledger: &&SharedLedger| sent.sent(ledger::lock(ledger).stream()) > 0;
    ledgers.iter().filter(of_this_report).for_each(|ledger| sent.enter(std::slice::from_ref(ledger)));
}

/// Packets that no output has seen, for whatever reason.
fn lost_before_lanes(report: &Report) -> u64 {
    let sockets = ["rx_dropped", "rx_ring_full"].map(|name| report.sockets(name));
    let relays = report.0["relays"].as_array().into_iter().flatten().map(|relay| sum(&relay["drops"]));
    sockets.iter().sum::<u64>() + sum(&report.0["drops"]) - report.dropped("stale") + relays.sum::<u64>()
}

/// Packets that one output did not send, for whatever reason.
fn lost_on_outputs(report: &Report) -> u64 {
    let relays = report.0["relays"].as_array().into_iter().flatten();
    let outputs = relays.flat_map(|relay| relay["outputs"].as_array().into_iter().flatten());
    let dropped = outputs.map(|output| sum(&output["drops"])).sum::<u64>();
    // Of which output these were, nobody knows.
    dropped + report.lanes("kick_busy") + report.dropped("stale")
}

fn sum(drops: &serde_json::Value) -> u64 {
    drops.as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum()
}

/// Every frame of a single lane is where it was before the first packet: in a fill ring, or free.
pub(crate) fn assert_no_frame_is_missing(report: &Report, sockets: u64, ring_size: u64) {
    let frames = report.0["lanes"][0]["frames"].as_u64().unwrap();
    assert_eq!(report.lanes("free_frames") + sockets * ring_size, frames, "free, filled; all: {}", report.0);
}

/// The frame of a datagram as Ethernet carries it: filled up with zeros when it is short.
pub(crate) fn frame(headers: &Headers, payload: &[u8]) -> Vec<u8> {
    let mut frame = build(headers, payload);
    frame.resize(frame.len().max(SHORTEST), 0);
    frame
}

/// Changes the IPv4 header of a datagram.
pub(crate) fn with_ipv4(mut headers: Headers, change: impl FnOnce(&mut bench::packet::Ipv4)) -> Headers {
    match &mut headers.ip {
        Ip::V4(ip) => change(ip),
        Ip::V6(_) => panic!("{} is not IPv4", headers.destination()),
    }
    headers
}

/// Bytes that are not all the same and end in an odd place.
pub(crate) fn payload(length: usize) -> Vec<u8> {
    (0..251_u8).cycle().step_by(7).take(length).collect()
}

fn ipv6(address: &str) -> IpAddr {
    address.parse::<Ipv6Addr>().unwrap().into()
}
