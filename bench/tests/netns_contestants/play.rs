//! A scenario played once by a contestant, with few packets and a ledger for each output.

use std::fs;
use std::time::Duration;

use bench::ledger::{Ledger, SharedLedger, lock, wait_for_tail};
use bench::measure::contestant::{Contestant, Programs, Running};
use bench::measure::results::Loss;
use bench::measure::scenario::{Scenario, VLAN};
use bench::measure::stage::{GENERATOR_CORE, RELAY_CORE, SOURCE_LINK, Stage};
use bench::packet::{Checksum, Headers, Vlan};
use bench::sink::Flow;
use bench::source::{Load, Stream};
use bench::{Sink, Source};

const QUIET: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);
const PACKETS: u64 = 2_000;
const PACKETS_PER_SECOND: u64 = 10_000;
/// What packets come in with.
const TTL: u8 = 64;

/// The shipped scenario of that name.
pub(crate) fn scenario(name: &str) -> Scenario {
    Scenario::shipped().unwrap().into_iter().find(|scenario| scenario.name == name).unwrap()
}

pub(crate) fn programs() -> Programs {
    Programs { mcr: bench::relay::binary(), peer: env!("CARGO_BIN_EXE_peer").into() }
}

/// What the packets of a contestant look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) hops: u8,
    pub(crate) checksum: Checksum,
}

impl Look {
    /// MCR finishes checksums itself.
    pub(crate) const MCR: Self = Self { hops: 16, checksum: Checksum::Right };
    /// Sockets leave checksums to the hardware, which a veth does not have.
    pub(crate) const SOCKETS: Self = Self { hops: 16, checksum: Checksum::Partial };
    /// Routing takes one hop off and leaves the rest as it came.
    pub(crate) const ROUTED: Self = Self { hops: TTL - 1, checksum: Checksum::Right };
}

/// A contestant that runs, and ledgers behind all its outputs.
pub(crate) struct Play {
    pub(crate) scenario: Scenario,
    pub(crate) stage: Stage,
    pub(crate) running: Running,
    pub(crate) ledgers: Vec<SharedLedger>,
    sinks: Vec<Sink>,
}

impl Play {
    pub(crate) fn start(contestant: &Contestant, name: &str, look: Look) -> Self {
        let scenario = scenario(name);
        let stage = Stage::new(&scenario).unwrap();
        let (mut ledgers, mut flows) = (Vec::new(), vec![Vec::new(); usize::from(scenario.links)]);
        for (relay, output) in
            (0..scenario.relays).flat_map(|relay| (0..scenario.outputs).map(move |output| (relay, output)))
        {
            let ledger = Ledger::shared(&format!("{} {name} {relay}/{output}", contestant.name), relay.into());
            let to = contestant.output(&scenario, relay, output);
            flows[usize::from(to.link)].push((to.destination, ledger.clone()));
            ledgers.push(ledger);
        }
        let tags = if scenario.tagged { vec![Vlan::new(VLAN)] } else { Vec::new() };
        let flow = |(destination, ledger)| {
            Flow::new(destination, &ledger).hops(look.hops).checksum(look.checksum).vlans(&tags)
        };
        let sinks = stage.outputs.iter().zip(flows).map(|((_, far), flows)| {
            Sink::start(&stage.sink, &far.name, flows.into_iter().map(flow).collect()).unwrap()
        });
        let sinks = sinks.collect();
        let running = contestant.start(&programs(), &stage, &scenario).unwrap();
        running.pids.iter().for_each(|pid| assert_pinned(*pid));
        Self { scenario, stage, running, ledgers, sinks }
    }

    /// Sends all packets, and enters how many that were.
    pub(crate) fn send(&self) {
        let Self { scenario, stage, ledgers, .. } = self;
        let tags = if scenario.tagged { vec![Vlan::new(VLAN)] } else { Vec::new() };
        let stream = |relay: u16| {
            let headers = Headers::new(Stage::sender(scenario), scenario.input(relay)).from_mac(stage.input.0.mac);
            Stream::new(relay.into(), headers.ttl(TTL).tagged(&tags), scenario.payload.into())
        };
        let relays = u64::from(scenario.relays);
        let load = Load::new((0..scenario.relays).map(stream).collect());
        let load = load.rate(PACKETS_PER_SECOND / relays).packets(PACKETS / relays).on_core(GENERATOR_CORE);
        Source::start(&stage.source, SOURCE_LINK, load).unwrap().finish().unwrap().enter(ledgers);
    }

    /// Waits until nothing arrives any more.
    pub(crate) fn settle(&self) {
        assert!(self.sinks.iter().all(|sink| sink.settle(QUIET, LONG)), "packets arrive without an end");
    }

    /// Ends the contestant and the sinks; says what was lost.
    pub(crate) fn end(self) -> Vec<Loss> {
        let pids = self.running.pids;
        let losses = (self.running.end)().unwrap();
        for pid in pids {
            assert!(!fs::exists(format!("/proc/{pid}")).unwrap(), "process {pid} is left behind");
        }
        self.sinks.into_iter().for_each(|sink| sink.stop().unwrap().check().unwrap());
        losses
    }
}

/// Every packet arrives at every output, once and in order, and no loss is counted.
pub(crate) fn relays_all(contestant: &Contestant, name: &str, look: Look) {
    let play = Play::start(contestant, name, look);
    play.send();
    wait_for_tail(&play.ledgers, LONG);
    let ledgers = play.ledgers.clone();
    assert_eq!(play.end(), [], "{} in {name}", contestant.name);
    for ledger in ledgers {
        lock(&ledger).check(0).unwrap();
    }
}

/// A thread that has ended since the list was made is on no core; the process itself must be there.
fn assert_pinned(pid: u32) {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let read = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status"));
    let found: Vec<String> = threads.filter_map(|thread| read(thread.unwrap()).ok()).collect();
    assert!(!found.is_empty(), "process {pid} has ended");
    for status in found {
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap();
        assert_eq!(allowed, RELAY_CORE.to_string(), "{}", status.lines().next().unwrap());
    }
}
