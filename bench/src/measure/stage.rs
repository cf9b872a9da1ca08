//! Where it is measured: a generator, a relay and a sink, each in a namespace, with veth pairs between them.

use std::net::SocketAddr;

use anyhow::Result;

use super::scenario::Scenario;
use crate::Namespace;
use crate::links::{End, Port, Veth, ethtool};
use crate::netns::Reaper;

/// The generator's core; what the kernel does for it up to the relay's receive ring or socket runs there as well.
pub const GENERATOR_CORE: usize = 0;
/// The relay's core; what the kernel does for it up to the sink runs there as well.
pub const RELAY_CORE: usize = 1;
/// Names of all namespaces begin with this.
pub const PREFIX: &str = "mcr-fig";

/// The generator's end of the input link.
pub const SOURCE_LINK: &str = "src0";
/// The relay's end of it.
pub const INPUT_LINK: &str = "in0";

/// Namespaces and links of a scenario. Everything goes when this is dropped.
#[derive(Debug)]
pub struct Stage {
    /// Where packets are made.
    pub source: Namespace,
    /// Where the relay runs: `in0`, and `out0`, `out1`, …
    pub relay: Namespace,
    /// Where they arrive: `rx0`, `rx1`, …
    pub sink: Namespace,
    /// The generator's end of the input link, and the relay's.
    pub input: (Port, Port),
    /// The relay's end of each output link, and the sink's.
    pub outputs: Vec<(Port, Port)>,
    /// Removes what is left when the bench is ended by a signal.
    _reaper: Reaper,
}

impl Stage {
    /// Makes namespaces and links.
    pub fn new(scenario: &Scenario) -> Result<Self> {
        let [source, relay, sink] = [0; 3].map(|_| Namespace::new(PREFIX));
        let (source, relay, sink) = (source?, relay?, sink?);
        let mut reaper = Reaper::start()?;
        for namespace in [&source, &relay, &sink] {
            reaper.guard(namespace)?;
            let off = if scenario.ipv6 { "0" } else { "1" };
            for interface in ["all", "default"] {
                // Router and listener discovery would be counted as packets.
                namespace.sysctl(&format!("net/ipv6/conf/{interface}/disable_ipv6"), off)?;
                namespace.sysctl(&format!("net/ipv6/conf/{interface}/accept_ra"), "0")?;
                // A relay that does not rewrite the sender's address meets a receiver to whom that is a stranger.
                namespace.sysctl(&format!("net/ipv4/conf/{interface}/rp_filter"), "0")?;
            }
        }
        let near = End::new(&source, SOURCE_LINK).address(&address(scenario, 1, 0, 1));
        let far = End::new(&relay, INPUT_LINK).address(&address(scenario, 1, 0, 2));
        let input = Veth::new(near, far).create()?;
        // Frames from XDP are taken only by an end that has a program or GRO.
        ethtool(&relay, &["-K", INPUT_LINK, "gro", "on"])?;
        let outputs = (0..scenario.links).map(|link| {
            let near = End::new(&relay, &format!("out{link}")).address(&address(scenario, 2, link, 1));
            let far = End::new(&sink, &format!("rx{link}")).address(&address(scenario, 2, link, 9));
            let ends = Veth::new(near, far).create()?;
            ethtool(&sink, &["-K", &ends.1.name, "gro", "on"])?;
            Ok(ends)
        });
        let outputs = outputs.collect::<Result<_>>()?;
        Ok(Self { source, relay, sink, input, outputs, _reaper: reaper })
    }

    /// Where the generator's packets come from.
    pub fn sender(scenario: &Scenario) -> SocketAddr {
        let address =
            if scenario.ipv6 { std::net::IpAddr::from([0xfd00, 1, 0, 0, 0, 0, 0, 1u16]) } else { [10, 1, 0, 1].into() };
        SocketAddr::new(address, 4000)
    }
}

fn address(scenario: &Scenario, net: u16, link: u16, host: u16) -> String {
    if scenario.ipv6 { format!("fd00:{net}:{link}::{host}/64") } else { format!("10.{net}.{link}.{host}/24") }
}
