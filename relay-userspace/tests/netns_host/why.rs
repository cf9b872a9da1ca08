//! What goes past the program, who is in a group and who waits in vain is found on real links.

use crate::line::Line;
use bench::UdpListener;
use bench::packet::{Headers, Vlan, build};
use bench::source::send_frames;
use relay_common::abi::{Address, InputKey, InputValue, MacKey};
use relay_common::decide::Verdict;
use relay_common::entry::Vlans;
use relay_common::facts::Link;
use relay_common::plan::{Definition, Input, Mode, Output, Relay, Source};
use relay_common::why::{Counts, Evidence, Fit, Lane, Membership, Queue, Stage, Walk, walk};
use relay_control::bpf::attached::Attached;
use relay_control::bpf::program::{Loading, Program};
use relay_control::membership::Memberships;
use relay_control::why::{Joined, Known, attachment, look};
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const GROUP: &str = "239.1.1.1:5000";
const GROUP6: &str = "[ff3e::8000:1]:5000";

/// A line whose relay has our program on its input, and no lane: nothing is redirected, everything else is as it is.
struct Desk {
    line: Line,
    program: Program,
    attached: Attached,
}

impl Desk {
    fn new() -> Self {
        let line = Line::new();
        let (program, attached) = line.relay.run(|| {
            let program = Program::load(Loading { max_relays: 16, debug: false }).unwrap();
            let attached = program.attach("in0", line.in0.index, Mode::Native).unwrap();
            (program, attached)
        });
        Self { line, program, attached }
    }

    /// Has the program know the relay.
    fn matches(&self, relay: &Relay) -> &Self {
        let Input { destination, port, vlans, ref sources, .. } = relay.input;
        let key = InputKey {
            ifindex: self.line.in0.index,
            destination: Address::from(destination),
            port: port.get(),
            vlans,
            zero: 0,
        };
        let has_sources = u32::from(!sources.is_empty());
        self.program.put_input(key, InputValue { slot: 3, has_sources, socket_base: 0, n_queues: 1 }).unwrap();
        self
    }

    /// What the node would know, when everything that it knows is as it should be.
    fn known(&self, relay: &Relay, n_sockets: u32) -> Known {
        let ifindex = self.line.in0.index;
        let own = "10.1.0.2".parse().unwrap();
        let link = Link {
            name: "in0".to_owned(),
            ifindex,
            mac: self.line.in0.mac.0,
            mtu: 1500,
            up: true,
            carrier: true,
            v4: vec![(own, 24)],
            v6: Vec::new(),
            n_rx_queues: 1,
            n_tx_queues: 1,
        };
        let lane =
            Lane { number: 0, is_alive: true, heartbeat_age_ns: 0, heartbeat_limit_ns: 1, generation: 1, in_force: 1 };
        let info = self.attached.info().unwrap();
        let inputs = self.program.inputs::<std::collections::BTreeMap<_, _>>().unwrap();
        Known {
            relay: relay.clone(),
            file: None,
            mute: None,
            pending: Vec::new(),
            link: Some(link),
            own_ports: std::collections::BTreeSet::new(),
            joined: Some(Joined { device: "in0".to_owned(), ifindex, n_sockets }),
            attachment: attachment(self.attached.hook, info, self.program.id().unwrap()),
            is_matched: Some(inputs.values().any(|value| value.slot == 3)),
            queues: vec![Queue { number: 0, has_socket: false }],
            lanes: vec![lane],
            silence_after_ns: 1_000_000_000,
            longest_packet: 1766,
        }
    }

    /// Looks while the frames are sent, over and over.
    fn look(&self, known: Known, frames: &[Vec<u8>]) -> Evidence {
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    send_frames(&self.line.source, "src0", frames).unwrap();
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let reader = self.program.verdict_reader().unwrap();
            let count = || Counts { verdicts: reader.read().unwrap(), ..Counts::default() };
            let evidence = self.line.relay.run(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(look(known, count))
            });
            is_done.store(true, Ordering::Relaxed);
            evidence
        })
    }

    fn headers(&self, to: &str) -> Headers {
        self.line.headers(to)
    }

    fn join(&self, relay: &Relay) -> Memberships {
        let Input { destination, sources, .. } = &relay.input;
        self.line.relay.run(|| {
            let mut memberships = Memberships::default();
            memberships.join(self.line.in0.index, *destination, sources).unwrap();
            memberships
        })
    }
}

fn relay(destination: &str, vlans: [u16; 2], sources: &[&str]) -> Relay {
    let to: std::net::SocketAddr = destination.parse().unwrap();
    let input = Input {
        interface: "in0".to_owned(),
        vlans,
        destination: to.ip(),
        port: NonZeroU16::new(to.port()).unwrap(),
        sources: sources.iter().map(|source| source.parse().unwrap()).collect(),
    };
    let output = Output {
        interface: "out0".to_owned(),
        vlans: Vlans::Set { n: 0, ids: [0; 2] },
        destination: if to.is_ipv4() { [239, 2, 1, 1].into() } else { "ff3e::8000:2".parse().unwrap() },
        port: to.port().try_into().unwrap(),
        ttl: NonZeroU8::new(16),
        dscp: None,
        source: Source::Link,
        source_port: None,
    };
    Relay::from(Definition {
        name: "one".to_owned(),
        description: String::new(),
        labels: Default::default(),
        enabled: true,
        muted: false,
        silence_after_ms: Some(1000),
        meters: relay_common::plan::Meters::Full,
        input,
        outputs: vec![output].into(),
    })
}

fn told(evidence: &Evidence) -> Walk {
    walk("one", Some(evidence), &["one"])
}

#[track_caller]
fn breaks(evidence: &Evidence, stage: Stage, words: &[&str]) {
    let walk = told(evidence);
    let step = walk.first_broken().unwrap_or_else(|| panic!("nothing is broken:\n{walk}"));
    assert_eq!(step.stage, stage, "\n{walk}\n{evidence:#?}");
    let said = format!("{} -> {}", step.finding.text, step.finding.remedy.as_deref().unwrap());
    words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in {said:?}"));
}

/// What is wrong with a stream that arrives, but not as the relay wants it: the relay, what is sent, what is said of it.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_stream_that_arrives_otherwise_than_wanted_is_told() {
    let desk = Desk::new();
    let frame = |to: &str, vlans: &[Vlan]| build(&desk.headers(to).tagged(vlans), b"why is it dark?");
    let mut fragment = frame(GROUP, &[]);
    fragment[14 + 6] |= 0x20; // more fragments follow
    // Another group with the same hardware address.
    let other = || frame("239.129.1.1:5000", &[]);
    let two = [Vlan::service(5), Vlan::new(7)];
    let any = |to| relay(to, [0; 2], &[]);
    let cases = [
        (any(GROUP), vec![other()], Stage::Seen, vec!["nothing for 239.1.1.1:5000", "tcpdump -ni in0 igmp"]),
        (any(GROUP), vec![frame("239.1.1.1:5002", &[])], Stage::Seen, vec!["on port 5002, not 5000"]),
        (any(GROUP), vec![fragment], Stage::Whole, vec!["fragments from 10.1.0.1"]),
        (any(GROUP), vec![frame(GROUP, &[Vlan::new(200)])], Stage::Vlan, vec!["with VLAN 200", "\"in0.200\""]),
        (any(GROUP), vec![frame(GROUP, &two)], Stage::Vlan, vec!["with VLANs 5 and 7", "\"in0.5.7\""]),
        (relay(GROUP, [100, 0], &[]), vec![frame(GROUP, &[])], Stage::Vlan, vec!["without a tag", "VLAN 100"]),
        (relay(GROUP, [0; 2], &["10.1.0.9"]), vec![frame(GROUP, &[])], Stage::Source, vec!["from 10.1.0.1,", "add"]),
        (any(GROUP), vec![frame(GROUP, &[])], Stage::Socket, vec!["queue 0 of \"in0\" has no socket"]),
        (any(GROUP6), vec![frame("[ff3e::8000:1]:5002", &[])], Stage::Seen, vec!["on port 5002, not 5000"]),
        (any(GROUP6), vec![frame(GROUP6, &two)], Stage::Vlan, vec!["with VLANs 5 and 7"]),
        (any(GROUP6), vec![frame("[ff3e::8000:2]:5000", &[])], Stage::Seen, vec!["nothing for", "icmp6"]),
    ];
    for (relay, frames, stage, words) in cases {
        let _memberships = desk.join(&relay);
        let known = desk.matches(&relay).known(&relay, 1);
        let evidence = desk.look(known, &frames);
        assert!(evidence.window_ns >= 900_000_000, "a look lasts");
        assert_eq!(evidence.wire.as_ref().unwrap().missed, 0);
        breaks(&evidence, stage, &words);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn frames_that_the_program_takes_are_not_among_those_that_pass() {
    let desk = Desk::new();
    let relay = relay(GROUP, [0; 2], &[]);
    let mac = MacKey { mac: desk.line.src0.mac.0, zero: [0; 2] };
    desk.program.put_own_mac(mac).unwrap();
    let _memberships = desk.join(&relay);
    let mut known = desk.matches(&relay).known(&relay, 1);
    known.queues.clear();
    let evidence = desk.look(known, &[build(&desk.headers(GROUP), b"round and round")]);
    assert_eq!(evidence.wire.as_ref().unwrap().frames, []);
    assert!(evidence.now.verdicts[Verdict::Loop.index() as usize].1 > 0);
    let received = |counts: &Counts| counts.link.unwrap().rx_packets;
    assert!(received(&evidence.now) > received(&evidence.before), "{evidence:#?}");
    breaks(&evidence, Stage::Loop, &["came back"]);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn who_is_in_a_group_and_waits_in_vain_is_told() {
    let desk = Desk::new();
    let relay = relay(GROUP, [0; 2], &[]);
    let membership = |evidence: &Evidence| match &evidence.membership {
        Membership::Group { is_held, is_in_kernel, .. } => (*is_held, *is_in_kernel, evidence.foreign_members),
        other => panic!("{other:?}"),
    };
    let known = |n_sockets| desk.matches(&relay).known(&relay, n_sockets);
    let evidence = desk.look(known(0), &[]);
    assert_eq!(membership(&evidence), (false, false, 0));
    breaks(&evidence, Stage::Joined, &["mcr has not joined 239.1.1.1 on \"in0\""]);

    let memberships = desk.join(&relay);
    let group = IpAddr::from([239, 1, 1, 1]);
    let n_sockets = u32::try_from(memberships.n_sockets(desk.line.in0.index, group)).unwrap();
    let evidence = desk.look(known(n_sockets), &[]);
    assert_eq!((membership(&evidence), evidence.listeners.len()), ((true, true, 0), 0));
    assert_eq!(told(&evidence).warnings.len(), 0);

    let decoder = UdpListener::start(&desk.line.relay, "in0", GROUP.parse().unwrap()).unwrap();
    let evidence = desk.look(known(n_sockets), &[]);
    assert_eq!((membership(&evidence), evidence.listeners.len()), ((true, true, 1), 1));
    let warnings = told(&evidence).warnings;
    let who = format!("process {} (", std::process::id());
    assert!(warnings[0].contains(&who) && warnings[0].contains("listens on 239.1.1.1:5000"), "{warnings:?}");

    // One that waits at another port loses nothing, but it is a member: whoever it is could not be found.
    drop(decoder);
    let _other = UdpListener::start(&desk.line.relay, "in0", "239.1.1.1:6000".parse().unwrap()).unwrap();
    let evidence = desk.look(known(n_sockets), &[]);
    assert_eq!((membership(&evidence), evidence.listeners.len()), ((true, true, 1), 0));
    drop(memberships);
    let evidence = desk.look(known(n_sockets), &[]);
    assert_eq!(membership(&evidence), (true, true, 0), "the kernel does not say whose the last one is");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn sources_that_are_not_asked_for_are_told() {
    let desk = Desk::new();
    let asked = relay("232.1.1.1:5000", [0; 2], &["10.1.0.1"]);
    let _memberships = desk.join(&asked);
    let wanted = relay("232.1.1.1:5000", [0; 2], &["10.1.0.1", "10.1.0.9"]);
    let evidence = desk.look(desk.matches(&wanted).known(&wanted, 1), &[]);
    breaks(&evidence, Stage::Joined, &["232.1.1.1 on \"in0\" is not asked for from 10.1.0.9"]);
    assert!(told(&evidence).warnings.is_empty());
    let others = [build(&desk.headers("239.9.9.9:9"), b"something else")];
    let evidence = desk.look(desk.known(&asked, 1), &others);
    breaks(&evidence, Stage::Seen, &["brings the group from 10.1.0.1"]);
}

/// A relay of a unicast address, at whose port a process listens.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_process_at_a_relayed_port_of_our_own_address_is_told() {
    let desk = Desk::new();
    let relay = relay("10.1.0.2:5000", [0; 2], &[]);
    let listening = desk.line.relay.run(|| std::net::UdpSocket::bind("0.0.0.0:5000").unwrap());
    let mut known = desk.matches(&relay).known(&relay, 0);
    known.joined = None;
    let frames = [build(&desk.headers("10.1.0.2:5002"), b"elsewhere"), build(&desk.headers("10.1.0.2:5000"), b"here")];
    let evidence = desk.look(known, &frames);
    assert_eq!(evidence.membership, Membership::NotNeeded);
    assert_eq!(evidence.listeners.len(), 1);
    let fits: Vec<Fit> = evidence.wire.iter().flat_map(|wire| &wire.frames).map(|f| f.fit(&relay.input)).collect();
    assert!(fits.contains(&Fit::OtherPort) && fits.contains(&Fit::Exact), "{evidence:#?}");
    breaks(&evidence, Stage::Socket, &["has no socket"]);
    let warnings = told(&evidence).warnings;
    assert!(warnings[0].contains("listens on 0.0.0.0:5000"), "{warnings:?}");
    drop(listening);
}
