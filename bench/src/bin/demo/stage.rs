//! The namespaces and links of the demo.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use bench::links::{End, Port, Veth};
use bench::packet::Mac;
use bench::{Namespace, Sink, UdpListener};

use crate::channels::Account;

pub(crate) const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(crate) const OUT0: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
pub(crate) const OUT1: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 1);
pub(crate) const RECEIVER1: Ipv4Addr = Ipv4Addr::new(10, 3, 0, 9);
/// The source's end of the input link.
pub(crate) const SOURCE_LINK: &str = "src0";
/// The receivers' ends of the output links.
const RECEIVER_LINKS: [&str; 2] = ["rx0", "rx1"];

/// Three namespaces: sources, the relay, receivers.
pub(crate) struct Stage {
    pub(crate) source: Namespace,
    pub(crate) relay: Namespace,
    receivers: Namespace,
    source_port: Port,
    /// Both ends of each output link.
    outputs: [(Port, Port); 2],
    /// A decoder's socket for the unicast stream; without one the receivers would answer with ICMP.
    _decoder: UdpListener,
}

impl Stage {
    /// Makes namespaces and links.
    pub(crate) fn set_up(prefix: &str) -> Result<Self> {
        let (source, relay) = (Namespace::new(prefix)?, Namespace::new(prefix)?);
        let receivers = Namespace::new(prefix)?;
        let link = |near: End<'_>, far: End<'_>| Veth::new(near, far).create();
        let (source_port, _) = link(
            End::new(&source, SOURCE_LINK).address(&format!("{SOURCE}/24")),
            End::new(&relay, "in0").address("10.1.0.2/24"),
        )?;
        let out0 = link(
            End::new(&relay, "out0").address(&format!("{OUT0}/24")),
            End::new(&receivers, RECEIVER_LINKS[0]).address("10.2.0.9/24"),
        )?;
        let out1 = link(
            End::new(&relay, "out1").address(&format!("{OUT1}/24")),
            End::new(&receivers, RECEIVER_LINKS[1]).address(&format!("{RECEIVER1}/24")),
        )?;
        let decoder = UdpListener::start(&receivers, RECEIVER_LINKS[1], (RECEIVER1, 6000).into())?;
        Ok(Self { source, relay, receivers, source_port, outputs: [out0, out1], _decoder: decoder })
    }

    /// All namespaces.
    pub(crate) fn namespaces(&self) -> [&Namespace; 3] {
        [&self.source, &self.relay, &self.receivers]
    }

    /// Leaves the namespaces behind and tells their names.
    pub(crate) fn keep(self) -> [String; 3] {
        [self.source.keep(), self.relay.keep(), self.receivers.keep()]
    }

    /// The MAC of the source.
    pub(crate) fn source_mac(&self) -> Mac {
        self.source_port.mac
    }

    /// A sink at the end of each output link.
    pub(crate) fn sinks(&self, accounts: &[Account]) -> Result<Vec<Sink>> {
        let sink = |(link, (near, far)): (usize, &(Port, Port))| {
            let here = accounts.iter().filter(|account| account.link == link);
            let flows = here.map(|account| account.flow(near.mac, far.mac)).collect();
            Sink::start(&self.receivers, RECEIVER_LINKS[link], flows)
        };
        self.outputs.iter().enumerate().map(sink).collect()
    }

    /// Says what will be seen.
    pub(crate) fn introduce(&self, out: &mut impl Write, config: &Path) -> io::Result<()> {
        let [source, relay, receivers] = self.namespaces().map(Namespace::name);
        write!(
            out,
            "\
Four broadcast streams (RTP with MPEG-TS) go through mcr, each to two outputs. The three boxes are network namespaces
of this machine, the lines between them virtual wires. Every packet carries its number and the time it was sent, and
the receivers check each byte of it: addresses, TTL, DSCP, checksums, payload, and that it comes once and in order.

  +-------------+              +-------------+--out0-------rx0--+-------------+
  |   sources   |--src0---in0--|     mcr     |                  |  receivers  |
  +-------------+              +-------------+--out1-------rx1--+-------------+

  sources    {source:<20} send 239.1.1.1 to 239.1.1.4, port 5000, from {SOURCE}
  mcr        {relay:<20} configuration: {config}
  receivers  {receivers:<20} channels 1 to 4 as groups at rx0; 1 to 3 as groups and 4 as unicast at rx1

Look around meanwhile: ip netns exec {relay} ip -s link

",
            config = config.display(),
        )
    }
}
