//! One stream in, one or two out; and the account that must balance whatever was killed.
//!
//! ```text
//! source: src0 ── in0 :relay: out0 ── rx0 :receiver
//!                       :relay: out1 ── rx1 :receiver
//! ```

use bench::clock::{Deadline, monotonic_ns};
use bench::links::{End, Port, Veth, ip};
use bench::packet::Headers;
use bench::relay::{Report, binary};
use bench::sink::Flow;
use bench::source::{Load, Stream};
use bench::{Ledger, Namespace, Process, Relay, SharedLedger, Sink, Source, ledger};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
#[cfg(feature = "chaos")]
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Packets a second of the stream.
pub(crate) const RATE: u64 = 100_000;
/// At this rate the receive ring holds what comes in 40 ms: several times what a restart takes.
const RING: u64 = 4096;
/// For what takes milliseconds, with slack for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The links, without a relay.
pub(crate) struct Stage {
    pub(crate) source: Namespace,
    pub(crate) relay: Namespace,
    receiver: Namespace,
    from: Port,
    n_outputs: usize,
}

impl Stage {
    pub(crate) fn new(n_outputs: usize) -> Self {
        let namespace = || Namespace::new("mcr-death").unwrap();
        let (source, relay, receiver) = (namespace(), namespace(), namespace());
        let near = End::new(&source, "src0").address("10.1.0.1/24");
        let (from, _) = Veth::new(near, End::new(&relay, "in0").address("10.1.0.2/24")).create().unwrap();
        for number in 0..n_outputs {
            let out = End::new(&relay, &format!("out{number}")).address(&format!("10.2.{number}.1/24"));
            let rx = End::new(&receiver, &format!("rx{number}")).address(&format!("10.2.{number}.9/24"));
            Veth::new(out, rx).create().unwrap();
        }
        Self { source, relay, receiver, from, n_outputs }
    }

    pub(crate) fn config(&self) -> String {
        let output = |number| {
            format!(r#"{{ interface = "out{number}", group = "239.2.{number}.1", port = 5001, ttl = {} }}"#, 7 + number)
        };
        let outputs: Vec<String> = (0..self.n_outputs).map(output).collect();
        format!(
            r#"
            [lanes]
            ring_size = {RING}
            [[relay]]
            name = "one"
            input = {{ interface = "in0", group = "239.1.1.1", port = 5000 }}
            outputs = [{}]
            "#,
            outputs.join(", ")
        )
    }

    /// Starts the relay as it is delivered.
    pub(crate) fn start(&self) -> Relay {
        Relay::start(&self.relay, &self.config()).unwrap()
    }

    /// Starts another build of the relay.
    #[cfg(feature = "chaos")]
    pub(crate) fn start_with(&self, binary: &Path, env: &[(&str, &str)]) -> Relay {
        let relay = Relay::launch(binary, &self.relay, &self.config(), env).unwrap();
        relay.wait_until_ready().unwrap();
        relay
    }

    /// Starts a control with the configuration and the folder of one that is there or was.
    pub(crate) fn another(&self, relay: &Relay) -> Process {
        relay.another(&binary(), &self.relay).unwrap()
    }

    /// The stream begins, and somebody counts what comes of it at each output.
    pub(crate) fn stream(&self) -> Traffic<'_> {
        self.stream_at(RATE)
    }

    /// A stream of so many packets a second.
    pub(crate) fn stream_at(&self, rate: u64) -> Traffic<'_> {
        let (mut ledgers, mut sinks) = (Vec::new(), Vec::new());
        for number in 0..self.n_outputs {
            let ledger = Ledger::shared(&format!("out{number}"), 1);
            let flow = Flow::new(format!("239.2.{number}.1:5001").parse().unwrap(), &ledger)
                .source(format!("10.2.{number}.1").parse().unwrap())
                .source_port(4000)
                .hops(7 + u8::try_from(number).unwrap());
            sinks.push(Sink::start(&self.receiver, &format!("rx{number}"), vec![flow]).unwrap());
            ledgers.push(ledger);
        }
        let lost_on_links = self.lost_on_links();
        let headers = Headers::new("10.1.0.1:4000".parse().unwrap(), "239.1.1.1:5000".parse().unwrap());
        let stream = Stream::new(1, headers.from_mac(self.from.mac), 1316);
        let source = Source::start(&self.source, "src0", Load::new(vec![stream]).rate(rate)).unwrap();
        Traffic { stage: self, ledgers, sinks, source: Some(source), lost_on_links }
    }

    /// Packets that the output links dropped because their receiver was too slow: the kernel counts them.
    fn lost_on_links(&self) -> u64 {
        let lost = |number| {
            let shown = ip(&["-n", self.relay.name(), "-s", "-j", "link", "show", &format!("out{number}")]).unwrap();
            let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
            shown[0]["stats64"]["tx"]["dropped"].as_u64().unwrap()
        };
        (0..self.n_outputs).map(lost).sum()
    }

    /// Whether an XDP program is attached to the input link.
    pub(crate) fn is_attached(&self) -> bool {
        ip(&["-n", self.relay.name(), "-d", "link", "show", "in0"]).unwrap().contains("prog/xdp")
    }

    /// Whether the stream's group is joined on the input link.
    pub(crate) fn is_joined(&self) -> bool {
        ip(&["-n", self.relay.name(), "maddr", "show", "dev", "in0"]).unwrap().contains("239.1.1.1")
    }
}

/// A stream on its way, and the ledgers of its outputs.
pub(crate) struct Traffic<'a> {
    stage: &'a Stage,
    ledgers: Vec<SharedLedger>,
    sinks: Vec<Sink>,
    source: Option<Source>,
    lost_on_links: u64,
}

/// What came of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    /// Sent, once for each output.
    pub(crate) wanted: u64,
    /// Sent before the first one that arrived, over all outputs.
    pub(crate) too_early: u64,
    /// Arrived, over all outputs.
    pub(crate) arrived: u64,
    /// Lost on the output links.
    pub(crate) lost_on_links: u64,
    /// The longest time that a packet took: the longest pause, as the receivers see it.
    pub(crate) longest_ns: u64,
}

impl Account {
    pub(crate) fn lost(&self) -> u64 {
        self.wanted - self.arrived
    }

    /// Lost from the first packet on that was relayed.
    pub(crate) fn lost_since_the_first(&self) -> u64 {
        self.lost() - self.too_early
    }

    /// Everything that did not arrive was counted, by a name, where it was lost.
    pub(crate) fn balance(&self, report: &Report, n_outputs: usize) {
        self.balance_with(report, n_outputs, report.dropped("stale"));
    }

    /// The same where only so many of the stale packets were for these outputs.
    pub(crate) fn balance_with(&self, report: &Report, n_outputs: usize, stale: u64) {
        let before_lanes: u64 = ["rx_dropped", "rx_ring_full"].map(|name| report.sockets(name)).iter().sum();
        let reasons = ["pending", "muted", "over_mtu", "tx_full", "no_frame"];
        let at_outputs: u64 =
            (0..n_outputs).flat_map(|output| reasons.map(|reason| report.output_dropped("one", output, reason))).sum();
        let named = before_lanes * n_outputs as u64 + at_outputs + self.lost_on_links + stale;
        assert_eq!(self.lost(), named, "{self:?}, lanes dropped {at_outputs}, rings {before_lanes}: {:#}", report.0);
        eprintln!("    {} sent, {} lost ({before_lanes} of them before lanes)", self.wanted, self.lost());
    }
}

impl Traffic<'_> {
    /// Waits until so many packets more were sent.
    pub(crate) fn pass(&self, packets: u64) {
        let source = self.source.as_ref().unwrap();
        let until = source.sent(1) + packets;
        while source.sent(1) < until {
            assert!(!source.is_finished(), "the source ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The longest that a packet took of those that arrived since this was asked before, up to one that is sent now.
    pub(crate) fn longest(&self) -> Duration {
        let sent = self.source.as_ref().unwrap().sent(1);
        let has_come = |ledger: &SharedLedger| {
            let ledger = ledger::lock(ledger);
            ledger.received() + ledger.lost_so_far() > sent
        };
        wait_until("what is sent now does not arrive", || self.ledgers.iter().all(has_come));
        let longest = self.ledgers.iter().map(|ledger| ledger::lock(ledger).take_longest_ns()).max();
        Duration::from_nanos(longest.unwrap_or_default())
    }

    /// Whether anything has come out by now.
    pub(crate) fn has_arrived(&self) -> bool {
        self.sinks.iter().any(|sink| sink.datagrams() > 0)
    }

    /// Whether something arrives at every output within a while.
    pub(crate) fn wait_until_it_arrives(&self) {
        let arrived = || self.sinks.iter().map(Sink::datagrams).collect::<Vec<_>>();
        let before = arrived();
        wait_until("nothing arrives", || arrived().iter().zip(&before).all(|(now, before)| now > before));
    }

    /// Ends the source; the relay goes on.
    pub(crate) fn end(&mut self) {
        let Some(source) = self.source.take() else { return };
        source.stop().unwrap().enter(&self.ledgers);
        // They come in their order: behind the last one nothing is under way.
        let deadline = Deadline::after(Duration::from_secs(1));
        let is_in = |ledger: &SharedLedger| {
            let ledger = ledger::lock(ledger);
            ledger.sent().checked_sub(1).is_none_or(|last| ledger.has(last))
        };
        while !self.ledgers.iter().all(is_in) && !deadline.passed() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends everything. Each packet came at most once, whole and in order.
    pub(crate) fn settle(mut self) -> Account {
        self.end();
        for sink in self.sinks.drain(..) {
            sink.stop().unwrap().check().unwrap();
        }
        let mut account = Account {
            wanted: 0,
            too_early: 0,
            arrived: 0,
            lost_on_links: self.stage.lost_on_links() - self.lost_on_links,
            longest_ns: 0,
        };
        for ledger in &self.ledgers {
            let ledger = ledger::lock(ledger);
            ledger.check(ledger.lost()).unwrap();
            account.wanted += ledger.sent();
            account.arrived += ledger.received();
            account.too_early += ledger.gaps(1).first().filter(|gap| gap.0 == 0).map_or(0, |gap| gap.1 + 1);
            account.longest_ns = account.longest_ns.max(ledger.latencies().max());
        }
        account
    }
}

/// A file for lanes, which have a user of their own: they may change it and remove it.
#[cfg(feature = "chaos")]
pub(crate) struct ForLanes(PathBuf);

#[cfg(feature = "chaos")]
impl ForLanes {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("mcr-{name}-{}", std::process::id()));
        let file = folder.join("file");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o666)).unwrap();
        Self(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(feature = "chaos")]
impl Drop for ForLanes {
    fn drop(&mut self) {
        let _ = self.0.parent().map(std::fs::remove_dir_all);
    }
}

/// Every frame is in the pool or with the kernel for packets to come, as many as its rings take; none is lost.
pub(crate) fn frames_are_all_there(report: &Report, n_outputs: usize) {
    let [free, fill, transmit, lost] = ["free", "fill", "transmit", "lost"].map(|owner| report.frames(owner));
    let all = report.0["lanes"][0]["frames"].as_u64().unwrap();
    assert_eq!((transmit, lost, report.lanes("lost_frames"), report.lanes("foreign")), (0, 0, 0, 0));
    assert_eq!(fill, RING * (1 + n_outputs as u64), "each socket's fill ring was filled once");
    assert_eq!(free, all - fill);
}

/// How many frames of its lanes are with that owner now.
pub(crate) fn frames(relay: &Relay, owner: &str) -> u64 {
    let mut stream = UnixStream::connect(relay.folder().join("mcr.sock")).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let owner = format!("owner=\"{owner}\"");
    let is_it = |line: &&str| line.starts_with("mcr_lane_frames{") && line.contains(&owner);
    let number = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    answer.lines().filter(is_it).map(number).sum()
}

/// Waits until each fill ring has its frames and nothing else is under way: what was dropped has come back.
pub(crate) fn wait_for_frames(relay: &Relay, n_outputs: usize) {
    let wanted = (RING * (1 + n_outputs as u64), 0);
    wait_until("frames do not come back", || (frames(relay, "fill"), frames(relay, "transmit")) == wanted);
}

pub(crate) fn wait_until(failure: &str, is_so: impl Fn() -> bool) {
    let deadline = monotonic_ns() + u64::try_from(SOON.as_nanos()).unwrap();
    while !is_so() {
        assert!(monotonic_ns() < deadline, "{failure}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a count is high enough, however long that takes, as long as it grows.
#[cfg(feature = "chaos")]
pub(crate) fn wait_while_it_grows(failure: &str, wanted: usize, mut count: impl FnMut() -> usize) {
    let mut reached = count();
    while reached < wanted {
        let mut now = reached;
        let deadline = monotonic_ns() + u64::try_from(SOON.as_nanos()).unwrap();
        while now <= reached {
            assert!(monotonic_ns() < deadline, "{failure}: {reached} of {wanted}");
            std::thread::sleep(Duration::from_millis(1));
            now = count();
        }
        reached = now;
    }
}

/// How often: `many` times with `test long`.
pub(crate) fn rounds(few: u32, many: u32) -> u32 {
    if std::env::var_os("MCR_LONG").is_some() { many } else { few }
}

/// Kills a process with the signal that nothing can catch. It may be gone already.
pub(crate) fn kill_now(pid: u32) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).ok();
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}
