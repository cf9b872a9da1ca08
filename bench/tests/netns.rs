//! The laboratory tested with itself: a source, a wire and a sink, and ordinary sockets as the relay.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bench::ledger::{Ledger, SharedLedger, lock, wait_for_tail};
use bench::links::{End, Port, Veth, ethtool, received_per_queue, steer};
use bench::netns::{Namespace, Reaper, sweep};
use bench::packet::{Checksum, Headers, Vlan, build, parse};
use bench::payload::Shape;
use bench::sink::Flow;
use bench::source::{Load, Stream, send_frames};
use bench::{Process, Sink, Source, UdpListener};

const LONG: Duration = Duration::from_secs(20);

/// Two namespaces and a wire between them.
struct Wire {
    left: Namespace,
    right: Namespace,
    left_port: Port,
}

fn new_namespace() -> Namespace {
    Namespace::new("lab").expect("root's rights and ip")
}

fn wire(queues: u16) -> Wire {
    let (left, right) = (new_namespace(), new_namespace());
    let near = End::new(&left, "near").address("10.9.0.1/24").address("fd00:9::1/64");
    let far = End::new(&right, "far").address("10.9.0.2/24").address("fd00:9::2/64");
    let (left_port, _) = Veth::new(near, far).queues(queues).create().expect("root's rights, ip and ethtool");
    Wire { left, right, left_port }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn balanced(ledgers: &[SharedLedger]) {
    wait_for_tail(ledgers, LONG);
    for ledger in ledgers {
        lock(ledger).check(0).expect("a balanced account");
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_paced_source_reaches_the_sink_once_in_order_and_intact() {
    let wire = wire(1);
    let destinations = [address("239.1.1.1:5000"), address("[ff3e::8000:1]:5000")];
    let sources = [address("10.9.0.1:7000"), address("[fd00:9::1]:7000")];
    let ledgers = [Ledger::shared("v4", 1), Ledger::shared("v6", 2)];
    let flows = (0..2).map(|number| {
        Flow::new(destinations[number], &ledgers[number]).shape(Shape::RtpTs).source(sources[number].ip()).hops(64)
    });
    let sink = Sink::start(&wire.right, "far", flows.collect()).unwrap();
    let streams = [(1, 0), (2, 1)].map(|(id, number)| {
        let headers = Headers::new(sources[number], destinations[number]).from_mac(wire.left_port.mac);
        Stream::broadcast(id, headers)
    });
    let load = Load::new(streams.to_vec()).rate(50_000).packets(50_000);
    let report = Source::start(&wire.left, "near", load).unwrap().finish().unwrap();
    report.enter(&ledgers);
    balanced(&ledgers);
    sink.stop().unwrap().check().unwrap();
    assert!((0.9..3.0).contains(&report.elapsed.as_secs_f64()), "{:?}", report.elapsed);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_source_at_full_speed_counts_exactly_what_the_wire_took() {
    let wire = wire(1);
    let ledger = Ledger::shared("flat out", 1);
    let destination = address("239.1.1.1:5000");
    let sink = Sink::start(&wire.right, "far", vec![Flow::new(destination, &ledger)]).unwrap();
    let stream = Stream::new(1, Headers::new(address("10.9.0.1:7000"), destination), 200);
    let report = Source::start(&wire.left, "near", Load::new(vec![stream]).packets(300_000)).unwrap().finish().unwrap();
    report.enter(std::slice::from_ref(&ledger));
    balanced(&[ledger]);
    sink.stop().unwrap().check().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn every_frame_arrives_as_it_was_sent_tags_and_checksums_included() {
    let wire = wire(1);
    let plain = Headers::new(address("10.9.0.1:7000"), address("239.1.1.1:5000"));
    let frames: Vec<Vec<u8>> = [
        plain.clone(),
        plain.clone().tagged(&[Vlan { priority: 6, ..Vlan::new(100) }]),
        plain.clone().tagged(&[Vlan::service(200), Vlan::new(100)]),
        plain.clone().checksum(Checksum::Zero),
        plain.checksum(Checksum::Partial),
        Headers::new(address("[fd00:9::1]:7000"), address("[ff3e::8000:1]:5000")).dscp(46),
    ]
    .iter()
    .map(|headers| build(headers, b"a payload of some bytes"))
    .collect();
    let sink = Sink::start_keeping(100, &wire.right, "far", Vec::new()).unwrap();
    send_frames(&wire.left, "near", &frames).unwrap();
    assert!(sink.settle(Duration::from_millis(200), LONG));
    let report = sink.stop().unwrap();
    assert_eq!(report.frames, frames);
    assert_eq!(report.strangers, 6);
    assert!(report.check().unwrap_err().to_string().contains("10.9.0.1:7000 to 239.1.1.1:5000"));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_wrong_with_a_datagram_is_said() {
    let wire = wire(1);
    let destination = address("239.1.1.1:5000");
    let ledger = Ledger::shared("strict", 1);
    let flow = Flow::new(destination, &ledger).source(ip("10.9.0.1")).hops(16).vlans(&[]);
    let sink = Sink::start(&wire.right, "far", vec![flow]).unwrap();
    let from = |source: &str| Headers::new(address(source), destination).ttl(16);
    for headers in [
        from("10.9.0.7:1"),
        from("10.9.0.1:1").ttl(15),
        from("10.9.0.1:1").tagged(&[Vlan::new(5)]),
        from("10.9.0.1:1").checksum(Checksum::Wrong),
    ] {
        let load = Load::new(vec![Stream::new(1, headers, 64)]).packets(1);
        Source::start(&wire.left, "near", load).unwrap().finish().unwrap();
    }
    assert!(sink.settle(Duration::from_millis(200), LONG));
    sink.stop().unwrap().check().unwrap();
    let text = lock(&ledger).descriptions().join("\n");
    let wanted = ["source address is 10.9.0.7", "TTL is 15", "tags are [Vlan", "UDP checksum is Wrong"];
    assert!(wanted.iter().all(|part| text.contains(part)), "{text}");
    assert_eq!(lock(&ledger).corrupt(), 4);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn frames_go_to_the_queue_that_was_chosen() {
    let wire = wire(4);
    ethtool(&wire.right, &["-K", "far", "gro", "on"]).unwrap();
    ethtool(&wire.left, &["-K", "near", "tso", "off"]).unwrap();
    let stream = |id: u32, port: u16| {
        let source = SocketAddr::from(([10, 9, 0, 1], 7000 + port));
        Stream::new(id, Headers::new(source, address("239.1.1.1:5000")), 64)
    };
    let send = |load: Load| {
        let before = received_per_queue(&wire.right, "far").unwrap();
        Source::start(&wire.left, "near", load.packets(100)).unwrap().finish().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let after = received_per_queue(&wire.right, "far").unwrap();
        after.iter().zip(before).map(|(after, before)| after - before).collect::<Vec<_>>()
    };
    // The sockets of an interface send something of their own now and then (MLD), so the counts have lower bounds.
    let spread = send(Load::new((0..32).zip(0..).map(|(id, port)| stream(id, port)).collect()));
    assert!(spread.iter().filter(|count| **count >= 100).count() >= 3, "32 flows went to {spread:?}");
    for core in 0..2 {
        let pinned = send(Load::new(vec![stream(1, 0)]).around_qdisc().on_core(core));
        assert!(pinned[core] >= 100, "core {core} sent to {pinned:?}");
    }
    for queue in [3, 1] {
        steer(&wire.left, "near", queue, 4).unwrap();
        let steered = send(Load::new((0..32).zip(0..).map(|(id, port)| stream(id, port)).collect()));
        assert!(steered[usize::from(queue)] >= 3200, "steered to queue {queue}, went to {steered:?}");
    }
    assert!(steer(&wire.left, "near", 4, 4).is_err());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_plain_socket_hears_the_groups_it_joined() {
    let wire = wire(1);
    for (source, group) in [("10.9.0.1:7000", "239.1.1.1:5000"), ("[fd00:9::1]:7000", "[ff3e::8000:1]:5000")] {
        let (source, group) = (address(source), address(group));
        let listener = UdpListener::start(&wire.right, "far", group).unwrap();
        let ledger = Ledger::shared("listener", 9);
        let load = Load::new(vec![Stream::new(9, Headers::new(source, group), 500)]).rate(2_000).packets(500);
        Source::start(&wire.left, "near", load).unwrap().finish().unwrap().enter(std::slice::from_ref(&ledger));
        assert_eq!(listener.drain(&ledger, Shape::Plain, Duration::from_millis(300)).unwrap(), 500);
        lock(&ledger).check(0).unwrap();
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn ordinary_sockets_relay_a_group_and_the_ledger_agrees_with_their_count() {
    let wire = wire(1);
    let receivers = new_namespace();
    // Without this a socket's datagrams would cross the veth with partial checksums.
    let out = End::new(&wire.right, "out0").address("10.8.0.1/24").without_checksum_offload();
    Veth::new(out, End::new(&receivers, "rx0").address("10.8.0.2/24")).create().unwrap();
    let mut command = wire.right.command(env!("CARGO_BIN_EXE_peer"));
    command.args("--in-if far --in-group 239.1.1.1 --in-port 5000 --out out0:239.2.1.1:5001 --ttl 7".split(' '));
    let mut peer = Process::start("peer", command).unwrap();
    peer.wait_for("ready", LONG).unwrap();
    let ledger = Ledger::shared("by peer", 1);
    let flow = Flow::new(address("239.2.1.1:5001"), &ledger).shape(Shape::RtpTs).source(ip("10.8.0.1")).hops(7);
    let sink = Sink::start(&receivers, "rx0", vec![flow]).unwrap();
    let headers = Headers::new(address("10.9.0.1:7000"), address("239.1.1.1:5000"));
    let load = Load::new(vec![Stream::broadcast(1, headers)]).rate(5_000).packets(10_000);
    Source::start(&wire.left, "near", load).unwrap().finish().unwrap().enter(std::slice::from_ref(&ledger));
    balanced(&[ledger]);
    sink.stop().unwrap().check().unwrap();
    peer.stop(LONG).unwrap();
    peer.wait_for("received 10000 sent 10000 unsent 0", LONG).unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn nothing_is_left_behind() {
    let exists = |name: &str| Path::new("/run/netns").join(name).exists();
    let namespace = new_namespace();
    let name = namespace.name().to_owned();
    // Whoever runs inside goes as well.
    let inside = Process::start("sleep", {
        let mut sleep = namespace.command("sleep");
        sleep.arg("60");
        sleep
    })
    .unwrap();
    assert!(exists(&name));
    drop(namespace);
    assert!(!exists(&name));
    assert!(inside.wait_for("anything", LONG).is_err());

    let panicked = std::thread::spawn(|| {
        let namespace = new_namespace();
        std::panic::panic_any(namespace.name().to_owned());
    });
    let name = panicked.join().unwrap_err().downcast::<String>().unwrap();
    assert!(!exists(&name));

    // One whose maker was killed with -9: by the sweep, and by the reaper before that.
    let swept = "lab-swept-4194305-0";
    bench::links::ip(&["netns", "add", swept]).unwrap();
    assert_eq!(sweep("lab-swept").unwrap(), [swept]);
    assert!(!exists(swept));
    let reaped = std::mem::ManuallyDrop::new(new_namespace());
    let mut reaper = Reaper::start().unwrap();
    reaper.guard(&reaped).unwrap();
    drop(reaper);
    assert!(!exists(reaped.name()));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn headers_of_a_real_socket_are_parsed() {
    let wire = wire(1);
    let sink = Sink::start_keeping(1, &wire.right, "far", Vec::new()).unwrap();
    let socket = wire.left.run(|| std::net::UdpSocket::bind("10.9.0.1:7000")).unwrap();
    socket.send_to(b"hello", "10.9.0.2:9").unwrap();
    assert!(sink.settle(Duration::from_millis(200), LONG));
    let frames = sink.stop().unwrap().frames;
    let parsed = parse(&frames[0]).unwrap();
    assert_eq!(parsed.headers.source(), address("10.9.0.1:7000"));
    assert_eq!(parsed.headers.checksum, Checksum::Partial);
    assert_eq!(&frames[0][parsed.payload], b"hello");
}
