//! The stage: a generator, a relay and a sink, each in a namespace, with one link between each two.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bench::links::{End, Veth, ethtool};
use bench::packet::{Headers, Mac, build};
use bench::relay::Report;
use bench::{Drain, Flood, Namespace, Process, Relay};

/// The generator's core; what the kernel does for it up to the relay's receive ring or socket runs there as well.
const GENERATOR_CORE: usize = 0;
/// The relay's core; what the kernel does for it up to the sink's counter runs there as well.
pub(crate) const RELAY_CORE: usize = 1;
/// Seven TS packets.
const PAYLOAD: usize = 1316;
const PATIENCE: Duration = Duration::from_secs(10);
/// A link that shows no packet for this long has none under way.
const QUIET: Duration = Duration::from_millis(100);

pub(crate) struct Stage {
    source: Namespace,
    pub(crate) relay: Namespace,
    sink: Namespace,
    frame: Vec<u8>,
    _drain: Drain,
}

/// A relay under test.
#[derive(Clone)]
pub(crate) enum Contestant {
    Mcr { binary: PathBuf, poll: String },
    Peer { binary: PathBuf },
}

/// What became of the packets of one run.
pub(crate) struct Run {
    /// Packets that the generator made.
    pub(crate) offered: u64,
    /// Packets that came to the sink while the generator ran.
    pub(crate) in_time: u64,
    /// Packets that came to the sink in all.
    pub(crate) arrived: u64,
    pub(crate) elapsed: Duration,
    /// Processor time that the relay used meanwhile. On a machine that does other things besides, packets per second
    /// of it say more than packets per second.
    pub(crate) used: Duration,
    /// Packets that should have come to the sink and did not, by the name of the counter that says so. A packet that
    /// was lost before it was copied counts once for each output.
    pub(crate) lost: Vec<(&'static str, u64)>,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.in_time as f64 / self.elapsed.as_secs_f64()
    }

    /// Packets per second of the core's time.
    pub(crate) fn rate_of_core(&self) -> f64 {
        self.in_time as f64 / self.used.as_secs_f64()
    }

    /// Packets of which no counter says what became of them.
    pub(crate) fn uncounted(&self, n_outputs: u64) -> i64 {
        let lost: u64 = self.lost.iter().map(|(_, n)| n).sum();
        (self.offered * n_outputs).cast_signed() - (self.arrived + lost).cast_signed()
    }
}

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        let [source, relay, sink] = [0; 3].map(|_| Namespace::new("mcr-fig"));
        let (source, relay, sink) = (source?, relay?, sink?);
        for namespace in [&source, &relay, &sink] {
            // Router and listener discovery would be counted as packets.
            namespace.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
            namespace.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        }
        let near = End::new(&source, "src0").address("10.1.0.1/24");
        let (from, _) = Veth::new(near, End::new(&relay, "in0").address("10.1.0.2/24")).create()?;
        let out = End::new(&relay, "out0").address("10.2.0.1/24");
        Veth::new(out, End::new(&sink, "rx0").address("10.2.0.9/24")).create()?;
        // Makes the link take the generator's frames also when no XDP program is there: for the peer.
        ethtool(&relay, &["-K", "in0", "gro", "on"])?;
        let headers = Headers::new("10.1.0.1:4000".parse()?, "239.1.1.1:5000".parse()?).from_mac(from.mac);
        let group = Mac::of_group("239.1.1.1".parse()?).context("a group")?;
        let frame = build(&headers.to_mac(group), &[0x47; PAYLOAD]);
        let drain = Drain::start(&sink, "rx0")?;
        Ok(Self { source, relay, sink, frame, _drain: drain })
    }

    /// One run: the relay is started, flooded for a while and ended.
    pub(crate) fn run(&self, contestant: &Contestant, n_outputs: u64, duration: Duration) -> Result<Run> {
        match contestant {
            Contestant::Mcr { binary, poll } => {
                let relay = Relay::launch(binary, &self.relay, &configuration(n_outputs, poll), &[])?;
                relay.wait_until_ready()?;
                let mut run = self.flood(&relay.lanes(), duration)?;
                let report = relay.stop()?;
                run.lost.extend(lost_by_mcr(&report, n_outputs));
                run.scale("generator's veth ring", n_outputs);
                Ok(run)
            }
            Contestant::Peer { binary } => {
                let mut peer = Process::start("peer", self.peer(binary, n_outputs))?;
                peer.wait_for("ready", PATIENCE)?;
                let full_before = self.socket_buffer_errors()?;
                let mut run = self.flood(&[peer.pid()], duration)?;
                peer.stop(PATIENCE)?;
                run.lost.push(("socket buffer full", (self.socket_buffer_errors()? - full_before) * n_outputs));
                run.lost.push(("unsent", counted(&peer, "unsent")?));
                run.scale("generator's veth ring", n_outputs);
                Ok(run)
            }
        }
    }

    fn peer(&self, binary: &Path, n_outputs: u64) -> std::process::Command {
        let mut command = self.relay.command(binary);
        command.args("--in-if in0 --in-group 239.1.1.1 --in-port 5000".split(' '));
        command.args(["--core", &RELAY_CORE.to_string()]);
        (0..n_outputs).for_each(|n| _ = command.args(["--out", &format!("out0:239.2.1.{}:5001", n + 1)]));
        command
    }

    fn flood(&self, pids: &[u32], duration: Duration) -> Result<Run> {
        let (before, used_before) = (self.counters()?, processor_time(pids)?);
        let flood = Flood::start(&self.source, "src0", GENERATOR_CORE, self.frame.clone())?;
        sleep(duration);
        let (offered, elapsed) = flood.stop()?;
        let (at_end, used) = (self.counters()?, processor_time(pids)? - used_before);
        let after = self.settled()?;
        let lost = vec![
            ("generator's veth ring", after.ring_in - before.ring_in),
            ("relay's veth ring", after.ring_out - before.ring_out),
        ];
        let (in_time, arrived) = (at_end.arrived - before.arrived, after.arrived - before.arrived);
        Ok(Run { offered, in_time, arrived, elapsed, used, lost })
    }

    /// The counters when no packet is under way any more.
    fn settled(&self) -> Result<Counters> {
        let mut last = self.counters()?;
        for _ in 0..100 {
            sleep(QUIET);
            let now = self.counters()?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
        bail!("packets still arrive ten seconds after the generator has stopped")
    }

    fn counters(&self) -> Result<Counters> {
        Ok(Counters {
            ring_in: interface(&self.source, "src0")?.1,
            ring_out: interface(&self.relay, "out0")?.1,
            arrived: interface(&self.sink, "rx0")?.0,
        })
    }

    fn socket_buffer_errors(&self) -> Result<u64> {
        let text = self.relay.run(|| fs::read_to_string("/proc/thread-self/net/snmp"))?;
        let mut udp = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = (udp.next().unwrap_or_default(), udp.next().unwrap_or_default());
        let mut pairs = names.split(' ').zip(values.split(' '));
        let value = pairs.find(|(name, _)| *name == "RcvbufErrors").context("no RcvbufErrors in /proc/net/snmp")?.1;
        Ok(value.parse()?)
    }
}

impl Run {
    /// A packet that was lost before it was copied is missing at each output.
    fn scale(&mut self, name: &str, n_outputs: u64) {
        self.lost.iter_mut().filter(|(lost, _)| *lost == name).for_each(|(_, n)| *n *= n_outputs);
    }
}

/// Time that the main threads of these processes have run.
fn processor_time(pids: &[u32]) -> Result<Duration> {
    let time = |pid: &u32| -> Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).context("read a relay's processor time")?;
        Ok(Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?))
    };
    pids.iter().map(time).sum()
}

#[derive(PartialEq, Eq)]
struct Counters {
    /// Packets that found the ring of the relay's input full.
    ring_in: u64,
    /// Packets that found the ring of the sink full.
    ring_out: u64,
    arrived: u64,
}

/// Packets that an interface has received, and packets that it had to drop when sending.
fn interface(namespace: &Namespace, name: &str) -> Result<(u64, u64)> {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'));
    let numbers: Vec<u64> = line
        .with_context(|| format!("no interface {name}"))?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok((numbers[1], numbers[11]))
}

/// Relays of one input and so many outputs, pinned.
fn configuration(n_outputs: u64, poll: &str) -> String {
    let output = |n| format!("{{ interface = \"out0\", group = \"239.2.1.{}\", port = 5001 }}", n + 1);
    let outputs: Vec<String> = (0..n_outputs).map(output).collect();
    format!(
        "[lanes]\ncores = [{RELAY_CORE}]\npoll = \"{poll}\"\n\n[[relay]]\nname = \"one\"\n\
         input = {{ interface = \"in0\", group = \"239.1.1.1\", port = 5000 }}\noutputs = [{}]\n",
        outputs.join(", ")
    )
}

fn lost_by_mcr(report: &Report, n_outputs: u64) -> Vec<(&'static str, u64)> {
    let outputs =
        |reason| (0..).zip(0..n_outputs).map(|(output, _)| report.output_dropped("one", output, reason)).sum();
    vec![
        ("no frame to receive", report.sockets("rx_dropped") * n_outputs),
        ("receive ring full", report.sockets("rx_ring_full") * n_outputs),
        ("transmit ring full", outputs("tx_full")),
        ("no frame to copy", outputs("no_frame")),
    ]
}

/// A number that a relay printed after its name.
fn counted(process: &Process, name: &str) -> Result<u64> {
    let line = process.wait_for(name, PATIENCE)?;
    let mut words = line.split(' ').skip_while(|word| *word != name);
    words.nth(1).with_context(|| format!("no number after {name} in \"{line}\""))?.parse().map_err(Into::into)
}
