//! Two nodes that feed each other: a packet must not go round for ever.

use crate::rig::{TAIL, frame, payload};
use bench::clock::{Deadline, monotonic_ns};
use bench::links::{End, Port, Veth, ip};
use bench::packet::Headers;
use bench::source::send_frames;
use bench::{Namespace, Relay, Sink, UdpListener};
use std::net::UdpSocket;
use std::time::Duration;

/// A loop that is not found is never silent for so long.
const SILENCE: Duration = Duration::from_millis(500);
/// A loop is found within a second; a busy machine may need ten times as long.
const FOUND: Duration = Duration::from_secs(10);
/// A loop that is gone is known to be gone after 13 seconds.
const GONE: Duration = Duration::from_secs(60);
/// What a node says of a loop, and when it is gone.
const LOOPS: &str = "what it sends comes in again on";
const ENDED: &str = "does not come round any more";

/// A segment with a source, two nodes and somebody who listens; and a second link from the first node to the other.
struct Nodes {
    source: Namespace,
    first: Namespace,
    second: Namespace,
    listener: Namespace,
    /// What the segment is made of.
    _bridge: Namespace,
    from: Port,
}

impl Nodes {
    fn new() -> Self {
        let namespace = || Namespace::new("mcr-nodes").unwrap();
        let (source, first, second, listener, bridge) =
            (namespace(), namespace(), namespace(), namespace(), namespace());
        let within = |arguments: &[&str]| ip(&[&["-n", bridge.name()], arguments].concat()).unwrap();
        // Nobody asks for groups here, so it floods them, whether it can listen for them or not.
        within(&["link", "add", "br0", "up", "type", "bridge"]);
        let join = |namespace: &Namespace, name: &str, host: u8| {
            let (v4, v6) = (format!("10.1.0.{host}/24"), format!("fd01::{host}/64"));
            let port = format!("port{host}");
            let near = End::new(namespace, name).address(&v4).address(&v6);
            let (near, _) = Veth::new(near, End::new(&bridge, &port)).create().unwrap();
            within(&["link", "set", &port, "master", "br0"]);
            near
        };
        let from = join(&source, "src0", 1);
        join(&first, "seg0", 2);
        join(&second, "seg0", 3);
        join(&listener, "seg0", 9);
        let near = End::new(&first, "link0").address("10.2.0.2/24").address("fd02::2/64");
        Veth::new(near, End::new(&second, "link0").address("10.2.0.3/24").address("fd02::3/64")).create().unwrap();
        Self { source, first, second, listener, _bridge: bridge, from }
    }

    fn start(&self, first: &str, second: &str) -> [Relay; 2] {
        let relays = [Relay::start(&self.first, first).unwrap(), Relay::start(&self.second, second).unwrap()];
        relays.iter().for_each(|relay| drop(relay.wait_until_ready().unwrap()));
        relays
    }

    fn frame(&self, from: &str, to: &str, ttl: u8) -> Vec<u8> {
        let headers = Headers::new(from.parse().unwrap(), to.parse().unwrap()).from_mac(self.from.mac).ttl(ttl);
        frame(&headers, &payload(1316))
    }

    /// Sends one packet, and says how many were on the segment until it was silent.
    fn send_one(&self, packet: &[u8]) -> u64 {
        let sink = Sink::start(&self.listener, "seg0", Vec::new()).unwrap();
        send_frames(&self.source, "src0", &[packet]).unwrap();
        assert!(sink.settle(SILENCE, FOUND), "{} packets, and it goes on", sink.datagrams());
        sink.stop().unwrap().datagrams
    }
}

fn relay(input: &str, output: &str) -> String {
    format!("[[relay]]\nname = \"round\"\ninput = {{ {input} }}\noutputs = [{{ {output} }}]\n")
}

/// From the first group of the segment to the second, or back.
fn on_the_segment(from: u8, to: u8, ttl: &str) -> String {
    let group = |last| format!("interface = \"seg0\", group = \"239.1.1.{last}\", port = 5000");
    relay(&group(from), &format!("{}, ttl = {ttl}", group(to)))
}

/// Who of two nodes says that it is in a loop.
fn found(nodes: &[Relay; 2]) -> Vec<usize> {
    let says = |node: &usize| nodes[*node].process.lines().iter().any(|line| line.contains(LOOPS));
    (0..2).filter(says).collect()
}

fn wait_until_found(nodes: &[Relay; 2]) -> usize {
    let (deadline, begin) = (Deadline::after(FOUND), monotonic_ns());
    loop {
        match found(nodes).first() {
            Some(node) => {
                eprintln!("    found within {} ms of the silence", (monotonic_ns() - begin) / 1_000_000);
                return *node;
            }
            None => assert!(!deadline.passed(), "nobody says it: {:?}", nodes[0].process.lines()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends both. Says how many packets they dropped because they came round.
fn looped(nodes: [Relay; 2]) -> u64 {
    nodes.map(|node| node.stop().unwrap().relay_dropped("round", "looped")).iter().sum()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn one_packet_on_a_segment_with_two_nodes_that_feed_each_other_ends() {
    let rig = Nodes::new();
    let nodes = rig.start(&on_the_segment(1, 2, "16"), &on_the_segment(2, 1, "16"));
    let n = rig.send_one(&rig.frame("10.1.0.1:4000", "239.1.1.1:5000", 1));
    assert!(n > 6, "{n} packets: not before it is proved");
    wait_until_found(&nodes);
    assert_eq!(looped(nodes), 1, "the one that went round");
}

/// Over a second link and back, in a VLAN, from other ports, over IPv6.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn one_packet_that_is_rewritten_on_its_way_round_two_links_ends() {
    let rig = Nodes::new();
    let first = relay(
        "interface = \"seg0\", group = \"ff3e::8000:1\", port = 5000",
        "interface = \"link0.30\", group = \"ff3e::8000:2\", port = 5001, source_port = 7000",
    );
    let second = relay(
        "interface = \"link0.30\", group = \"ff3e::8000:2\", port = 5001",
        "interface = \"seg0\", group = \"ff3e::8000:1\", port = 5000, source_port = 7001, dscp = 34, ttl = 200",
    );
    let nodes = rig.start(&first, &second);
    rig.send_one(&rig.frame("[fd01::1]:4000", "[ff3e::8000:1]:5000", 1));
    wait_until_found(&nodes);
    assert_eq!(looped(nodes), 1, "the one that went round");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_ttl_that_counts_down_ends_a_packet_by_itself() {
    let rig = Nodes::new();
    let nodes = rig.start(&on_the_segment(1, 2, "\"decrement\""), &on_the_segment(2, 1, "\"decrement\""));
    let n = rig.send_one(&rig.frame("10.1.0.1:4000", "239.1.1.1:5000", 10));
    assert_eq!(n, 10, "with TTL 10, 9, 8 and so on to 1");
    let expired = |node: &bench::relay::Report| node.output_dropped("round", 0, "ttl_expired");
    let reports = nodes.map(|node| node.stop().unwrap());
    assert_eq!(reports.each_ref().map(expired).iter().sum::<u64>(), 1);
    assert_eq!(reports.map(|report| report.relay_dropped("round", "looped")), [0, 0]);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn while_a_loop_is_cut_the_source_is_relayed_and_when_it_is_gone_that_is_said() {
    let rig = Nodes::new();
    ip(&["-n", rig.source.name(), "route", "add", "224.0.0.0/4", "dev", "src0"]).unwrap();
    let nodes = rig.start(&on_the_segment(1, 2, "16"), &on_the_segment(2, 1, "16"));
    rig.send_one(&rig.frame("10.1.0.1:4000", "239.1.1.1:5000", 1));
    let cut_by = wait_until_found(&nodes);

    let listener = UdpListener::start(&rig.listener, "seg0", "239.1.1.2:5000".parse().unwrap()).unwrap();
    let socket = rig.source.run(|| UdpSocket::bind("10.1.0.1:4000")).unwrap();
    for n in 0..=255_u8 {
        socket.send_to(&[n; 1316], "239.1.1.1:5000").unwrap();
        assert_eq!(listener.receive(TAIL).unwrap().unwrap().0, [n; 1316], "each once");
    }
    assert_eq!(listener.receive(SILENCE).unwrap(), None, "and none twice");

    let [first, second] = nodes;
    let (cut, other) = if cut_by == 0 { (first, second) } else { (second, first) };
    other.stop().unwrap();
    cut.process.wait_for_after(0, ENDED, GONE).unwrap();
    cut.stop().unwrap();
}

/// A chain is no loop, however alike its packets are.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_chain_of_two_nodes_relays_a_stream_whose_packets_are_all_the_same() {
    const PACKETS: usize = 20_000;
    let rig = Nodes::new();
    let nodes = rig.start(&on_the_segment(1, 2, "16"), &on_the_segment(2, 3, "16"));
    let listener = UdpListener::start(&rig.listener, "seg0", "239.1.1.3:5000".parse().unwrap()).unwrap();
    let null_packets = rig.frame("10.1.0.1:4000", "239.1.1.1:5000", 1);
    for _ in 0..PACKETS / 100 {
        send_frames(&rig.source, "src0", &[&null_packets; 100]).unwrap();
        for n in 0..100 {
            assert!(listener.receive(TAIL).unwrap().is_some(), "{n} of a hundred");
        }
    }
    assert_eq!(found(&nodes), [] as [usize; 0]);
    assert_eq!(looped(nodes), 0);
}
