//! One stream through a relay that systemd runs: `src0 -- in0 :container: out0 -- rx0`.

use crate::container::Container;
use bench::clock::{Deadline, monotonic_ns};
use bench::links::{End, Port, Veth, ip};
use bench::packet::Headers;
use bench::sink::Flow;
use bench::source::{Load, Stream};
use bench::{Ledger, Namespace, SharedLedger, Sink, Source, ledger};
use std::time::Duration;

/// Packets a second: the receive ring holds a second of them.
pub(crate) const RATE: u64 = 2000;
/// What takes milliseconds, with slack for a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// What was sent has arrived by then, or is lost.
const TAIL: Duration = Duration::from_secs(5);

/// The configuration of the stream's relay.
pub(crate) const ONE: &str = r#"
[[relay]]
name = "one"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
"#;

/// Source, container and receiver.
pub(crate) struct Stage {
    // Fields go in this order: who runs in a namespace before it.
    pub(crate) container: Container,
    source: Namespace,
    receiver: Namespace,
    relay: Namespace,
    from: Port,
}

impl Stage {
    /// Boots a container in the middle of the line. mcr is installed and does not run.
    pub(crate) fn boot() -> Self {
        let namespace = || Namespace::new("mcr-systemd").unwrap();
        let (source, relay, receiver) = (namespace(), namespace(), namespace());
        let near = End::new(&source, "src0").address("10.1.0.1/24");
        let (from, _) = Veth::new(near, End::new(&relay, "in0").address("10.1.0.2/24")).create().unwrap();
        let out = End::new(&relay, "out0").address("10.2.0.1/24");
        Veth::new(out, End::new(&receiver, "rx0").address("10.2.0.9/24")).create().unwrap();
        let container = Container::boot(&relay, ONE);
        Self { container, source, receiver, relay, from }
    }

    /// The same with mcr running.
    pub(crate) fn started() -> Self {
        let stage = Self::boot();
        stage.container.done("systemctl", &["start", "mcr"]);
        stage
    }

    /// The stream begins, and somebody counts what comes of it.
    pub(crate) fn stream(&self) -> Traffic {
        let ledger = Ledger::shared("out0", 1);
        let flow = Flow::new("239.2.1.1:5001".parse().unwrap(), &ledger).source("10.2.0.1".parse().unwrap());
        let sink = Sink::start(&self.receiver, "rx0", vec![flow]).unwrap();
        let headers = Headers::new("10.1.0.1:4000".parse().unwrap(), "239.1.1.1:5000".parse().unwrap());
        let stream = Stream::new(1, headers.from_mac(self.from.mac), 1316);
        let source = Source::start(&self.source, "src0", Load::new(vec![stream]).rate(RATE)).unwrap();
        Traffic { ledger, sink, source }
    }

    /// Whether anything of mcr is left: a program on the input link, the stream's group, a process.
    pub(crate) fn is_bare(&self) -> bool {
        let [link, groups] = [&["-d", "link", "show", "in0"][..], &["maddr", "show", "dev", "in0"]].map(|asked| {
            let mut arguments = vec!["-n", self.relay.name()];
            arguments.extend(asked);
            ip(&arguments).unwrap()
        });
        !link.contains("prog/xdp") && !groups.contains("239.1.1.1") && self.container.processes("mcr").is_empty()
    }

    /// Runs a command of mcr in the container, as a person would.
    pub(crate) fn mcr(&self, arguments: &[&str]) -> String {
        self.container.done("/usr/local/bin/mcr", arguments)
    }
}

/// A stream on its way.
pub(crate) struct Traffic {
    ledger: SharedLedger,
    sink: Sink,
    source: Source,
}

impl Traffic {
    /// Waits until so many packets more were sent.
    pub(crate) fn pass(&self, packets: u64) {
        let until = self.source.sent(1) + packets;
        while self.source.sent(1) < until {
            assert!(!self.source.is_finished(), "the source ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until packets arrive that were not sent yet.
    pub(crate) fn flows(&self) {
        let sent = self.source.sent(1);
        let arrived = || ledger::lock(&self.ledger).received();
        wait_until(
            || format!("{} of {sent} packets have arrived", arrived()),
            || {
                let ledger = ledger::lock(&self.ledger);
                ledger.received() + ledger.lost_so_far() > sent
            },
        );
    }

    /// How long after that moment the last packet came out, while the source sends on.
    pub(crate) fn sent_on_after(&self, moment_ns: u64) -> Duration {
        self.pass(RATE / 2);
        // The sink may be behind.
        self.sink.settle(Duration::from_millis(200), TAIL);
        Duration::from_nanos(ledger::lock(&self.ledger).last_ns().saturating_sub(moment_ns))
    }

    /// Ends the stream: every packet of it has come out, once, whole and in order. Says how many that were.
    pub(crate) fn arrives_whole(self) -> u64 {
        self.source.stop().unwrap().enter(std::slice::from_ref(&self.ledger));
        ledger::wait_for_tail(std::slice::from_ref(&self.ledger), TAIL);
        self.sink.stop().unwrap().check().unwrap();
        let ledger = ledger::lock(&self.ledger);
        ledger.check(0).unwrap();
        ledger.sent()
    }
}

/// Waits until something is so.
pub(crate) fn wait_until(failure: impl Fn() -> String, is_so: impl Fn() -> bool) {
    let deadline = Deadline::after(SOON);
    while !is_so() {
        assert!(!deadline.passed(), "{}", failure());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The time, for [`Traffic::sent_on_after`].
pub(crate) fn now() -> u64 {
    monotonic_ns()
}
